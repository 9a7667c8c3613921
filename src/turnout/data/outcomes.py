"""Read outcomes, what models scored on prompts (docs/reference/outcomes-format.md).

Wide rows hold a prompt and all its models, long rows one model each:

    {"prompt": "…", "models": {"gpt-4": {"score": 1, "cost_usd": 0.002}, "small": 0}}
    {"prompt": "…", "model": "gpt-4", "score": 1, "cost_usd": 0.002}

As JSONL, a JSON array, CSV or Parquet; of the last two `data.flat` says how columns are named. Votes
between two models are read too, by `data.battles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from turnout.data.battles import is_battle, read_battles
from turnout.data.collecting import Collector
from turnout.data.files import format_of, read_rows
from turnout.data.flat import CELL_FIELDS, outcome_row
from turnout.data.lines import at, json_lines
from turnout.data.table import OutcomeTable
from turnout.errors import DataError

ROW_FIELDS = ("prompt", "models", "model", "group", "category", *CELL_FIELDS)


def read_outcomes(path: Path | str, *, least_models: int = 2) -> OutcomeTable:
    """Read an outcomes file into a table of unique prompts.

    Near-duplicates and rows with the same `group` share a group number, so that no later split
    parts them. Cells given twice are averaged, and those that conflict are named. What was found is
    in the table's `notes`.

    Args:
        path: a JSONL, JSON, CSV or Parquet file; `-` is standard input, as JSONL.
        least_models: 1 reads the labelled anchors of one model.

    Raises:
        DataError: the file cannot be read; a line cannot be used (names file, line, field, value
            and remedy); wide and long rows mixed; no rows; fewer than `least_models` models.
        MissingExtraError: Parquet without pyarrow.
    """
    path = Path(path)
    kind = format_of(path)
    if (
        kind == "jsonl"
        and str(path) != "-"
        and any(is_battle(row) for _, row in islice(json_lines(path), 1))
    ):
        return read_battles(path)
    found = Collector(ROW_FIELDS)
    wide: bool | None = None
    for line, given in read_rows(path):
        row = outcome_row(given) if kind in ("csv", "parquet") else given
        is_wide = _is_wide(row, path, line)
        if wide not in (None, is_wide):
            raise DataError(
                at(path, line),
                sorted(row),
                "rows with `models` and rows with `model` are mixed; use one form for the file",
            )
        wide = is_wide
        _take(found, row, path, line, wide=is_wide)
    return found.table(str(path), least_models=least_models, row_per_prompt=bool(wide))


def _take(found: Collector, row: Mapping[str, Any], path: Path, line: int, *, wide: bool) -> None:
    found.unknown(path, line, [name for name in row if name not in ROW_FIELDS])
    prompt = found.prompt(
        path, line, row.get("prompt"), group=row.get("group"), category=row.get("category")
    )
    if not wide:
        found.add(path, line, prompt, row["model"], row)
        return
    models = row["models"]
    if not isinstance(models, dict) or not models:
        raise DataError(at(path, line, "models"), models, 'give {"NAME": SCORE, …}')
    for model, given in models.items():
        cell = given if isinstance(given, dict) else {"score": given}
        found.unknown(path, line, [name for name in cell if name not in ROW_FIELDS])
        found.add(path, line, prompt, model, cell)


def _is_wide(row: Mapping[str, Any], path: Path, line: int) -> bool:
    if ("models" in row) == ("model" in row):
        raise DataError(
            at(path, line),
            sorted(row),
            'give either "models": {NAME: SCORE, …} or "model": NAME and "score"; in CSV and '
            "Parquet a column `model`, or columns `score:NAME`",
        )
    return "models" in row
