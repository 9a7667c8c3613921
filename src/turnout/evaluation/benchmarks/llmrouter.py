"""LLMRouter (ulab-uiuc/LLMRouter): its routing data, and the data it prepared for RouterDC.

    DIR/routing_data/default_routing_{train,test}_data.jsonl    a line an answer: `task_name`, `query`,
                                                                `model_name`, `performance`, tokens
    DIR/llm_candidates/default_llm.json                         USD per million tokens, by model
    FILE.jsonl                                                  one file of routing data
    FILE.json                                                   `dcrouter_preprocessed/*.json`: a list
                                                                of `question` and `scores` by model

Costs follow from tokens and from the `input_price` and `output_price` of default_llm.json, where that
file is there (for a single file: beside it, or in ../llm_candidates). Its train and test parts share
prompts; what is read from both is merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from turnout.data.collecting import Collector
from turnout.data.files import read_json, read_rows
from turnout.data.lines import at
from turnout.data.table import OutcomeTable
from turnout.errors import DataError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.benchmarks.outcomes import from_table

NAME: Final = "llmrouter"
_PARTS: Final = ("default_routing_train_data.jsonl", "default_routing_test_data.jsonl")
_PRICES: Final = "default_llm.json"
_PRICE_KEYS: Final = ("input_price", "output_price")
_FAILED = "calls failed: left out"
_ERRORS: Final = ("ERROR", "API Error")
"""How the recorded response of a failed call begins."""
_KNOWN: Final = frozenset(
    """
    task_name query ground_truth metric choices task_id model_name response token_num input_tokens
    output_tokens response_time api_key_used performance embedding_id user_id fig_id
    formatted_query question scores id cluster_id
    """.split()
)

Prices = Mapping[str, tuple[float, float]]
"""Model → USD per million tokens, in and out."""


def read(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """LLMRouter's data as a benchmark of two or N models.

    Raises:
        DataError: another layout, or see `from_table`.
    """
    return from_table(read_table(path), models=models, name=NAME)


def read_table(path: Path) -> OutcomeTable:
    """All outcomes of a folder or file.

    Raises:
        DataError: it is not laid out as above; a score, price or token count cannot be used.
    """
    found = Collector(sorted(_KNOWN))
    prices = _prices(path)
    for file in _files(path):
        for line, row in read_rows(file):
            found.unknown(file, line, [name for name in row if name not in _KNOWN])
            if "scores" in row:
                _take_scores(found, file, line, row)
            else:
                _take_answer(found, file, line, row, prices)
    return found.table(str(path))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for part in _PARTS for file in sorted(path.rglob(part))]
    if not found:
        remedy = f"it holds none of {', '.join(_PARTS)}; give LLMRouter's data/example_data"
        raise DataError("data", str(path), remedy)
    return found


def _take_scores(found: Collector, file: Path, line: int, row: Mapping[str, Any]) -> None:
    scores = row["scores"]
    if not isinstance(scores, dict) or not scores:
        raise DataError(at(file, line, "scores"), scores, 'give {"NAME": SCORE, …}')
    prompt = found.prompt(file, line, row.get("question"), category=row.get("task_name"))
    for model, score in scores.items():
        found.add(file, line, prompt, model, {"score": score})


def _take_answer(
    found: Collector, file: Path, line: int, row: Mapping[str, Any], prices: Prices
) -> None:
    prompt = found.prompt(file, line, row.get("query"), category=row.get("task_name"))
    if str(row.get("response") or "").startswith(_ERRORS):
        found.leave_out(_FAILED)
        return
    tokens_in, tokens_out = row.get("input_tokens"), row.get("output_tokens")
    if "performance" not in row:
        raise DataError(at(file, line, "performance"), None, "give the score, from 0 to 1")
    values: dict[str, Any] = {"score": row["performance"]}
    values |= {"input_tokens": tokens_in, "output_tokens": tokens_out}
    price = prices.get(str(row.get("model_name")))
    if price and isinstance(tokens_in, int | float) and isinstance(tokens_out, int | float):
        values["cost_usd"] = (tokens_in * price[0] + tokens_out * price[1]) / 1e6
    found.add(file, line, prompt, row.get("model_name"), values)


def _prices(path: Path) -> Prices:
    """Of default_llm.json, where it is found."""
    if path.is_dir():
        places = sorted(path.rglob(_PRICES))
    else:
        folders = (path.parent, path.parent.parent / "llm_candidates")
        places = [folder / _PRICES for folder in folders if (folder / _PRICES).is_file()]
    if not places:
        return {}
    stated = read_json(places[0])
    if not isinstance(stated, dict):
        raise DataError("file", str(places[0]), "give an object: model → input_price, output_price")
    found = {}
    for model, about in stated.items():
        both = [about.get(k) if isinstance(about, dict) else None for k in _PRICE_KEYS]
        usd = [float(p) for p in both if isinstance(p, int | float) and p >= 0]
        if len(usd) != len(_PRICE_KEYS):
            remedy = f"give {' and '.join(_PRICE_KEYS)} in USD per million tokens"
            raise DataError(f"{_PRICES} {model}", both, remedy)
        found[model] = (usd[0], usd[1])
    return found
