"""Weights of an average: least squares on the simplex, drawn to even ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array
from turnout.types import Floats

DRAWS_TO_EVEN = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Penalties on the squared distance from even weights, in units of squared error a cell."""
STEPS = 2_000
PRECISION = 1e-9


def simplex_weights(gram: Array, target: Array, penalty: float) -> Array:
    """The w >= 0 of sum 1 that minimises w'Gw - 2 w't + penalty |w - 1/k|^2.

    Projected gradient with momentum (Beck and Teboulle 2009); k is small, so that it takes no time.

    Args:
        gram: (k, k) mean products of the members' predictions.
        target: (k,) mean products of predictions and scores.
        penalty: 0 is plain least squares.
    """
    k = len(target)
    curved = gram + penalty * np.eye(k)
    pull = target + penalty / k
    step = 1.0 / max(float(np.linalg.eigvalsh(curved)[-1]), 1e-12)
    w = ahead = np.full(k, 1.0 / k)
    momentum = 1.0
    for _ in range(STEPS):
        new = _onto_simplex(ahead - step * (curved @ ahead - pull))
        later = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = new + (momentum - 1.0) / later * (new - w)
        done = float(np.abs(new - w).max()) < PRECISION
        w, momentum = new, later
        if done:
            break
    return w


def fit_weights(predicted: Floats, score: Array, fold: NDArray[np.intp]) -> tuple[Array, Floats]:
    """Weights of k members, and the average out of fold.

    How far they are drawn to even weights is chosen by the error out of fold, even ones included:
    of two that are as good, the evener.

    Args:
        predicted: (k, n, m) predictions out of fold.
        score: (n, m), NaN where missing.
        fold: (n,) the fold of each prompt; whole groups.

    Returns:
        (k,) weights from all prompts, and (n, m) averages by weights fitted on the other folds.
    """
    folds = np.unique(fold)
    parts = [_products(predicted[:, fold == f], score[fold == f]) for f in folds]
    whole = _Products(*(sum(values) for values in zip(*parts, strict=True)))
    even = np.full(len(predicted), 1.0 / len(predicted))
    chosen, held = None, [even] * len(folds)
    least = _error(held, parts)
    for penalty in sorted(DRAWS_TO_EVEN, reverse=True) if len(folds) > 1 else ():
        tried = [whole.less(part).weights(penalty) for part in parts]
        error = _error(tried, parts)
        if error < least:
            chosen, held, least = penalty, tried, error
    average = np.empty(score.shape, dtype=np.float32)
    for f, w in zip(folds, held, strict=True):
        average[fold == f] = np.einsum("k,knm->nm", w, predicted[:, fold == f])
    return even if chosen is None else whole.weights(chosen), average


class _Products(NamedTuple):
    """What the squared error of an average depends on, summed over scored cells."""

    gram: Array
    target: Array
    cells: float

    def less(self, part: _Products) -> _Products:
        """Without a part."""
        gram, target = self.gram - part.gram, self.target - part.target
        return _Products(gram, target, self.cells - part.cells)

    def weights(self, penalty: float) -> Array:
        """(k,) the best on these cells."""
        return simplex_weights(self.gram / self.cells, self.target / self.cells, penalty)


def _products(predicted: Floats, score: Array) -> _Products:
    seen = np.isfinite(score)
    p, y = predicted[:, seen].astype(np.float64), score[seen].astype(np.float64)
    return _Products(p @ p.T, p @ y, float(len(y)))


def _error(weights: Sequence[Array], parts: Sequence[_Products]) -> float:
    """Squared error of each part by its weights, less the squared scores, which are given."""
    return sum(
        float(w @ part.gram @ w - 2.0 * w @ part.target)
        for w, part in zip(weights, parts, strict=True)
    )


def _onto_simplex(v: Array) -> Array:
    """The nearest point of the simplex (Duchi et al. 2008)."""
    down = np.sort(v)[::-1]
    above = (np.cumsum(down) - 1.0) / np.arange(1, len(v) + 1)
    return np.asarray(np.maximum(v - above[np.flatnonzero(down > above)[-1]], 0.0))
