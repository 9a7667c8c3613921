"""Rows with a prompt under a plain name, as spreadsheets and warehouses export them."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.data.logs.call import LogCall, Unusable
from turnout.data.logs.fields import Row
from turnout.data.logs.joins import Joins
from turnout.data.logs.openai import read_chat

_NAMES = ("question", "query", "text", "instruction", "user_message", "content")


def is_table(row: Row) -> bool:
    """A row with text under a name that means a prompt."""
    return any(isinstance(row.get(name), str) for name in _NAMES)


def read_table(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """A plain row whose prompt goes by another name."""
    name = next(name for name in _NAMES if isinstance(row.get(name), str))
    yield from read_chat({**row, "prompt": row[name]}, joins)
