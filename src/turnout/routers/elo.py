"""Strengths of models on one prompt, from battles weighted by likeness to it (RouteLLM's SW)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.types import Floats

RIDGE = 1e-6
"""Penalty as a share of all weight: fixes the level, and keeps a tier that never lost finite."""
MOST_STEPS = 200
TOLERANCE = 1e-10
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Battles:
    """n battles between K tiers of models.

    Similarity-weighted Bradley-Terry (RouteLLM, arXiv:2406.18665, section 4.2, weights as its code
    has them: 10^(1 + cos / largest cos)). A tie is half a win each. The logistic fit needs of the
    battles only the weight of wins by pair of tiers, so a query costs one pass over them and a
    Newton solution of K unknowns that starts from the unweighted one.
    """

    vectors: Floats
    """(n, d) unit vectors of the prompts."""
    code: NDArray[np.intp]
    """(n,) winner * K + loser; plus K * K where it was a tie."""
    tiers: int
    start: Doubles
    """(K,) strengths of the unweighted fit, in logits, mean 0."""

    @classmethod
    def of(
        cls,
        vectors: Floats,
        winner: NDArray[np.intp],
        loser: NDArray[np.intp],
        tie: NDArray[np.bool_],
        tiers: int,
    ) -> Battles:
        """Fit the unweighted strengths.

        Args:
            vectors: (n, d) unit vectors, n >= 1.
            winner: (n,) tier of the winner; of a tie, of either.
            loser: (n,) tier of the other.
            tie: (n,) whether it was one.
            tiers: K.
        """
        code = winner * tiers + loser + np.where(tie, tiers * tiers, 0)
        wins = _wins(code, np.ones(len(code)), tiers)
        start = fit_strengths(wins, np.zeros(tiers))
        return cls(vectors=vectors, code=code, tiers=tiers, start=start)

    def strengths(self, vector: Floats) -> Doubles:
        """(K,) strengths in logits, mean 0, on a (d,) unit vector."""
        cosine = self.vectors @ vector
        return fit_strengths(_wins(self.code, weights(cosine), self.tiers), self.start)


def weights(cosine: Floats) -> Floats:
    """(n,) weight of each battle; all alike where no battle is like the prompt at all."""
    largest = float(cosine.max())
    if largest <= 0.0:
        return np.full(len(cosine), 10.0, dtype=np.float32)
    return np.asarray(np.exp(np.float32(np.log(10.0)) * (1.0 + cosine / largest)), np.float32)


def fit_strengths(wins: Doubles, start: Doubles) -> Doubles:
    """(K,) Bradley-Terry strengths, mean 0, of (K, K) weights of wins of row over column.

    Raises:
        ArithmeticError: Newton's method did not converge.
    """
    wins = wins / max(float(wins.sum()), 1e-300)
    theta = np.array(start, dtype=np.float64)
    loss = _loss(wins, theta)
    for _ in range(MOST_STEPS):
        p = 1.0 / (1.0 + np.exp(np.clip(theta[None, :] - theta[:, None], -500.0, 500.0)))
        gradient = (wins.T * p - wins * p.T).sum(axis=1) + RIDGE * theta
        if float(np.abs(gradient).max()) < TOLERANCE:
            return np.asarray(theta - theta.mean())
        curve = (wins + wins.T) * p * p.T
        np.fill_diagonal(curve, 0.0)
        hessian = np.diag(curve.sum(axis=1) + RIDGE) - curve
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (trial := _loss(wins, theta - size * step)) > loss + 1e-15 and size > 1e-10:
            size *= 0.5
        theta, loss = theta - size * step, trial
    raise ArithmeticError(f"strengths did not converge in {MOST_STEPS} steps")


def _loss(wins: Doubles, theta: Doubles) -> float:
    behind = theta[None, :] - theta[:, None]
    return float((wins * np.logaddexp(0.0, behind)).sum() + 0.5 * RIDGE * (theta @ theta))


def _wins(code: NDArray[np.intp], weight: NDArray[np.floating], tiers: int) -> Doubles:
    """(K, K) weight of wins of row over column; battles within a tier say nothing."""
    both = np.bincount(code, weights=weight, minlength=2 * tiers * tiers)
    won, tied = both.reshape(2, tiers, tiers)
    wins = np.asarray(won + 0.5 * (tied + tied.T))
    np.fill_diagonal(wins, 0.0)
    return wins
