"""`linear`: ridge regression per model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, Arrays
from turnout.routers.ridge import choose_penalty, fit_ridges
from turnout.types import Floats


@dataclass(frozen=True, slots=True)
class Linear:
    """Quality = x · w + b per model, clipped to [0, 1]. weights_ (d, m), bias_ (m,)."""

    weights_: Floats
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
    ) -> Linear:
        """Fit (n, d) rows to (n, m) scores, NaN where missing; without a penalty one is chosen."""
        if penalty is None:
            penalty = choose_penalty(x, score, groups, seed=seed)
        weights, bias = fit_ridges(x, score, [penalty])[0]
        return cls(weights.astype(np.float32), bias.astype(np.float32))

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality."""
        return np.asarray(np.clip(x @ self.weights_ + self.bias_, 0.0, 1.0), dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {"weights": self.weights_, "bias": self.bias_}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Linear:
        """The head that `arrays` came from."""
        return cls(arrays["weights"], arrays["bias"])
