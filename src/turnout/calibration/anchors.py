"""Which prompts to label, so that a new model's scores on them tell the most.

With outcomes of other models: strata of difficulty, and of many such draws the one whose item
parameters are nearest to those of the whole set. A draw that stands for the set keeps the mean of
the anchors honest; picking the most informative prompts alone (D-optimal, greedy variance) was
measured to be worse, for it trusts what few models show of each prompt. With text alone there are
no item parameters: D-optimal in the predictor's own factors is what can be had.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.items import Items

DRAWS = 20
"""Stratified draws among which the most balanced is kept; many more make the draw extreme."""


def balanced_anchors(
    difficulty: NDArray[np.floating], items: Items, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """(count,) distinct rows, spread over difficulty and alike to all rows in item parameters.

    Args:
        difficulty: (n,) mean score of the other models.
        items: fitted on their outcomes.
        count: from 1 to n.
        rng: makes the draws.
    """
    features = np.c_[items.ease, items.slopes]
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    draws = [stratified(difficulty, count, rng) for _ in range(DRAWS)]
    off = [float((features[draw].mean(axis=0) ** 2).sum()) for draw in draws]
    return draws[int(np.argmin(off))]


def stratified(
    difficulty: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """(count,) distinct rows, one from each of `count` strata of equal size by difficulty."""
    n = len(difficulty)
    order = np.lexsort((rng.random(n), difficulty))
    # Strata need not be whole rows wide, so that chances are nearly equal whatever n / count is.
    step = n / count
    at = np.floor((np.arange(count) + rng.random(count)) * step).astype(np.intp)
    for i in range(1, count):  # two draws of neighbouring strata may meet in a row that both share
        at[i] = max(at[i], at[i - 1] + 1)
    top = n - count + np.arange(count)
    return np.asarray(order[np.minimum(at, top)], dtype=np.intp)


def d_optimal(
    factors: NDArray[np.floating], prior: NDArray[np.floating], count: int
) -> NDArray[np.intp]:
    """(count,) distinct rows that shrink the uncertainty of a model's vector most, greedily.

    Each step takes the row of the largest prior variance of its logit and conditions on it, as if
    each answer held the information of an even one (p (1 - p) = 1/4).

    Args:
        factors: (n, k) of the prompts.
        prior: (k, k) covariance of a new model's vector.
        count: from 1 to n.
    """
    left = np.ones(len(factors), dtype=bool)
    x, cov = factors.astype(np.float64), np.array(prior, dtype=np.float64)
    chosen = np.empty(count, dtype=np.intp)
    for i in range(count):
        moved = x @ cov
        variance = (moved * x).sum(axis=1)
        best = int(np.argmax(np.where(left, variance, -np.inf)))
        chosen[i], left[best] = best, False
        cov = cov - np.outer(moved[best], moved[best]) / (variance[best] + 4.0)
    return chosen
