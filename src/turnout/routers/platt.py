"""Platt scaling per model: a predicted quality should be the quality that is observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnout.routers.arrays import Array, Arrays, logit, sigmoid
from turnout.types import Floats

PRIOR_ROWS = 20.0
"""Pseudo-rows that draw the map to the identity: few labels, or one class only, stay near it."""
STEPS = 25


@dataclass(frozen=True, slots=True)
class Platt:
    """Quality → sigmoid(slope logit(quality) + bias), per column. slope_ (m,), bias_ (m,).

    Source: Platt 1999, fitted on out-of-fold predictions so that it is not flattered by the fit.
    """

    slope_: Floats
    bias_: Floats

    @classmethod
    def fit(cls, predicted: Array, score: Array) -> Platt:
        """Fit to (n, m) out-of-fold predictions and scores, NaN where missing.

        A column whose predictions mislead gets its mean score: the order is never turned.
        """
        m = score.shape[1]
        slope, bias = np.ones(m, dtype=np.float32), np.zeros(m, dtype=np.float32)
        for j in range(m):
            seen = np.isfinite(score[:, j])
            slope[j], bias[j] = _newton(logit(predicted[seen, j]), score[seen, j])
            if slope[j] < 0.0:
                slope[j], bias[j] = 0.0, logit(score[seen, j].mean())
        return cls(slope, bias)

    def apply(self, quality: Floats) -> Floats:
        """(n, m) calibrated qualities."""
        return np.asarray(sigmoid(self.slope_ * logit(quality) + self.bias_), dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {"slope": self.slope_, "bias": self.bias_}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Platt:
        """The map that `arrays` came from."""
        return cls(arrays["slope"], arrays["bias"])


def _newton(z: Array, y: Array) -> tuple[float, float]:
    design = np.stack([z, np.ones(len(z))], axis=1).astype(np.float64)
    identity = np.asarray([1.0, 0.0])
    beta, ridge = identity, np.eye(2) * PRIOR_ROWS / 4
    for _ in range(STEPS):
        p = sigmoid(design @ beta)
        gradient = design.T @ (p - y) + ridge @ (beta - identity)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        beta = beta - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(beta[0]), float(beta[1])
