"""Exact search in numpy: one matrix product a query. The default."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turnout.routers.index.base import (
    Ids,
    at_least_one,
    check_dimension,
    distinct_ids,
    unit_rows,
)
from turnout.types import Floats


class NumpyIndex:
    """Vectors in memory, in the order of their ids.

    Args:
        dimension: of every vector.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = check_dimension(dimension)
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._rows: Floats = np.empty((0, dimension), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[int], vectors: Floats) -> None:
        """Add or replace vectors. See `Index.add`."""
        rows = unit_rows(vectors, self.dimension, "vectors")
        new = distinct_ids(ids, len(rows))
        kept = ~np.isin(self._ids, new)
        all_ids = np.concatenate([self._ids[kept], new])
        order = np.argsort(all_ids, kind="stable")
        self._rows = np.ascontiguousarray(np.concatenate([self._rows[kept], rows])[order])
        self._ids = all_ids[order]

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors. See `Index.remove`."""
        kept = ~np.isin(self._ids, np.asarray(ids, dtype=np.int64))
        self._ids, self._rows = self._ids[kept], np.ascontiguousarray(self._rows[kept])

    def search(self, queries: Floats, k: int) -> tuple[Ids, Floats]:
        """The nearest vectors, exactly; ties in the order of ids. See `Index.search`."""
        wanted = unit_rows(queries, self.dimension, "queries")
        k = min(at_least_one(k), len(self))
        ids = np.empty((len(wanted), k), dtype=np.int64)
        similarity = np.empty((len(wanted), k), dtype=np.float32)
        for i, query in enumerate(wanted):  # one at a time: the same row whatever stands beside it
            near = self._rows @ query
            top = _top(near, k)
            ids[i], similarity[i] = self._ids[top], near[top]
        return ids, similarity

    def similarities(self, query: Floats, start: int, stop: int) -> Floats:
        """Of the vectors at these places in the order of ids.

        Args:
            query: (d,) of unit length.
            start: first place; the place is the id where ids are 0, 1, 2, ….
            stop: the place after the last.
        """
        return np.asarray(self._rows[start:stop] @ query)


def _top(values: Floats, k: int) -> Ids:
    """Places of the k largest, largest first, ties in order of place."""
    if k == 0:
        return np.empty(0, dtype=np.int64)
    if k < len(values):
        least = np.partition(values, len(values) - k)[len(values) - k]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    return np.asarray(places[np.argsort(-values[places], kind="stable")][:k], dtype=np.int64)
