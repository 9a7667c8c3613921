"""LLMRouterBench (arXiv:2601.07206, once OpenRouterBench): its results, as its release unpacks them.

    DIR/…/<dataset>/<split>/<model>/<dataset>-<split>-<model>-<YYYYMMDD_HHMMSS>.json

Each file has `dataset_name`, `split`, `model_name`, `demo` and `records`, with `prompt`, `score`,
`prompt_tokens`, `completion_tokens` and `cost` in USD. Of several files of one data set, split and
model the latest counts; files with `demo` do not. A model all of whose calls cost 0 has no recorded
price (models that its authors served themselves): its cost is unknown, not nothing. An answer without a
score is left out; its own loader counts it as 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from turnout.data.collecting import Collector
from turnout.data.files import read_json
from turnout.data.lines import at
from turnout.data.table import OutcomeTable
from turnout.errors import DataError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.benchmarks.outcomes import from_table

NAME: Final = "llmrouterbench"
_STAMP: Final = re.compile(r"(\d{8}_\d{6})\.json$")
_UNGRADED = "answers have no score: left out"
_EMPTY = "records have no prompt: left out"
_DEMO = "files are demos: left out"
_OLD = "files are older runs of the same data set, split and model: left out"
_KNOWN: Final = frozenset(
    """
    index origin_query prompt prompt_tokens completion_tokens cost score prediction ground_truth
    raw_output extra_fields
    """.split()
)
_FILE: Final = ("dataset_name", "split", "model_name")


def read(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """LLMRouterBench's results as a benchmark of two or N models.

    Raises:
        DataError: another layout, or see `from_table`.
    """
    return from_table(read_table(path), models=models, name=NAME)


def read_table(path: Path) -> OutcomeTable:
    """All outcomes below a folder, or of one data set's or split's folder.

    Raises:
        DataError: it is not laid out as above; a score, cost or token count cannot be used.
    """
    found = Collector(sorted(_KNOWN))
    for file, result in _latest(path, found).values():
        records = result["records"]
        free = not any(isinstance(r, dict) and r.get("cost") for r in records)
        for number, record in enumerate(records, start=1):
            if not isinstance(record, dict):
                raise DataError(at(file, number), record, "each record must be a JSON object")
            _take(found, file, number, record, result, free=free)
    return found.table(str(path))


def _latest(path: Path, found: Collector) -> dict[tuple[str, ...], tuple[Path, dict[str, Any]]]:
    """(dataset, split, model) → the file that counts, and what it holds."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else []
    kept: dict[tuple[str, ...], tuple[Path, dict[str, Any]]] = {}
    for file in files:
        result = read_json(file)
        if not isinstance(result, dict) or not isinstance(result.get("records"), list):
            raise DataError("file", str(file), "it has no `records`; give the results/bench folder")
        if result.get("demo"):
            found.leave_out(_DEMO)
            continue
        parts = file.parts[-4:-1] if len(file.parts) >= 4 else ("", "", "")
        key = tuple(str(result.get(name) or part) for name, part in zip(_FILE, parts, strict=True))
        result = {**result, **dict(zip(_FILE, key, strict=True))}
        if key in kept:
            found.leave_out(_OLD)
            if _stamp(file) < _stamp(kept[key][0]):
                continue
        kept[key] = (file, result)
    if not kept:
        raise DataError(
            "data",
            str(path),
            "it holds no results; give the folder of <dataset>/<split>/<model>/*.json",
        )
    return kept


def _stamp(file: Path) -> str:
    match = _STAMP.search(file.name)
    return match.group(1) if match else ""


def _take(
    found: Collector,
    file: Path,
    number: int,
    record: dict[str, Any],
    result: dict[str, Any],
    *,
    free: bool,
) -> None:
    found.unknown(file, number, [name for name in record if name not in _KNOWN])
    text = record.get("prompt") or record.get("origin_query")
    if isinstance(text, list | dict):
        text = json.dumps(text, ensure_ascii=False)
    if not text:
        found.leave_out(_EMPTY)
        return
    prompt = found.prompt(file, number, text, category=result["dataset_name"] or None)
    if record.get("score") is None:
        found.leave_out(_UNGRADED)
        return
    values = {
        "score": record["score"],
        "cost_usd": None if free else record.get("cost"),
        "input_tokens": record.get("prompt_tokens"),
        "output_tokens": record.get("completion_tokens"),
    }
    found.add(file, number, prompt, result["model_name"], values)
