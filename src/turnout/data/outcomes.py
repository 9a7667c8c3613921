"""Read outcomes, what models scored on prompts, from JSONL (docs/reference/outcomes-format.md).

Wide rows hold a prompt and all its models, long rows one model each:

    {"prompt": "…", "models": {"gpt-4": {"score": 1, "cost_usd": 0.002}, "small": 0}}
    {"prompt": "…", "model": "gpt-4", "score": 1, "cost_usd": 0.002}

Votes between two models are read too, by `data.battles`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from turnout.data.battles import is_battle, read_battles
from turnout.data.groups import near_duplicate_groups
from turnout.data.lines import at, json_lines
from turnout.data.table import OutcomeTable, build_table
from turnout.errors import DataError, suggest
from turnout.types import Outcome

CELL_FIELDS = ("score", "cost_usd", "input_tokens", "output_tokens")
ROW_FIELDS = ("prompt", "models", "model", "group", "category", *CELL_FIELDS)


def read_outcomes(path: Path | str, *, least_models: int = 2) -> OutcomeTable:
    """Read an outcomes file into a table of unique prompts.

    Near-duplicates and rows with the same `group` share a group number, so that no later split
    parts them. Cells given twice are averaged. What was found is in the table's `notes`.

    Args:
        path: a JSONL file.
        least_models: 1 reads the labelled anchors of one model.

    Raises:
        DataError: the file cannot be read; a line cannot be used (names file, line, field, value
            and remedy); wide and long rows mixed; no rows; fewer than `least_models` models.
    """
    path = Path(path)
    if str(path) != "-" and any(is_battle(row) for _, row in islice(json_lines(path), 1)):
        return read_battles(path)
    seen = _Seen()
    outcomes = list(_outcomes(path, seen))
    if not seen.rows:
        raise DataError("file", str(path), "it holds no row; give one JSON object a line")
    if not outcomes:
        raise DataError("file", str(path), "every model's score is null; give some scores")
    table = build_table(outcomes, categories=seen.categories or None)
    if len(table.models) < least_models:
        raise DataError(
            "models", list(table.models), f"{path.name} needs scores of at least two models"
        )
    known = [seen.groups.get(prompt) for prompt in table.prompts]
    return replace(
        table,
        groups=near_duplicate_groups(table.prompts, known=known),
        notes=(*seen.notes(len(table.prompts)), *table.notes),
    )


@dataclass(slots=True)
class _Seen:
    """What was met while reading, beside the outcomes."""

    rows: int = 0
    wide: bool = True
    groups: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    """Fields that mean nothing here → line of the first."""

    def notes(self, prompts: int) -> tuple[str, ...]:
        found = [
            f"field {name!r} (first on line {line}) is not read.{suggest(name, ROW_FIELDS)}"
            for name, line in self.unknown.items()
        ]
        if self.wide and self.rows > prompts:
            found.append(f"{self.rows - prompts} rows repeat an earlier prompt: merged")
        return tuple(found)


def _outcomes(path: Path, seen: _Seen) -> Iterator[Outcome]:
    for line, row in json_lines(path):
        wide = _is_wide(row, path, line)
        if seen.rows == 0:
            seen.wide = wide
        elif wide != seen.wide:
            raise DataError(
                at(path, line),
                sorted(row),
                "rows with `models` and rows with `model` are mixed; use one form for the file",
            )
        seen.rows += 1
        for name in row.keys() - set(ROW_FIELDS):
            seen.unknown.setdefault(name, line)
        prompt = row.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise DataError(
                at(path, line, "prompt"), prompt, "give the text that was sent to the model"
            )
        group = _keep_labels(row, prompt, seen, path, line)
        cells = _wide_cells(row, path, line) if wide else _long_cell(row, path, line)
        for model, cell in cells.items():
            for name in cell.keys() - set(ROW_FIELDS):
                seen.unknown.setdefault(name, line)
            outcome = _outcome(prompt, model, cell, group, path, line)
            if outcome is not None:
                yield outcome


def _is_wide(row: Mapping[str, Any], path: Path, line: int) -> bool:
    if ("models" in row) == ("model" in row):
        raise DataError(
            at(path, line),
            sorted(row),
            'give either "models": {NAME: SCORE, …} or "model": NAME and "score"',
        )
    return "models" in row


def _keep_labels(
    row: Mapping[str, Any], prompt: str, seen: _Seen, path: Path, line: int
) -> str | None:
    """Group of the row; its category is kept in `seen`. The first of a prompt counts."""
    for name, kept in (("group", seen.groups), ("category", seen.categories)):
        value = row.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DataError(at(path, line, name), value, "give a text, or leave it out")
        kept.setdefault(prompt, str(value))
    return seen.groups.get(prompt)


def _wide_cells(row: Mapping[str, Any], path: Path, line: int) -> dict[str, Mapping[str, Any]]:
    models = row["models"]
    if not isinstance(models, dict) or not models:
        raise DataError(at(path, line, "models"), models, 'give {"NAME": SCORE, …}')
    return {
        _name(name, path, line): cell if isinstance(cell, dict) else {"score": cell}
        for name, cell in models.items()
    }


def _long_cell(row: Mapping[str, Any], path: Path, line: int) -> dict[str, Mapping[str, Any]]:
    return {_name(row["model"], path, line): row}


def _name(model: object, path: Path, line: int) -> str:
    if not isinstance(model, str) or not model.strip():
        raise DataError(at(path, line, "model"), model, "give the model's name")
    return model


def _outcome(
    prompt: str, model: str, cell: Mapping[str, Any], group: str | None, path: Path, line: int
) -> Outcome | None:
    """One outcome, or None where the score is null: the model was not run."""
    if "score" not in cell:
        raise DataError(
            at(path, line, f"score of {model!r}"), cell, 'give "score" from 0 to 1, or null'
        )
    values = {name: _number(cell.get(name), name, model, path, line) for name in CELL_FIELDS}
    score = values["score"]
    if score is None:
        return None
    if score > 1.0:
        where = at(path, line, f"score of {model!r}")
        raise DataError(where, cell["score"], "give 0 to 1 (divide a judge's 1 to 10 by 10)")
    tokens = {
        name: None if values[name] is None else round(values[name] or 0.0)
        for name in ("input_tokens", "output_tokens")
    }
    return Outcome(
        prompt=prompt, model=model, score=score, cost_usd=values["cost_usd"], group=group, **tokens
    )


def _number(value: object, name: str, model: str, path: Path, line: int) -> float | None:
    """A finite number that is not negative, or None for null; `true` is 1."""
    if value is None:
        return None
    if isinstance(value, bool | int | float) and 0 <= value < 1e300:
        return float(value)
    top = "from 0 to 1" if name == "score" else "that is not negative, or leave it out"
    raise DataError(at(path, line, f"{name} of {model!r}"), value, f"give a number {top}")
