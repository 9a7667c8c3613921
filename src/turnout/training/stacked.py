"""The space and a head on the same prompts, averaged by weights that are fitted out of fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds
from turnout.routers.arrays import sigmoid
from turnout.routers.platt import Platt
from turnout.routers.space import ModelSpace, fit_vector
from turnout.training.fit import FOLDS, FittedParts
from turnout.training.simplex import fit_weights
from turnout.types import Floats

WIDTHS = (0.1, 0.5, 1.0, 2.0)
"""How far models of one source lie apart, tried as parts of the prior's covariance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """m models in the space, by the user's outcomes."""

    mean: Floats
    """(m, K)"""
    cov: Floats
    """(m, K, K)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """The space and a head together."""

    vectors: Vectors
    share: float
    """Of the head."""
    platt: Platt
    predicted: Floats
    """(n, m) out of fold."""

    def quality(self, head: Floats, factors: Floats) -> Floats:
        """(k, m) calibrated quality of k prompts.

        Args:
            head: (k, m) what the head predicts.
            factors: (k, K) of the same prompts.
        """
        space = sigmoid(factors @ self.vectors.mean.T)
        return self.platt.apply(
            np.asarray(self.share * head + (1.0 - self.share) * space, dtype=np.float32)
        )


def stack(
    head: FittedParts,
    factors: Floats,
    score: Floats,
    groups: NDArray[np.intp],
    space: ModelSpace,
    *,
    seed: int = 0,
) -> Stacked:
    """Fit vectors, and how much they and the head count, on predictions out of fold.

    Args:
        head: fitted on the same prompts, groups and seed.
        factors: (n, K) of the prompts, by a map that has not seen them.
        score: (n, m), NaN where missing.
        groups: (n,) prompts of one group never part in a fold.
        space: whose prior is the start of every vector.
        seed: for the folds.
    """
    n = len(score)
    fold = group_folds(groups, FOLDS, seed=seed) if len(np.unique(groups)) > 1 else None
    if fold is None:
        fold = np.zeros(n, dtype=np.intp)
    tried = {width: _out_of_fold(factors, score, fold, space, width) for width in WIDTHS}
    seen = np.isfinite(score)
    width = min(WIDTHS, key=lambda w: float(((tried[w] - score)[seen] ** 2).mean()))
    weight, average = fit_weights(np.stack([head.predicted, tried[width]]), score, fold)
    sure = sureness(head.predicted, average, score, groups)
    average = head.predicted + np.float32(sure) * (average - head.predicted)
    platt, predicted = _calibrated(average, score, fold)
    return Stacked(
        vectors=fit_vectors(factors, score, space, width),
        share=1.0 - sure * float(weight[1]),
        platt=platt,
        predicted=predicted,
    )


def sureness(head: Floats, average: Floats, score: Floats, groups: NDArray[np.intp]) -> float:
    """How much of the way from the head to the average to go, in [0, 1].

    Weights that are fitted on few labels take from the head where the space gained by luck alone. So
    the way is shrunk by gain^2 / (gain^2 + error^2), the factor of least squared error for a gain
    that is measured with this standard error; 0 where the average is no better than the head.

    Args:
        head: (n, m) out of fold.
        average: (n, m) out of fold.
        score: (n, m), NaN where missing.
        groups: (n,) prompts of one group are one observation.
    """
    seen = np.isfinite(score)
    truth = np.where(seen, score, 0.0).astype(np.float64)
    less = np.where(seen, (head - truth) ** 2 - (average - truth) ** 2, 0.0)
    _, group = np.unique(groups, return_inverse=True)
    gained, cells = np.bincount(group, less.sum(axis=1)), np.bincount(group, seen.sum(axis=1))
    k = len(cells)
    gain = float(gained.sum() / cells.sum())
    if gain <= 0.0 or k < 2:
        return 0.0
    error = float(((gained - gain * cells) ** 2).sum() * k / (k - 1)) / float(cells.sum()) ** 2
    return gain**2 / (gain**2 + error)


def fit_vectors(factors: Floats, score: Floats, space: ModelSpace, width: float) -> Vectors:
    """Vectors of m models that were run on the same prompts.

    Two levels: first what is common to the models here, their mean score as that of one model,
    under the space's prior; then each model about that, under `width` of the prior's covariance.

    Args:
        factors: (n, K)
        score: (n, m), NaN where missing.
        space: of the prior.
        width: how far the models lie apart.
    """
    seen = np.isfinite(score)
    some = seen.any(axis=1)
    common = np.where(seen, score, 0.0).sum(axis=1)[some] / seen.sum(axis=1)[some]
    middle, _ = fit_vector(factors[some], common, space.prior_mean_, space.prior_cov_)
    about = width * space.prior_cov_
    found = [
        fit_vector(factors[seen[:, j]], score[seen[:, j], j], middle, about)
        for j in range(score.shape[1])
    ]
    return Vectors(mean=np.stack([v for v, _ in found]), cov=np.stack([c for _, c in found]))


def _out_of_fold(
    factors: Floats, score: Floats, fold: NDArray[np.intp], space: ModelSpace, width: float
) -> Floats:
    """(n, m) quality by vectors that had not seen the prompt's fold."""
    made = np.empty(score.shape, dtype=np.float32)
    for f in np.unique(fold):
        held = fold == f
        vectors = fit_vectors(factors[~held], score[~held], space, width)
        made[held] = sigmoid(factors[held] @ vectors.mean.T)
    return made


def _calibrated(average: Floats, score: Floats, fold: NDArray[np.intp]) -> tuple[Platt, Floats]:
    """Platt's map where it helps on folds that it was not fitted on, else none; and its result."""
    m = score.shape[1]
    none = Platt(np.ones(m, dtype=np.float32), np.zeros(m, dtype=np.float32))
    crossed = np.empty(score.shape, dtype=np.float32)
    for f in np.unique(fold):
        held = fold == f
        crossed[held] = Platt.fit(average[~held], score[~held]).apply(average[held])
    seen = np.isfinite(score)
    gain = float(((average - score)[seen] ** 2).mean() - ((crossed - score)[seen] ** 2).mean())
    return (Platt.fit(average, score), crossed) if gain > 0.0 else (none, average)
