"""The seam between vectors and the store that searches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.types import Floats

Ids: TypeAlias = NDArray[np.int64]


@runtime_checkable
class Index(Protocol):
    """Finds the vectors of the highest cosine similarity.

    An id stands for one vector: adding it again replaces the vector. Vectors are scaled to unit
    length on the way in; one that is all zero has similarity 0 to everything. Equal similarities
    come in the order of their ids where the store is exact (numpy, pgvector).
    """

    @property
    def dimension(self) -> int:
        """D."""
        ...

    def __len__(self) -> int:
        """How many vectors it holds."""
        ...

    def add(self, ids: Sequence[int], vectors: Floats) -> None:
        """Add or replace vectors.

        Args:
            ids: n distinct whole numbers, not negative.
            vectors: (n, d), finite.

        Raises:
            InputError: another shape, a negative or repeated id, a number that is not finite.
            RouterError: the store cannot be reached.
        """
        ...

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors; ids that it does not hold are passed over."""
        ...

    def search(self, queries: Floats, k: int) -> tuple[Ids, Floats]:
        """The nearest vectors of each query, nearest first.

        Args:
            queries: (n, d).
            k: how many, at least 1.

        Returns:
            ids and cosine similarities, both (n, min(k, len)).

        Raises:
            InputError: another dimension, or k below 1.
            RouterError: the store cannot be reached.
        """
        ...


def unit_rows(vectors: Floats, dimension: int, what: str) -> Floats:
    """(n, d) rows of unit length, or all zero.

    Raises:
        InputError: another shape or dimension, or numbers that are not finite.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise InputError(
            what,
            rows.shape,
            f"give rows of the index's dimension, (n, {dimension}): "
            "the same encoder must make the stored vectors and the queries",
        )
    if not np.isfinite(rows).all():
        raise InputError(what, "not finite", "give finite numbers")
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    return np.asarray(np.divide(rows, length, where=length > 0, out=np.zeros_like(rows)))


def distinct_ids(ids: Sequence[int], n: int) -> Ids:
    """(n,) ids.

    Raises:
        InputError: another number of them, one that is negative, or one that is given twice.
    """
    found = np.asarray(ids, dtype=np.int64).reshape(-1)
    if len(found) != n:
        raise InputError("ids", len(found), f"give one id for each of the {n} vectors")
    if len(found) and int(found.min()) < 0:
        raise InputError("ids", int(found.min()), "give ids that are not negative")
    values, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        raise InputError("ids", int(values[counts > 1][0]), "it is given twice; give an id once")
    return found


def at_least_one(k: int) -> int:
    """K itself.

    Raises:
        InputError: below 1.
    """
    if k < 1:
        raise InputError("k", k, "ask for at least one neighbour")
    return k


def check_dimension(dimension: int) -> int:
    """The dimension itself.

    Raises:
        InputError: below 1.
    """
    if dimension < 1:
        raise InputError("dimension", dimension, "give at least 1")
    return dimension
