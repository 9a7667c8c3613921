"""Approximate search by `usearch` (HNSW, Malkov & Yashunin, 2016): for very many vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from turnout.errors import MissingExtraError
from turnout.routers.index.base import (
    Ids,
    at_least_one,
    check_dimension,
    distinct_ids,
    unit_rows,
)
from turnout.types import Floats

EXACT_UP_TO = 2_000
"""Vectors up to which every one is compared: a graph of so few gains nothing."""


class UsearchIndex:
    """Vectors in a graph in memory.

    Args:
        dimension: of every vector.

    Raises:
        MissingExtraError: usearch is not installed.
    """

    def __init__(self, dimension: int) -> None:
        try:
            from usearch.index import Index
        except ImportError as error:
            raise MissingExtraError("the usearch index", "usearch") from error
        self.dimension = check_dimension(dimension)
        # Inner product, since rows have unit length: a row of zeros is then far, not undefined.
        self._index: Any = Index(ndim=dimension, metric="ip", dtype="f32")

    def __len__(self) -> int:
        return len(self._index)

    def add(self, ids: Sequence[int], vectors: Floats) -> None:
        """Add or replace vectors. See `Index.add`."""
        rows = unit_rows(vectors, self.dimension, "vectors")
        new = distinct_ids(ids, len(rows))
        self.remove(new.tolist())
        if len(new):
            # One thread: the graph, and so the answer, depends on the order of insertion.
            self._index.add(new.astype(np.uint64), rows, threads=1)

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors. See `Index.remove`."""
        for key in ids:
            if key in self._index:
                self._index.remove(int(key))

    def search(self, queries: Floats, k: int) -> tuple[Ids, Floats]:
        """The nearest vectors, exactly up to `EXACT_UP_TO`. See `Index.search`."""
        wanted = unit_rows(queries, self.dimension, "queries")
        k = min(at_least_one(k), len(self))
        ids = np.empty((len(wanted), k), dtype=np.int64)
        similarity = np.empty((len(wanted), k), dtype=np.float32)
        if k == 0:
            return ids, similarity
        for i, query in enumerate(wanted):
            found = self._index.search(query, k, exact=len(self) <= EXACT_UP_TO, threads=1)
            near = 1.0 - np.asarray(found.distances, dtype=np.float32)
            order = np.lexsort((np.asarray(found.keys), -near))
            ids[i] = np.asarray(found.keys, dtype=np.int64)[order]
            similarity[i] = near[order]
        return ids, similarity
