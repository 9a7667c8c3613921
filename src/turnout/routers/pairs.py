"""From predicted qualities to a win rate that is a probability: a logistic fit out of fold."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from turnout.routers.arrays import Array, sigmoid
from turnout.types import PairRule

LEAST_ROWS = 50
LEAST_SPREAD = 1e-3
"""Predicted gains closer together than this cannot carry a slope."""
STEPS = 50
PENALTY = 1e-4
"""Ridge on the slope, as a share of the rows."""


def fit_pair_rule(predicted: Array, score: Array, *, strong: float = 1.0) -> PairRule:
    """P(strong scores higher than weak) = sigmoid(a (q_s - q_w) + c), pooled over pairs of models.

    Platt scaling (Platt 1999) of the predicted gain, so that queries keep the order of their gain:
    sorting by P(weak fails) instead loses APGR. The label is the observed gain, clip(s_s - s_w, 0,
    1), and each pair weighs the same. Where the data cannot carry it (fewer than 50 rows, a slope
    that is not positive, or one gain for all rows, which leaves slope and intercept apart from
    each other undetermined) the plain difference is used.

    Args:
        predicted: (n, m) out-of-fold qualities.
        score: (n, m), NaN where missing.
        strong: how much of q_s counts: below 1 the order leans to where the weak model fails, which
            holds up better where the level of quality is not known.
    """
    seen = np.isfinite(score)
    means = np.where(seen, score, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    gains, labels, weights = [], [], []
    for s, w in combinations(np.argsort(-means, kind="stable"), 2):
        both = seen[:, s] & seen[:, w]
        if both.any():
            gains.append((strong * predicted[both, s] - predicted[both, w]).astype(np.float64))
            labels.append(np.clip(score[both, s] - score[both, w], 0.0, 1.0))
            weights.append(np.full(int(both.sum()), 1.0 / both.sum()))
    if sum(map(len, gains)) < LEAST_ROWS:
        return PairRule("difference")
    x, y, weight = np.concatenate(gains), np.concatenate(labels), np.concatenate(weights)
    if np.ptp(x) < LEAST_SPREAD:
        return PairRule("difference")
    slope, intercept = _platt(x, y, weight / weight.mean())
    if not (slope > 0.0 and np.isfinite([slope, intercept]).all()):
        return PairRule("difference")
    return PairRule("logistic", a=strong * slope, b=-slope, c=intercept)


def _platt(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Slope and intercept by Newton's method."""
    design = np.stack([x, np.ones(len(x))], axis=1)
    ridge = np.diag([PENALTY * len(x), 1e-6])
    beta = np.zeros(2)
    for _ in range(STEPS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (weight * (p - y)) + ridge @ beta
        curvature = (design * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        beta = beta - np.clip(step, -5.0, 5.0)
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(beta[0]), float(beta[1])
