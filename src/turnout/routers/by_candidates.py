"""What follows from some candidates alone: worked out once, and looked up for each decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from turnout.types import Candidate

MOST = 256
"""Sets of candidates kept. Pools are few, but allow-lists could make many subsets of them."""

K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")


class ByCandidates(Generic[V]):
    """Values by the candidates that they follow from; when there are too many, all are forgotten.

    A tuple that comes again is known by what it is, not by what it says: to hash a few candidates
    costs more than to predict them. Safe between threads.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Candidate, ...], V] = {}
        self._same: dict[int, tuple[tuple[Candidate, ...], V]] = {}
        """By identity; the tuple is kept, so that no other can come to have it."""

    def of(self, candidates: Sequence[Candidate], make: Callable[[Sequence[Candidate]], V]) -> V:
        """The value of some candidates, made where it is not kept."""
        same = self._same.get(id(candidates))
        if same is not None and same[0] is candidates:
            return same[1]
        key = tuple(candidates)
        found = self._kept.get(key)
        if found is None:
            found = make(key)
            _put(self._kept, key, found)
        _put(self._same, id(key), (key, found))
        return found


def _put(kept: dict[K, W], key: K, value: W) -> None:
    if len(kept) >= MOST:
        kept.clear()
    kept[key] = value
