"""A coin: the baseline that every other router must beat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from turnout.types import Candidate, PairRule, Prediction, Query


class RandomRouter:
    """Win rates drawn evenly from [0, 1): threshold t calls the strong model 1 - t of the time.

    Args:
        seed: with one, the draw depends on the seed and the query's text alone, so that runs can be
            repeated; without, every call draws afresh.
    """

    name = "random"
    fingerprint: str | None = None

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._rng = np.random.default_rng()

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Any candidates will do."""

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) even draws in [0, 1)."""
        m = len(candidates)
        if self._seed is None:
            draws = self._rng.random((len(queries), m), dtype=np.float32)
        else:
            draws = np.empty((len(queries), m), dtype=np.float32)
            for i, query in enumerate(queries):
                key = f"{self._seed}\0{query.text}".encode("utf-8", "surrogatepass")
                rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8]))
                draws[i] = rng.random(m, dtype=np.float32)
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=draws,
            pair=PairRule("strong"),
            basis=("a random draw, not a quality",) * m,
        )
