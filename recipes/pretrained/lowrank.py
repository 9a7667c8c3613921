"""Low-rank logistic fit: one factor map for all prompts, one vector for each entry. Numpy alone.

logit P(score) = b + V · (A x + a), by Adam (Kingma & Ba 2015) on the cross-entropy with dropped-out
inputs and a falling rate. Entries (a model as one set ran it) have vectors of their own here, so that
modes of calling do not pull the map; vectors of models are fitted afterwards on this map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import sigmoid
from turnout.types import Floats

RANK = 32
EPOCHS, BATCH, RATE = 25, 256, 3e-3
DROPPED = 0.5
DECAY = 0.3
"""Of the map and of the vectors, beside the rate (Loshchilov & Hutter 2019)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """A (d, K) and a (K,) of prompts; V (e, K) and b (e,) of entries."""

    map: Floats
    shift: Floats
    vectors: Floats
    level: Floats

    def predict(self, x: Floats) -> Floats:
        """(n, e) chances of (n, d) rows."""
        return np.asarray(sigmoid((x @ self.map + self.shift) @ self.vectors.T + self.level))


def fit_low_rank(
    copies: list[Floats],
    score: Floats,
    rows: NDArray[np.intp],
    *,
    rank: int = RANK,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> LowRank:
    """Fit to some rows.

    Args:
        copies: (n, d) inputs; further ones are of the same prompts written otherwise, and each
            batch draws one of them.
        score: (n, e) in [0, 1], NaN where missing.
        rows: which to fit on.
        rank: K.
        epochs: over the rows.
        seed: of the start, the batches and what is dropped.
    """
    rng = np.random.default_rng(seed)
    d, e = copies[0].shape[1], score.shape[1]
    held = {
        "map": rng.normal(0, 0.01, (d, rank)).astype(np.float32),
        "shift": np.zeros(rank, np.float32),
        "vectors": rng.normal(0, 0.3, (e, rank)).astype(np.float32),
        "level": np.zeros(e, np.float32),
    }
    held["vectors"][:, 0] = 1.0  # a first direction that all entries share: difficulty
    first = {k: np.zeros_like(v) for k, v in held.items()}
    second = {k: np.zeros_like(v) for k, v in held.items()}
    steps, t = epochs * -(-len(rows) // BATCH), 0
    for _ in range(epochs):
        order = rng.permutation(rows)
        for start in range(0, len(order), BATCH):
            at = order[start : start + BATCH]
            x = copies[int(rng.integers(len(copies)))][at]
            x = x * (rng.random(x.shape, dtype=np.float32) > DROPPED) / np.float32(1 - DROPPED)
            slopes = _slopes(held, x, score[at])
            t += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * t / steps))
            for key, slope in slopes.items():
                first[key] += 0.1 * (slope - first[key])
                second[key] += 0.001 * (slope**2 - second[key])
                if key in ("map", "vectors"):
                    held[key] *= np.float32(1 - rate * DECAY)
                mean, square = first[key] / (1 - 0.9**t), second[key] / (1 - 0.999**t)
                held[key] -= (rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
    return LowRank(**held)


def _slopes(held: dict[str, Floats], x: Floats, score: Floats) -> dict[str, Floats]:
    """Of the mean cross-entropy of a batch."""
    factors = x @ held["map"] + held["shift"]
    chance = sigmoid(factors @ held["vectors"].T + held["level"])
    seen = np.isfinite(score)
    off = (np.where(seen, chance - np.nan_to_num(score), 0.0) / max(seen.sum(), 1)).astype(
        np.float32
    )
    back = off @ held["vectors"]
    return {
        "map": x.T @ back,
        "shift": back.sum(axis=0),
        "vectors": off.T @ factors,
        "level": off.sum(axis=0),
    }
