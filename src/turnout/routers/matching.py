"""Which route an utterance belongs to: ways to score routes by their example utterances.

A logistic head (multinomial, ridge penalty) on the same vectors is the default: averages of
similarities treat every direction of the vectors alike, the head learns which ones part the routes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array
from turnout.types import Floats

Labels = NDArray[np.intp]
Scorer = Callable[[Floats], Floats]
"""(n, d) unit rows → (n, r) scores of routes; the highest is the best."""

SCALE = 4.0
"""Unit rows are stretched by this, so that one step size suits the head's fit."""
PENALTY = 1e-4
"""Ridge penalty of the head, a prompt. Over folds of near-duplicates within the training parts of
BANKING77 and CLINC150 (`benchmarks/semantic.py --folds`), 1e-4 and a tenth of it are within each
other's interval, ten times as much is worse, and so is every other way of matching below."""
STEPS = 200
STEP = 8.0
NEAREST = 3
"""Utterances that `mean` averages."""
SHARPNESS = 15.0
"""Of the softmax that turns similarities into probabilities for the ways without a head."""


def fit_head(x: Floats, route: Labels, routes: int) -> Floats:
    """(d, r) weights of a multinomial logistic regression.

    Nesterov's accelerated gradient descent: no dependency, the same answer every time, some 10 ms
    for a hundred utterances and seconds for ten thousand.

    Args:
        x: (n, d) unit rows.
        route: (n,) route of each.
        routes: how many routes, r.
    """
    rows: Floats = np.float32(SCALE) * x
    target = np.eye(routes, dtype=np.float32)[route]
    weights: Floats = np.zeros((x.shape[1], routes), dtype=np.float32)
    ahead = weights
    for step in range(STEPS):
        wrong: Floats = softmax(rows @ ahead) - target
        slope: Floats = rows.T @ wrong / np.float32(len(x)) + np.float32(PENALTY) * ahead
        moved: Floats = ahead - np.float32(STEP) * slope
        ahead = moved + np.float32(step / (step + 3)) * (moved - weights)
        weights = moved
    return weights


def logistic(x: Floats, route: Labels, routes: int) -> Scorer:
    """Score by a logistic head; scores are log-odds."""
    return by_weights(fit_head(x, route, routes))


def by_weights(weights: Floats) -> Scorer:
    """Score by the (d, r) weights of a head that is fitted."""
    stretched: Floats = weights * np.float32(SCALE)
    return lambda q: np.asarray(q @ stretched, dtype=np.float32)


def centroid(x: Floats, route: Labels, routes: int) -> Scorer:
    """Score by the similarity to each route's mean vector."""
    means = np.stack([x[route == r].mean(axis=0) for r in range(routes)])
    length = np.sqrt((means * means).sum(axis=1, keepdims=True))
    unit = np.divide(means, length, where=length > 0, out=np.zeros_like(means))
    return lambda q: np.asarray(SHARPNESS * (q @ unit.T), dtype=np.float32)


def nearest(x: Floats, route: Labels, routes: int, *, count: int) -> Scorer:
    """Score by the mean similarity of each route's `count` nearest utterances."""
    parts = [np.ascontiguousarray(x[route == r]) for r in range(routes)]

    def score(q: Floats) -> Floats:
        found = np.empty((len(q), routes), dtype=np.float32)
        for r, part in enumerate(parts):
            near = q @ part.T
            k = min(count, near.shape[1])
            found[:, r] = np.partition(near, near.shape[1] - k, axis=1)[:, -k:].mean(axis=1)
        return SHARPNESS * found

    return score


MATCHERS: dict[str, Callable[[Floats, Labels, int], Scorer]] = {
    "logistic": logistic,
    "centroid": centroid,
    "mean": lambda x, route, routes: nearest(x, route, routes, count=NEAREST),
    "max": lambda x, route, routes: nearest(x, route, routes, count=1),
}


def softmax(scores: Floats) -> Floats:
    """(n, r) probabilities of (n, r) scores."""
    shifted: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)
