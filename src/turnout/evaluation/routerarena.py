"""RouterArena (arXiv:2510.00202): its query lists and submission files, and what makes one valid.

A query list is a JSON array of `{"global index", "prompt_formatted"}` (its `dataset/router_data.json`,
`router_data_10.json`, `router_robustness.json`). A submission is a JSON array of entries:

    {"global index": "AIME_112", "prompt": "…", "prediction": "MODEL", "generated_result": null,
     "cost": null, "accuracy": null, "for_optimality": false}

Its own pipeline calls the models and fills in answers, costs and accuracies. Entries with
`for_optimality` are of the pool's other models on the 10% part; they do not count in the score. Nothing
here is fitted or tuned on its prompts: its rules forbid it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from turnout.data.files import read_rows
from turnout.data.lines import at
from turnout.errors import DataError, InputError
from turnout.evaluation.benchmarks.routerarena import index_of

_SHOWN: Final = 20
"""Problems that an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaQuery:
    """A query of the benchmark."""

    index: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaEntry:
    """An entry of a submission."""

    index: str
    prompt: str
    model: str
    accuracy: float | None = None
    cost_usd: float | None = None
    for_optimality: bool = False
    generated: Any = None

    def to_dict(self) -> dict[str, Any]:
        """As the submission has it."""
        return {
            "global index": self.index,
            "prompt": self.prompt,
            "prediction": self.model,
            "generated_result": self.generated,
            "cost": self.cost_usd,
            "accuracy": self.accuracy,
            "for_optimality": self.for_optimality,
        }


def read_queries(path: Path) -> list[ArenaQuery]:
    """Read a query list.

    Raises:
        DataError: a row without an index or a prompt, an index twice, or no row at all.
    """
    found: dict[str, ArenaQuery] = {}
    for line, row in read_rows(path):
        index, prompt = _index(row, path, line), row.get("prompt_formatted") or row.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            field = at(path, line, "prompt_formatted")
            raise DataError(field, prompt, "give the text of the query")
        if index in found:
            raise DataError(at(path, line, "global index"), index, "it is there twice")
        found[index] = ArenaQuery(index=index, prompt=prompt)
    if not found:
        raise DataError("file", str(path), "it holds no query; give RouterArena's router_data.json")
    return list(found.values())


def read_entries(path: Path) -> list[ArenaEntry]:
    """Read a submission, graded or not.

    Raises:
        DataError: an entry without an index or a model; an accuracy or a cost that cannot be used.
    """
    found = []
    for line, row in read_rows(path):
        index, model = _index(row, path, line), row.get("prediction")
        if not isinstance(model, str) or not model:
            raise DataError(at(path, line, "prediction"), model, "give the name of a model")
        accuracy, cost = row.get("accuracy"), row.get("cost")
        for field, value, most in (("accuracy", accuracy, 1.0), ("cost", cost, math.inf)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 <= value <= min(most, 1e300)):
                top = "from 0 to 1" if most == 1.0 else "of USD"
                raise DataError(at(path, line, field), value, f"give a number {top}, or null")
        found.append(
            ArenaEntry(
                index=index,
                prompt=str(row.get("prompt") or row.get("prompt_formatted") or ""),
                model=model,
                accuracy=accuracy,
                cost_usd=cost,
                for_optimality=bool(row.get("for_optimality")),
                generated=row.get("generated_result"),
            )
        )
    if not found:
        raise DataError("file", str(path), "it holds no entry; give a submission of RouterArena")
    return found


def optimality_entries(
    entries: Iterable[ArenaEntry], subset: Iterable[str], models: Sequence[str]
) -> list[ArenaEntry]:
    """Entries of the pool's other models for the queries of a part, by index.

    RouterArena compares what was chosen with these, on its 10% part.
    """
    wanted = set(subset)
    return [
        replace(entry, model=model, for_optimality=True)
        for entry in entries
        if entry.index in wanted and not entry.for_optimality
        for model in models
        if model != entry.model
    ]


def check(
    entries: Sequence[ArenaEntry], queries: Sequence[ArenaQuery], models: Sequence[str]
) -> list[str]:
    """What keeps a submission from being valid; empty where nothing does.

    Every query has one entry with its own prompt, and a model of the pool.
    """
    prompts = {query.index: query.prompt for query in queries}
    seen: dict[tuple[str, str], int] = {}
    found = []
    for number, entry in enumerate(entries, start=1):
        where = f"entry {number} ({entry.index})"
        if entry.index not in prompts:
            found.append(f"{where}: this index is not in the query list")
            continue
        if entry.prompt != prompts[entry.index]:
            found.append(f"{where}: its prompt is not that of the query list")
        if entry.model not in models:
            found.append(f"{where}: {entry.model!r} is not in the pool: {', '.join(models)}")
        # A query has one entry, and one for optimality of each other model.
        key = (entry.index, entry.model if entry.for_optimality else "")
        if seen.setdefault(key, number) != number:
            found.append(f"{where}: entry {seen[key]} has this index too")
    missing = [query.index for query in queries if (query.index, "") not in seen]
    found += [f"{index}: the query has no entry" for index in missing]
    return found


def require_valid(
    entries: Sequence[ArenaEntry],
    queries: Sequence[ArenaQuery],
    models: Sequence[str],
    *,
    name: str,
) -> None:
    """Raise what `check` finds.

    Raises:
        DataError: the submission is not valid; it lists what is wrong.
    """
    problems = check(entries, queries, models)
    if problems:
        shown = "\n  ".join(problems[:_SHOWN])
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DataError(name, f"{len(problems)} problems", f"mend these:\n  {shown}{more}")


def config(name: str, models: Sequence[str]) -> dict[str, Any]:
    """The configuration file that goes with a submission."""
    return {"pipeline_params": {"router_name": name, "models": list(models)}}


def write_json(path: Path, value: Any) -> None:
    """Write a file of a submission.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(value, ensure_ascii=False, indent=2)
        path.write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise InputError("out", str(path), f"it cannot be written: {error.strerror}") from None


def _index(row: Mapping[str, Any], path: Path, line: int) -> str:
    index = index_of(row)
    if not index:
        raise DataError(at(path, line, "global index"), None, "give the index of the query")
    return index
