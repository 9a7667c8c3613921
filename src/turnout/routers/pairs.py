"""From predicted qualities to a win rate that is a probability: a logistic fit out of fold."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from turnout.routers.arrays import Array, sigmoid
from turnout.types import PairRule

LEAST_ROWS = 50
STEPS = 25
PENALTY = 1e-2


def fit_pair_rule(predicted: Array, score: Array) -> PairRule:
    """P(strong scores higher than weak) = sigmoid(a q_s + b q_w + c), pooled over pairs of models.

    Fitted by Newton's method on out-of-fold predictions with the score gap clip(s_s - s_w, 0, 1) as
    the label, each pair weighing the same. Where the data cannot carry it (fewer than 50 rows, or a
    fit in which a better weak model raises the win rate) the plain difference is used.

    Args:
        predicted: (n, m) out-of-fold qualities.
        score: (n, m), NaN where missing.
    """
    order = np.argsort(-np.nanmean(np.where(np.isfinite(score), score, np.nan), axis=0))
    rows, labels, weights = [], [], []
    for s, w in combinations(order, 2):
        both = np.isfinite(score[:, s]) & np.isfinite(score[:, w])
        if both.any():
            rows.append(np.stack([predicted[both, s], predicted[both, w]], axis=1))
            labels.append(np.clip(score[both, s] - score[both, w], 0.0, 1.0))
            weights.append(np.full(int(both.sum()), 1.0 / both.sum()))
    if not rows or sum(map(len, rows)) < LEAST_ROWS:
        return PairRule("difference")
    x, y, weight = np.concatenate(rows), np.concatenate(labels), np.concatenate(weights)
    if not 0.0 < float((weight * y).sum()) < float(weight.sum()):
        return PairRule("difference")
    a, b, c = _logistic(x.astype(np.float64), y, weight / weight.mean())
    if not (a > 0.0 > b and np.isfinite([a, b, c]).all()):
        return PairRule("difference")
    return PairRule("logistic", a=float(a), b=float(b), c=float(c))


def _logistic(x: Array, y: Array, weight: Array) -> Array:
    """(3,) coefficients of two columns and an intercept, with a small ridge on the columns."""
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    ridge = PENALTY * weight.sum() * np.diag([1e-2, 1e-2, 0.0])
    beta: Array = np.zeros(3)
    for _ in range(STEPS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (weight * (p - y)) + ridge @ beta
        curvature = (design * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        beta = beta - step
        if float(np.abs(step).max()) < 1e-8:
            break
    return beta
