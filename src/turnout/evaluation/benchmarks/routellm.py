"""RouteLLM's three benchmarks, read from a folder laid out like its `routellm/evals/`.

    DIR/mmlu/responses/mmlu_*.csv       prompt and one True/False column a model
    DIR/gsm8k/gsm8k_responses.csv       the same, with the text of every answer
    DIR/mt_bench/{question,judgements}.jsonl
    DIR/*/contaminated_prompts.jsonl    prompts too close to RouteLLM's training data: dropped

Costs, for the dollar axis: list prices of the time; input tokens estimated from the prompt as it
stands in the files (few-shot examples are not in them); output tokens estimated from the recorded
answers of GSM8K and MT-Bench, and one token for MMLU, whose answers are a letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turnout.data.files import read_rows
from turnout.data.groups import near_duplicate_groups
from turnout.data.lines import json_lines
from turnout.errors import DataError
from turnout.evaluation.benchmarks import published
from turnout.evaluation.benchmarks.base import Benchmark, PublishedRow
from turnout.types import PICO, Candidate, Price, Query, estimate_tokens

STRONG: Final = Candidate(
    name="gpt-4-1106-preview",
    price=Price.per_million(10, 30),  # OpenAI's list price of 2023-11, as in RouteLLM's appendix
)
WEAK: Final = Candidate(
    name="mixtral-8x7b-instruct-v0.1",
    price=Price.per_million(0.24, 0.24),  # RouteLLM's blended price (its section 5.3)
)
# Column names in the CSV files, and in MT-Bench's judgements.
_COLUMNS: Final = ("gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1")
MMLU_OUTPUT_TOKENS = 1
_MT_SCALE = 10.0

_PRICES = (
    "costs: gpt-4-1106-preview 10 USD in, 30 USD out per million tokens; "
    "Mixtral-8x7B 0.24 USD per million; tokens estimated at 4 bytes each"
)


def read_mmlu(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """MMLU: 14,042 prompts of 57 subjects, 5 of them contaminated.

    Raises:
        DataError: the folder is not laid out as above, or other models are asked for.
    """
    _own_models_only(models)
    folder = _inside(path, "mmlu")
    files = sorted((folder / "responses").glob("mmlu_*.csv"))
    if not files:
        raise DataError("data", str(folder / "responses"), "it holds no mmlu_*.csv")
    rows: list[dict[str, str]] = []
    subjects: list[str] = []
    for file in files:
        read = _read_csv(file)
        rows.extend(read)
        subjects.extend([file.stem.removeprefix("mmlu_")] * len(read))
    kept, note = _clean(rows, folder)
    tokens = np.full((len(kept), 2), MMLU_OUTPUT_TOKENS, dtype=np.float64)
    return _benchmark(
        "routellm-mmlu",
        [rows[i]["prompt"] for i in kept],
        _booleans(rows, kept),
        tokens,
        categories=tuple(subjects[i] for i in kept),
        notes=(note, f"{_PRICES}; answers are one letter: {MMLU_OUTPUT_TOKENS} output token"),
        rows=published.MMLU,
    )


def read_gsm8k(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """GSM8K: 1,319 test prompts, 12 of them contaminated.

    Raises:
        DataError: the folder is not laid out as above, or other models are asked for.
    """
    _own_models_only(models)
    folder = _inside(path, "gsm8k")
    rows = _read_csv(folder / "gsm8k_responses.csv")
    kept, note = _clean(rows, folder)
    tokens = np.asarray(
        [[estimate_tokens(rows[i][f"{name}_response"]) for name in _COLUMNS] for i in kept]
    )
    return _benchmark(
        "routellm-gsm8k",
        [rows[i]["prompt"] for i in kept],
        _booleans(rows, kept),
        tokens.astype(np.float64),
        notes=(note, f"{_PRICES}, output from the recorded answers"),
        rows=published.GSM8K,
    )


def read_mt_bench(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """MT-Bench: 80 questions of two turns, 8 of them contaminated.

    A router sees the first turn; both turns follow its choice, as in RouteLLM. Quality is the mean
    of the judge's two scores.

    Raises:
        DataError: the folder is not laid out as above, or other models are asked for.
    """
    _own_models_only(models)
    folder = _inside(path, "mt_bench")
    questions = _read_jsonl(folder / "question.jsonl")
    kept, note = _clean([{"prompt": q["turns"][0]} for q in questions], folder)
    questions = [questions[i] for i in kept]
    judged = {
        (j["question_id"], j["model"], j["turn"]): j
        for j in _read_jsonl(folder / "judgements.jsonl")
    }
    names = (STRONG.name, _judged_name({model for _, model, _ in judged}))
    score = np.empty((len(kept), 2))
    tokens = np.empty((len(kept), 2))
    for i, question in enumerate(questions):
        for j, name in enumerate(names):
            turns = [judged[question["question_id"], name, turn] for turn in (1, 2)]
            score[i, j] = np.mean([t["score"] for t in turns]) / _MT_SCALE
            tokens[i, j] = sum(map(estimate_tokens, _answers(turns[1]["user_prompt"])))
    return _benchmark(
        "routellm-mtbench",
        [q["turns"][0] for q in questions],
        score,
        tokens,
        categories=tuple(q["category"] for q in questions),
        notes=(note, f"{_PRICES}, output from both recorded answers, input of the first turn only"),
        rows=published.MT_BENCH,
        scale=_MT_SCALE,
    )


def _benchmark(
    name: str,
    prompts: Sequence[str],
    quality: NDArray[np.float64],
    output_tokens: NDArray[np.float64],
    *,
    notes: tuple[str, ...],
    rows: tuple[PublishedRow, ...],
    categories: tuple[str, ...] = (),
    scale: float = 100.0,
) -> Benchmark:
    queries = tuple(Query.of(prompt) for prompt in prompts)
    tokens_in = np.asarray([q.input_tokens for q in queries], dtype=np.float64)
    cost = np.empty_like(quality)
    for j, model in enumerate((STRONG, WEAK)):
        assert model.price is not None
        cost[:, j] = tokens_in * model.price.input_picousd
        cost[:, j] += output_tokens[:, j] * model.price.output_picousd
    return Benchmark(
        name=name,
        queries=queries,
        candidates=(STRONG, WEAK),
        quality=quality,
        cost_usd=cost / PICO,
        groups=near_duplicate_groups(prompts),
        categories=categories,
        scale=scale,
        notes=notes,
        published=rows,
        input_tokens=np.repeat(tokens_in[:, None], quality.shape[1], axis=1),
        output_tokens=output_tokens.astype(np.float64),
    )


def _own_models_only(models: Sequence[str]) -> None:
    if models:
        raise DataError(
            "models", list(models), f"this benchmark compares {STRONG.name} and {WEAK.name} only"
        )


def _inside(path: Path, name: str) -> Path:
    """The benchmark's folder, whether `path` is it or the folder above."""
    for folder in (path / name, path):
        if (folder / "contaminated_prompts.jsonl").is_file():
            return folder
    raise DataError(
        "data",
        str(path),
        f"give the folder that holds {name}/contaminated_prompts.jsonl "
        "(RouteLLM's routellm/evals, laid out as it is there)",
    )


