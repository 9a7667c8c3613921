"""Open an index by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from turnout.errors import InputError, UnknownNameError, suggest
from turnout.routers.index.base import Index
from turnout.routers.index.local import NumpyIndex
from turnout.routers.index.postgres import PgvectorIndex
from turnout.routers.index.qdrant import QdrantIndex
from turnout.routers.index.usearch import UsearchIndex

INDEXES: dict[str, Callable[..., Index]] = {
    "numpy": NumpyIndex,
    "pgvector": PgvectorIndex,
    "qdrant": QdrantIndex,
    "usearch": UsearchIndex,
}


def open_index(name: str, dimension: int, options: Mapping[str, Any] | None = None) -> Index:
    """An empty index.

    Args:
        name: `numpy`, `usearch`, `qdrant` (options `path`, `collection`) or `pgvector` (options
            `dsn`, `table`).
        dimension: of every vector.
        options: keywords of that index.

    Raises:
        UnknownNameError: no such index.
        InputError: an option that it does not take.
        MissingExtraError: its package is not installed.
        RouterError: its store cannot be reached.
    """
    if name not in INDEXES:
        raise UnknownNameError("index", name, INDEXES)
    made = INDEXES[name]
    known = tuple(inspect.signature(made).parameters)[1:]
    for key in options or {}:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise InputError(
                f"options of index {name}", key, f"it takes: {listed}.{suggest(key, known)}"
            )
    return made(dimension, **(options or {}))
