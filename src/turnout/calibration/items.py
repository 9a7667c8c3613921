"""Item response: how hard each prompt is, and for whom, from the outcomes of several models.

A model with ability theta answers prompt i well with probability sigmoid(c_i + a_i · theta). With
one dimension this is the 2PL model; with more it is multidimensional (MIRT). The estimate of a new
model's accuracy follows gp-IRT (Polo et al. 2024, "tinyBenchmarks"): half the mean of what was seen
and what is predicted elsewhere, half the prediction corrected by its mean error on the anchors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DIMENSIONS = 2
"""One dimension misses models that are good at other things; four gain nothing with few models."""

_SPREAD_OF_SLOPES = 0.5
"""Penalty that draws slopes to 1 (first dimension) and to 0 (the others)."""
_SPREAD_OF_EASE = 0.05
_Z90 = 1.645


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A model's accuracy on a whole set, from its scores on some of it."""

    accuracy: float
    low: float
    """Lower end of a 90% interval, in [0, 1]."""
    high: float
    labelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """n prompts as the outcomes of m models show them."""

    ease: Array
    """(n,) intercepts c."""
    slopes: Array
    """(n, k) a."""
    abilities: Array
    """(m, k) of the models that they were fitted on."""

    @classmethod
    def fit(cls, score: NDArray[np.floating], *, dimensions: int = DIMENSIONS) -> Items:
        """Fit prompts and models in turns by damped Newton steps.

        Args:
            score: (n, m) in [0, 1], NaN where a model was not run; m >= 2, no empty row.
            dimensions: k, cut to m - 1.
        """
        seen = ~np.isnan(score)
        y = np.where(seen, score, 0.0).astype(np.float64)
        theta = _first_abilities(y, seen, max(1, min(dimensions, score.shape[1] - 1)))
        k = theta.shape[1]
        mean = np.clip(y.sum(axis=1) / np.maximum(seen.sum(axis=1), 1), 0.05, 0.95)
        items = np.zeros((len(y), k + 1))
        items[:, 0], items[:, 1] = _logit(mean), 1.0
        for _ in range(25):
            for _ in range(2):
                items = _step_items(items, theta, y, seen)
            theta = _step_models(items, theta, y, seen)
        return cls(ease=items[:, 0], slopes=items[:, 1:], abilities=theta)

    def predict(self, ability: Array) -> Array:
        """(n,) chance of a good answer by a model of this (k,) ability."""
        return _sigmoid(self.ease + self.slopes @ ability)

    def ability(self, anchors: NDArray[np.intp], score: NDArray[np.floating]) -> Array:
        """(k,) most likely ability of a model with these scores, the fitted ones as its prior."""
        k = self.slopes.shape[1]
        centre = self.abilities.mean(axis=0)
        precision = np.linalg.inv(np.cov(self.abilities.T).reshape(k, k) + 1e-6 * np.eye(k))
        ease, slopes, theta = self.ease[anchors], self.slopes[anchors], centre
        for _ in range(15):
            p = _sigmoid(ease + slopes @ theta)
            pull = slopes.T @ (score - p) - precision @ (theta - centre)
            bend = (slopes * np.maximum(p * (1 - p), 0.01)[:, None]).T @ slopes + precision
            theta = theta + np.clip(np.linalg.solve(bend, pull), -1.0, 1.0)
        return np.asarray(theta, dtype=np.float64)

    def estimate(self, anchors: NDArray[np.intp], score: NDArray[np.floating]) -> Estimate:
        """A new model's accuracy over all n prompts, from its scores on the anchors alone.

        Args:
            anchors: (a,) distinct rows, a >= 2, drawn so that they stand for all rows.
            score: (a,) in [0, 1].
        """
        n, a = len(self.ease), len(anchors)
        predicted = self.predict(self.ability(anchors, score))
        error = score - predicted[anchors]
        filled = predicted.copy()
        filled[anchors] = score
        corrected = predicted.mean() + error.mean()
        accuracy = float(np.clip((filled.mean() + corrected) / 2, 0.0, 1.0))
        # The sampling error of the correction, of a set without replacement; never quite zero.
        spread = np.sqrt((error.var() + 1.0 / a**2) * max(1.0 - a / n, 0.0) / a)
        return Estimate(
            accuracy=accuracy,
            low=float(max(accuracy - _Z90 * spread, 0.0)),
            high=float(min(accuracy + _Z90 * spread, 1.0)),
            labelled=a,
        )


def _first_abilities(y: Array, seen: NDArray[np.bool_], k: int) -> Array:
    """(m, k) starting abilities: log odds of the mean, then the directions left after it."""
    rows = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    columns = np.maximum(seen.sum(axis=0), 1)
    item, model = y.sum(axis=1, keepdims=True) / rows, y.sum(axis=0) / columns
    theta = np.empty((y.shape[1], k))
    theta[:, 0] = _logit(np.clip(model, 0.02, 0.98))
    if k > 1:
        left = np.where(seen, y - item - (model - model.mean()), 0.0)
        theta[:, 1:] = np.linalg.eigh(left.T @ left)[1][:, ::-1][:, : k - 1]
    return _standard(theta)


def _step_items(items: Array, theta: Array, y: Array, seen: NDArray[np.bool_]) -> Array:
    x = np.c_[np.ones(len(theta)), theta]
    start = np.zeros(x.shape[1])
    start[1] = 1.0
    penalty = np.r_[_SPREAD_OF_EASE, np.full(theta.shape[1], _SPREAD_OF_SLOPES)]
    p = _sigmoid(items @ x.T)
    weight = seen * np.maximum(p * (1 - p), 0.01)
    pull = (seen * (y - p)) @ x - penalty * (items - start)
    bend = np.einsum("nm,mi,mj->nij", weight, x, x, optimize=True) + np.diag(penalty)
    step: Array = items + np.clip(np.linalg.solve(bend, pull[..., None])[..., 0], -1.5, 1.5)
    return step


def _step_models(items: Array, theta: Array, y: Array, seen: NDArray[np.bool_]) -> Array:
    slopes = items[:, 1:]
    p = _sigmoid(items[:, :1] + slopes @ theta.T)
    weight = seen * np.maximum(p * (1 - p), 0.01)
    pull = (slopes.T @ (seen * (y - p))).T - theta
    bend = np.einsum("nm,ni,nj->mij", weight, slopes, slopes, optimize=True)
    bend = bend + np.eye(theta.shape[1])
    return _standard(theta + np.clip(np.linalg.solve(bend, pull[..., None])[..., 0], -1.0, 1.0))


def _standard(theta: Array) -> Array:
    centred = theta - theta.mean(axis=0)
    out: Array = centred / np.maximum(centred.std(axis=0), 1e-6)
    return out


def _sigmoid(x: Array) -> Array:
    out: Array = 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))
    return out


def _logit(p: Array) -> Array:
    out: Array = np.log(p / (1.0 - p))
    return out
