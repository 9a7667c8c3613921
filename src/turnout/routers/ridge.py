"""Ridge regression of all models at once, with one penalty chosen by grouped cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds
from turnout.routers.arrays import Array, column_means

PENALTIES = tuple(float(v) for v in np.geomspace(1e-3, 1e2, 16))
"""In hundredths of the total variance, so that one grid serves every n and d."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvectors of a centred design: every penalty is then a rescaling.

    mean (d,), rotated (n, r) = centred rows in the eigenbasis, basis (d, r), values (r,).
    """

    mean: Array
    rotated: Array
    basis: Array
    values: Array

    @classmethod
    def of(cls, x: Array) -> Spectrum:
        """Decompose (n, d) rows on their shorter side."""
        mean = x.mean(axis=0, dtype=np.float64)
        centred = x.astype(np.float64) - mean
        if centred.shape[1] <= centred.shape[0]:
            values, basis = np.linalg.eigh(centred.T @ centred)
        else:
            values, left = np.linalg.eigh(centred @ centred.T)
            basis = centred.T @ left / np.sqrt(np.maximum(values, 1e-12))
        keep = values > max(float(values.max()), 1e-12) * 1e-9
        basis, values = basis[:, keep], values[keep]
        return cls(mean, centred @ basis, basis, values)

    def solve(self, target: Array, penalty: float) -> Array:
        """(r, m) ridge coefficients, in the eigenbasis, of a centred (n, m) target."""
        scale = penalty * float(self.values.sum()) / 100.0
        coefficients: Array = (self.rotated.T @ target) / (self.values + scale)[:, None]
        return coefficients


def patterns(score: Array) -> list[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """The distinct patterns of missing cells: (n,) rows seen, and the columns that share them."""
    seen = np.isfinite(score)
    if seen.all():
        return [(seen[:, 0], np.arange(score.shape[1]))]
    _, inverse = np.unique(seen.T, axis=0, return_inverse=True)
    inverse = np.ravel(inverse)
    found = []
    for p in range(int(inverse.max()) + 1):
        columns = np.flatnonzero(inverse == p)
        found.append((seen[:, columns[0]], columns))
    return found


def fit_ridges(x: Array, score: Array, penalties: Sequence[float]) -> list[tuple[Array, Array]]:
    """Per penalty: weights (d, m) and bias (m,), each model fitted on the rows where it was seen.

    A model seen on fewer than three rows gets its shrunk mean.
    """
    means = column_means(score)
    out: list[tuple[Array, Array]] = [
        (np.zeros((x.shape[1], score.shape[1])), means.copy()) for _ in penalties
    ]
    for rows, columns in patterns(score):
        if rows.sum() < 3:
            continue
        spectrum = Spectrum.of(x[rows])
        target = score[np.ix_(rows, columns)] - means[columns]
        centre = target.mean(axis=0)
        for (weights, bias), penalty in zip(out, penalties, strict=True):
            w = spectrum.basis @ spectrum.solve(target - centre, penalty)
            weights[:, columns] = w
            bias[columns] = means[columns] + centre - spectrum.mean @ w
    return out


def choose_penalty(
    x: Array, score: Array, groups: NDArray[np.intp], *, folds: int = 5, seed: int = 0
) -> float:
    """The penalty with the least squared error out of fold, all seen cells counted alike.

    The strongest where nothing can be held out: fewer than ten rows, or all of one group.
    """
    if len(x) < 10 or (groups == groups[0]).all():
        return PENALTIES[-1]
    fold = group_folds(groups, folds, seed=seed)
    error = np.zeros(len(PENALTIES))
    for f in range(folds):
        held = fold == f
        if held.any() and (~held).sum() >= 3:
            fitted = fit_ridges(x[~held], score[~held], PENALTIES)
            for j, (w, b) in enumerate(fitted):
                error[j] += np.nansum((np.clip(x[held] @ w + b, 0.0, 1.0) - score[held]) ** 2)
    return PENALTIES[int(np.argmin(error))]
