"""`clusters`: kinds of prompts found by k-means, and how well each model does on each kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, Arrays, column_means, unit
from turnout.types import Floats

NEAREST = 3
"""Clusters that a prompt takes part in."""
SHARPNESS = 10.0
"""Softmax factor on cosines."""
SHRINK = 10.0
"""Pseudo-rows that draw a cluster's mean to the model's global mean."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Softmax-weighted cluster means of the three nearest centres.

    Source: Avengers-Pro (arXiv:2508.12631) and UniRoute (arXiv:2502.08773), with means shrunk to
    the global mean instead of scaled per cluster. centres_ (k, d) unit rows, quality_ (k, m).
    """

    centres_: Floats
    quality_: Floats

    @classmethod
    def fit(
        cls,
        x: Floats,
        score: Array,
        groups: NDArray[np.intp],  # noqa: ARG003 - one signature for all heads
        *,
        seed: int = 0,
        penalty: float | None = None,  # noqa: ARG003
    ) -> Clusters:
        """Fit (n, d) rows to (n, m) scores, NaN where missing; sqrt(n)/2 centres, 2 to 32."""
        rows = unit(x)
        k = min(len(rows), int(np.clip(np.sqrt(len(rows)) / 2, 2, 32)))
        centres = spherical_kmeans(rows, k, seed=seed)
        seen = np.isfinite(score)
        mean = column_means(score)
        weights = memberships(rows, centres)
        mass = weights.T @ seen
        excess = weights.T @ np.where(seen, score - mean, 0.0)
        return cls(centres, (mean + excess / (mass + SHRINK)).astype(np.float32))

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality."""
        mixed = memberships(unit(x), self.centres_) @ self.quality_
        return np.asarray(np.clip(mixed, 0.0, 1.0), dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {"centres": self.centres_, "quality": self.quality_}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Clusters:
        """The head that `arrays` came from."""
        return cls(arrays["centres"], arrays["quality"])


def memberships(rows: Floats, centres: Floats) -> Floats:
    """(n, k) weights of the nearest centres, each row summing to 1."""
    cos = rows @ centres.T
    top = min(NEAREST, cos.shape[1])
    cut = np.partition(cos, -top, axis=1)[:, -top][:, None]
    weights = np.where(cos >= cut, np.exp(SHARPNESS * (cos - cos.max(axis=1, keepdims=True))), 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def spherical_kmeans(
    rows: Floats, k: int, *, seed: int, iterations: int = 25, starts: int = 3
) -> Floats:
    """(k, d) unit centres, the best of `starts` runs from k-means++ seeds."""
    rng = np.random.default_rng(seed)
    best, best_fit = rows[:1], -np.inf
    for _ in range(starts):
        centres = _plus_plus(rows, k, rng)
        for _ in range(iterations):
            fresh = np.zeros_like(centres)
            np.add.at(fresh, np.argmax(rows @ centres.T, axis=1), rows)
            empty = np.linalg.norm(fresh, axis=1) < 1e-9
            fresh[empty] = centres[empty]
            fresh = unit(fresh)
            settled = np.allclose(fresh, centres, atol=1e-6)
            centres = fresh
            if settled:
                break
        fit = float((rows @ centres.T).max(axis=1).sum())
        if fit > best_fit:
            best, best_fit = centres, fit
    return best


def _plus_plus(rows: Floats, k: int, rng: np.random.Generator) -> Floats:
    chosen = [int(rng.integers(len(rows)))]
    far = np.maximum(1 - rows @ rows[chosen[0]], 0).astype(np.float64)
    for _ in range(k - 1):
        total = far.sum()
        spread = total > 1e-9
        pick = rng.choice(len(rows), p=far / total) if spread else rng.integers(len(rows))
        chosen.append(int(pick))
        far = np.minimum(far, np.maximum(1 - rows @ rows[chosen[-1]], 0))
    return rows[chosen].copy()
