"""Bradley-Terry ratings from tables of wins, and tiers of models by their ratings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, sigmoid

STEPS = 12
TOLERANCE = 1e-7
MOST_STEP = 2.0


def solve(wins: Array, start: Array) -> Array:
    """(K,) ratings, with mean 0, that fit (K, K) wins of row over column; in logits.

    Newton's method on the concave likelihood sum_kl wins_kl log sigmoid(r_k - r_l) (Bradley & Terry
    1952). A ridge on the mean alone holds it, so the ratings are those of the unpenalised fit.
    Every tier must have won and lost something, which a prior sees to.

    Args:
        wins: how often, or with what weight, row won over column; the diagonal does not count.
        start: (K,) where to start; near the solution, a step or two will do.
    """
    rating = np.asarray(start, dtype=np.float64)
    games = wins + wins.T
    anchor = games.sum() / len(rating) ** 2
    for _ in range(STEPS):
        p = sigmoid(rating[:, None] - rating[None, :])
        pull = (wins - games * p).sum(axis=1) - anchor * rating.mean()
        flat = games * p * (1.0 - p)
        curve = np.diag(flat.sum(axis=1)) - flat + anchor / len(rating)
        step = np.clip(np.linalg.solve(curve, pull), -MOST_STEP, MOST_STEP)
        rating = rating + step
        if float(np.abs(step).max()) < TOLERANCE:
            break
    return rating


def tiers(rating: Array, k: int) -> NDArray[np.intp]:
    """(m,) tier of each model, 0 the weakest.

    The parting of the sorted ratings into k runs with the least sum of variances within runs, by
    dynamic programming, as RouteLLM groups its 64 models into 10.
    """
    order = np.argsort(rating, kind="stable")
    values, m = rating[order], len(rating)
    spread = np.full((m + 1, m + 1), np.inf)
    for i in range(m):
        for j in range(i + 1, m + 1):
            spread[i, j] = float(np.var(values[i:j]))
    cost, cut = np.full((k + 1, m + 1), np.inf), np.zeros((k + 1, m + 1), dtype=np.intp)
    cost[0, 0] = 0.0
    for t in range(1, k + 1):
        for j in range(t, m + 1):
            total = cost[t - 1, :j] + spread[:j, j]
            cut[t, j] = int(np.argmin(total))
            cost[t, j] = total[cut[t, j]]
    tier, end = np.zeros(m, dtype=np.intp), m
    for t in range(k, 0, -1):
        begin = int(cut[t, end])
        tier[order[begin:end]] = t - 1
        end = begin
    return tier