def _clean(rows: Sequence[dict[str, str]], folder: Path) -> tuple[list[int], str]:
    """Rows that are not contaminated, and a note of how many were."""
    contaminated = {r["eval_prompt"] for r in _read_jsonl(folder / "contaminated_prompts.jsonl")}
    kept = [i for i, row in enumerate(rows) if row["prompt"] not in contaminated]
    return kept, f"{len(rows) - len(kept)} of {len(rows)} prompts dropped as contaminated"


def _booleans(rows: Sequence[dict[str, str]], kept: Sequence[int]) -> NDArray[np.float64]:
    return np.asarray(
        [[float(rows[i][name] == "True") for name in _COLUMNS] for i in kept], dtype=np.float64
    )


def _read_csv(path: Path) -> list[dict[str, str]]:
    rows = [row for _, row in read_rows(path)]
    missing = {"prompt", *_COLUMNS} - set(rows[0] if rows else ())
    if missing:
        raise DataError("data", str(path), f"it lacks the columns {sorted(missing)}")
    return rows


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in json_lines(path)]


def _judged_name(models: set[str]) -> str:
    """The weak model's name in the judgements: the one that is not the strong model."""
    others = sorted(models - {STRONG.name})
    if len(others) != 1 or len(models) != 2:
        raise DataError("judgements", sorted(models), f"give {STRONG.name} and one other model")
    return others[0]


def _answers(judged: str) -> list[str]:
    """The assistant's answers in a judge's prompt of the multi-turn template."""
    chat = judged.partition("<|The Start of Assistant A's Conversation with User|>")[2]
    chat = chat.partition("<|The End of Assistant A's Conversation with User|>")[0]
    found = chat.split("### Assistant A:")[1:]
    return [answer.partition("### User:")[0].strip() for answer in found]
