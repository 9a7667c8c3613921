"""`knn`: the prompts most like this one, and what the models scored on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, Arrays, column_means, unit
from turnout.types import Floats

WIDTH = 0.3
"""Cosine that a neighbour may fall behind the nearest before its weight falls to 1/e."""
SHRINK = 10.0
"""Pseudo-rows that draw a neighbourhood's mean to the model's global mean."""
BATCH = 512


@dataclass(frozen=True, slots=True)
class Knn:
    """Distance-weighted mean of the k nearest prompts, drawn to the global mean.

    Weight exp((cos - cos of the nearest) / WIDTH). Source: kNN routing, arXiv:2505.12601;
    CARROT-kNN, arXiv:2502.03261. memory_ (n, d) unit rows, excess_ (n, m) score minus mean (0 where
    missing), seen_ (n, m) 1 where seen, mean_ (m,).
    """

    memory_: Floats
    excess_: Floats
    seen_: Floats
    mean_: Floats
    k: int

    @classmethod
    def fit(
        cls,
        x: Floats,
        score: Array,
        groups: NDArray[np.intp],  # noqa: ARG003 - one signature for all heads
        *,
        seed: int = 0,  # noqa: ARG003
        penalty: float | None = None,  # noqa: ARG003
    ) -> Knn:
        """Remember (n, d) rows and (n, m) scores, NaN where missing; k grows with n to 100."""
        mean = column_means(score)
        seen = np.isfinite(score)
        return cls(
            memory_=unit(x),
            excess_=np.where(seen, score - mean, 0.0).astype(np.float32),
            seen_=seen.astype(np.float32),
            mean_=mean.astype(np.float32),
            k=min(len(x), int(np.clip(len(x) // 10, 10, 100))),
        )

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality."""
        out = np.empty((len(x), len(self.mean_)), dtype=np.float32)
        for start in range(0, len(x), BATCH):
            out[start : start + BATCH] = self._batch(unit(x[start : start + BATCH]))
        return np.clip(out, 0.0, 1.0)

    def _batch(self, rows: Floats) -> Floats:
        cos = rows @ self.memory_.T
        if self.k < cos.shape[1]:
            top = np.argpartition(cos, -self.k, axis=1)[:, -self.k :]
        else:
            top = np.broadcast_to(np.arange(cos.shape[1]), cos.shape)
        near = np.take_along_axis(cos, top, axis=1)
        weight = np.exp((near - near.max(axis=1, keepdims=True)) / WIDTH)
        gain = np.einsum("nk,nkm->nm", weight, self.excess_[top])
        mass = np.einsum("nk,nkm->nm", weight, self.seen_[top])
        return np.asarray(self.mean_ + gain / (mass + SHRINK), dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name; the rows as int8, which moves a cosine by less than 0.01."""
        scale = np.maximum(np.abs(self.memory_).max(axis=1), 1e-12) / 127
        return {
            "memory": np.round(self.memory_ / scale[:, None]).astype(np.int8),
            "excess": self.excess_.astype(np.float16),
            "seen": self.seen_.astype(np.uint8),
            "mean": self.mean_,
            "k": np.asarray([self.k], dtype=np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Knn:
        """The head that `arrays` came from."""
        return cls(
            memory_=unit(arrays["memory"].astype(np.float32)),
            excess_=arrays["excess"].astype(np.float32),
            seen_=arrays["seen"].astype(np.float32),
            mean_=arrays["mean"],
            k=int(arrays["k"][0]),
        )
