"""Rows of CSV and Parquet files as rows of an outcomes file: one table has no nesting.

prompt,model,score,cost_usd                      a long row
prompt,score:gpt-4,cost_usd:gpt-4,score:small    a wide row: `FIELD:MODEL`
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

CELL_FIELDS: Final = ("score", "cost_usd", "input_tokens", "output_tokens")
"""What is known of one model on one prompt."""
_TRUTH: Final = {"true": True, "false": False}
_MISSING: Final = ("", "null", "none", "nan", "na")


def outcome_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a flat row says, in the fields of an outcomes file. Nested `models` stay as they are.

    An empty field, `null` and `nan` are nothing; a score that is nothing is a model that was not
    run. A number that cannot be read stays text, so that reading it fails with its line.
    """
    found: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    for name, value in row.items():
        field, colon, model = name.partition(":")
        if colon and model and field in CELL_FIELDS:
            models.setdefault(model, {"score": None})[field] = number(value)
        elif name in CELL_FIELDS:
            found[name] = number(value)
        elif name == "models" and isinstance(value, list):
            found[name] = dict(value)  # a map of Parquet
        elif not _is_missing(value) or name == "prompt":
            found[name] = value
    if models:
        found["models"] = models
    return found


def number(value: Any) -> Any:
    """The number or truth that a text stands for; None for nothing; what is neither as it is."""
    if _is_missing(value):
        return None
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if text in _MISSING:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    try:
        return float(text)
    except ValueError:
        return value


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
