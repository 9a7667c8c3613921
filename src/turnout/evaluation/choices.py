"""Numbers of one way to choose a model a prompt, beside the best single model and the oracle.

Sources: V_B and selection entropy, RouterEval (arXiv:2503.10657); Gain@B and Gap@O, LLMRouterBench
(arXiv:2601.07206); the arena score, RouterArena (arXiv:2510.00202).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.metrics import Vector

ARENA_BETA = 0.1
ARENA_USD = (0.0044, 200.0)
"""Cost of 1,000 queries at which the arena's cost score is 1, and 0."""


def utility(quality: Vector, cost_usd: Vector, usd_per_quality: float) -> Vector:
    """U = s - c / lambda, in quality; with lambda = inf what a call costs does not count.

    Args:
        quality: of any shape.
        cost_usd: of the same shape; looked at only where lambda is finite.
        usd_per_quality: lambda, what one full unit of quality is worth.
    """
    if math.isinf(usd_per_quality):
        return quality
    return quality - cost_usd / usd_per_quality


def oracle_choice(value: NDArray[np.float64], cost_usd: NDArray[np.float64]) -> NDArray[np.intp]:
    """(n,) best of (n, m) values with hindsight; a tie goes to the cheaper model."""
    cost = np.where(np.isnan(cost_usd), 0.0, cost_usd)
    best = value >= value.max(axis=1, keepdims=True)
    return np.asarray(np.argmin(np.where(best, cost, np.inf), axis=1), dtype=np.intp)


def selection_entropy(choice: NDArray[np.intp], m: int) -> float:
    """Entropy of how often each of m models is chosen, in bits: 0 is collapse to one model."""
    share = np.bincount(choice, minlength=m) / len(choice)
    used = share[share > 0]
    return float(abs(np.sum(used * np.log2(used))))


def top_share(choice: NDArray[np.intp], m: int) -> float:
    """Share of prompts that the model chosen most often gets: 1 is collapse to one model."""
    return float(np.bincount(choice, minlength=m).max() / len(choice))


def arena_score(quality: Vector, cost_usd: Vector, *, beta: float = ARENA_BETA) -> Vector:
    """RouterArena's S = (1 + b) A C / (b A + C), nearly accuracy alone at b = 0.1.

    C = (log2 c_max - log2 c) / (log2 c_max - log2 c_min), c in USD per 1,000 queries, clamped.

    Args:
        quality: (k,) mean quality A in [0, 1].
        cost_usd: (k,) mean cost of a call.
        beta: weight of cost.
    """
    least, most = ARENA_USD
    usd = np.clip(np.asarray(cost_usd) * 1000.0, least, most)
    cheap = (math.log2(most) - np.log2(usd)) / (math.log2(most) - math.log2(least))
    below = beta * np.asarray(quality) + cheap
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (1.0 + beta) * np.asarray(quality) * cheap / below
    return np.asarray(np.where(below > 0, found, 0.0))


def mean_ratio(got: Vector, base: Vector, categories: Sequence[str]) -> float:
    """Mean over categories of mean(got) / mean(base); over all prompts where there are none.

    Categories whose base is 0 have no ratio and are left out; NaN where none is left.
    """
    names = np.unique(np.asarray(categories), return_inverse=True)[1] if categories else None
    at = np.zeros(len(got), dtype=np.intp) if names is None else names
    above, below = np.bincount(at, weights=got), np.bincount(at, weights=base)
    counted = below > 0
    if not counted.any():
        return float("nan")
    return float(np.mean(above[counted] / below[counted]))


def gain_over_best(got: Vector, best_single: Vector, categories: Sequence[str] = ()) -> float:
    """Gain@B: relative gain over the best single model, averaged over categories where known."""
    return mean_ratio(got, best_single, categories) - 1.0


def gap_to_oracle(got: Vector, oracle: Vector, categories: Sequence[str] = ()) -> float:
    """Gap@O: relative loss against the oracle, averaged over categories where known."""
    return 1.0 - mean_ratio(got, oracle, categories)
