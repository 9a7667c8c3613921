"""RouterArena (arXiv:2510.00202): answers that were graded, in the layouts of its repository.

    DIR/*.jsonl        `cached_results/`: a file a model, a line an answer, with `global_index`,
                       `question`, `llm_selected`, `token_usage`, `success` and
                       `evaluation_result: {score, inference_cost}`
    FILE.json          `router_inference/predictions/*.json` after grading: entries with
                       `global index`, `prompt`, `prediction`, `accuracy`, `cost`; those with
                       `for_optimality` are of the other models

Costs are in USD. The category is the data set that a global index names. Its rules forbid to fit or to
tune anything on its prompts: measure on them, train elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from turnout.data.collecting import Collector
from turnout.data.files import read_rows
from turnout.data.table import OutcomeTable
from turnout.errors import DataError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.benchmarks.outcomes import from_table

NAME: Final = "routerarena"
RULE: Final = "RouterArena forbids to fit or to tune anything on its prompts"
_FAILED = "answers failed or were cut off: left out"
_UNGRADED = "answers are not graded: left out"
_KNOWN: Final = frozenset(
    """
    global_index question llm_selected generated_answer token_usage success provider error
    batch_size batch_number batch_index processing_mode evaluation_result finish_reason
    prompt prediction generated_result cost accuracy for_optimality
    """.split()
) | {"global index"}


def read(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """Graded answers as a benchmark of two or N models.

    Raises:
        DataError: another layout, or see `from_table`.
    """
    return from_table(read_table(path), models=models, name=NAME)


def read_table(path: Path, *, least_models: int = 2) -> OutcomeTable:
    """All graded answers of a folder or file.

    Raises:
        DataError: it is not laid out as above; a score or cost cannot be used.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise DataError("data", str(path), "it holds no *.jsonl; give RouterArena's cached_results")
    found = Collector(sorted(_KNOWN))
    for file in files:
        for line, row in read_rows(file):
            _take(found, file, line, row)
    return found.table(str(path), least_models=least_models)


def index_of(row: Mapping[str, Any]) -> str:
    """The global index of an entry, whichever way its key is written; empty where it has none."""
    return str(row.get("global index") or row.get("global_index") or "")


def category_of(index: str) -> str | None:
    """`Ethics_commonsense_12` → `Ethics_commonsense`."""
    return index.rpartition("_")[0] or None


def _take(found: Collector, file: Path, line: int, row: Mapping[str, Any]) -> None:
    found.unknown(file, line, [name for name in row if name not in _KNOWN])
    model, prompt = row.get("llm_selected", row.get("prediction")), row.get("question")
    prompt = found.prompt(
        file,
        line,
        row.get("prompt") if prompt is None else prompt,
        category=category_of(index_of(row)),
    )
    cached = "llm_selected" in row
    answer = row if cached else row.get("generated_result")
    answer = answer if isinstance(answer, dict) else {}
    graded = row.get("evaluation_result") if cached else row
    graded = graded if isinstance(graded, dict) else {}
    score = graded.get("score" if cached else "accuracy")
    if answer.get("success") is False:
        found.leave_out(_FAILED)
        return
    if score is None:
        found.leave_out(_UNGRADED)
        return
    used = answer.get("token_usage")
    used = used if isinstance(used, dict) else {}
    values = {
        "score": score,
        "cost_usd": graded.get("inference_cost" if cached else "cost"),
        "input_tokens": used.get("input_tokens"),
        "output_tokens": used.get("output_tokens"),
    }
    found.add(file, line, prompt, model, values)
