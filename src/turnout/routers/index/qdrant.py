"""Search by Qdrant, embedded in this process: in memory or in a folder; or by a server."""

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


class QdrantIndex:
    """Vectors in a collection, which is made afresh.

    Args:
        dimension: of every vector.
        path: a folder to keep it in; `:memory:` keeps it in this process.
        collection: its name; an existing one of that name is replaced.

    Raises:
        MissingExtraError: qdrant-client is not installed.
    """

    def __init__(
        self, dimension: int, *, path: str = ":memory:", collection: str = "turnout"
    ) -> None:
        try:
            from qdrant_client import QdrantClient, models
        except ImportError as error:
            raise MissingExtraError("the qdrant index", "qdrant") from error
        self.dimension = check_dimension(dimension)
        self._models: Any = models
        self._client: Any = (
            QdrantClient(":memory:") if path == ":memory:" else QdrantClient(path=path)
        )
        self._name = collection
        if self._client.collection_exists(collection):
            self._client.delete_collection(collection)
        # Dot product, since rows have unit length: a row of zeros is then far, not undefined.
        size = models.VectorParams(size=dimension, distance=models.Distance.DOT)
        self._client.create_collection(collection, vectors_config=size)

    def __len__(self) -> int:
        return int(self._client.count(self._name, exact=True).count)

    def close(self) -> None:
        """Let go of the folder."""
        self._client.close()

    def add(self, ids: Sequence[int], vectors: Floats) -> None:
        """Add or replace vectors. See `Index.add`."""
        rows = unit_rows(vectors, self.dimension, "vectors")
        new = distinct_ids(ids, len(rows))
        if len(new):
            batch = self._models.Batch(ids=new.tolist(), vectors=rows.tolist())
            self._client.upsert(self._name, points=batch, wait=True)

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors. See `Index.remove`."""
        if len(ids):
            points = self._models.PointIdsList(points=[int(key) for key in ids])
            self._client.delete(self._name, points_selector=points, wait=True)

    def search(self, queries: Floats, k: int) -> tuple[Ids, Floats]:
        """The nearest vectors. See `Index.search`."""
        wanted = unit_rows(queries, self.dimension, "queries")
        k = min(at_least_one(k), len(self))
        ids = np.empty((len(wanted), k), dtype=np.int64)
        similarity = np.empty((len(wanted), k), dtype=np.float32)
        if k == 0:
            return ids, similarity
        for i, query in enumerate(wanted):
            found = self._client.query_points(self._name, query=query.tolist(), limit=k).points
            near = np.asarray([point.score for point in found], dtype=np.float32)
            keys = np.asarray([point.id for point in found], dtype=np.int64)
            order = np.lexsort((keys, -near))
            ids[i], similarity[i] = keys[order], near[order]
        return ids, similarity
