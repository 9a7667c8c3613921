"""`mf`: matrix factorization over query and model vectors, for any number of models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, Arrays, column_means, logit, sigmoid
from turnout.routers.ridge import Spectrum, choose_penalty
from turnout.types import Floats

RANK = 8
STEPS = 40


@dataclass(frozen=True, slots=True)
class Factorization:
    """Quality = sigmoid(b_m + v_m · (W x)): one dot product a model at serving.

    The form of RouteLLM's mf (arXiv:2406.18665, section 4.2) and EmbedLLM (arXiv:2410.02223), with
    a logit per model instead of per pair. Fitted without a step size by majorisation: the logistic
    loss has curvature of at most 1/4, so each step is a ridge to eta + 4 (y - p), cut to rank in
    the metric of the fitted values (reduced-rank ridge, Mukherjee & Zhu 2011), with Nesterov's
    momentum. A missing cell has y = p: it says nothing.

    project_ (d, r), models_ (m, r), bias_ (m,).
    """

    project_: Floats
    models_: Floats
    bias_: Floats

    @classmethod
    def fit(
        cls,
        x: Floats,
        score: Array,
        groups: NDArray[np.intp],
        *,
        seed: int = 0,
        penalty: float | None = None,
    ) -> Factorization:
        """Fit (n, d) rows to (n, m) scores in [0, 1], read as probabilities; NaN where missing."""
        if penalty is None:
            penalty = choose_penalty(x, score, groups, seed=seed)
        spectrum = Spectrum.of(x)
        coefficients, bias = _majorise(spectrum, score, penalty)
        full = spectrum.basis @ coefficients
        left, values, right = np.linalg.svd(full, full_matrices=False)
        rank = min(RANK, len(values))
        root = np.sqrt(values[:rank])
        return cls(
            (left[:, :rank] * root).astype(np.float32),
            (root[:, None] * right[:rank]).T.astype(np.float32),
            (bias - spectrum.mean @ full).astype(np.float32),
        )

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality."""
        logits = (x @ self.project_) @ self.models_.T + self.bias_
        return np.asarray(sigmoid(logits), dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {"project": self.project_, "models": self.models_, "bias": self.bias_}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Factorization:
        """The head that `arrays` came from."""
        return cls(arrays["project"], arrays["models"], arrays["bias"])


def _majorise(spectrum: Spectrum, score: Array, penalty: float) -> tuple[Array, Array]:
    """Coefficients (r, m) of rank at most RANK in the eigenbasis, and bias (m,)."""
    seen = np.isfinite(score)
    y = np.where(seen, score, 0.0)
    bias = logit(column_means(score))
    coefficients: Array = np.zeros((len(spectrum.values), score.shape[1]))
    previous = coefficients
    root = np.sqrt(spectrum.values + penalty * float(spectrum.values.sum()) / 100.0)[:, None]
    for step in range(STEPS):
        ahead = coefficients + step / (step + 3.0) * (coefficients - previous)
        previous = coefficients
        eta = spectrum.rotated @ ahead + bias
        pull = np.where(seen, 4.0 * (y - sigmoid(eta)), 0.0)
        bias = bias + pull.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        pull = np.where(seen, 4.0 * (y - sigmoid(eta)), 0.0)
        coefficients = spectrum.solve(eta - bias + pull, penalty)
        if score.shape[1] > RANK:
            _, _, right = np.linalg.svd(root * coefficients, full_matrices=False)
            coefficients = coefficients @ right[:RANK].T @ right[:RANK]
    return coefficients, bias
