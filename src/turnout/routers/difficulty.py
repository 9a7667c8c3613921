"""How hard a prompt is, on one scale for all models: the head behind the shipped artifacts.

Outcome sets overlap little in models, so what can be learned from all of them is one difficulty per
prompt and one ability per model (item response theory; Rasch 1960). It is fitted by
`recipes/build_pretrained.py` and served here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

import numpy as np

from turnout.features import FEATURES
from turnout.routers.arrays import Arrays, clamp, sigmoid
from turnout.types import Floats

CLIP = 3.0
"""Standard deviations at which a feature stops to count in the fitted part."""
NEAR = 0.75
"""Cosine to a centre from which its correction counts in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """Quality of column k = sigmoid(level_k - slope * difficulty).

    difficulty = clip(z) · coef + bias + z · prior + correction, where z are the standardised
    features (the last f columns of a row) and the correction is the mean residual of the prompt's
    neighbourhood, drawn to 0 where no centre is near:
    sum_c w_c total_c / (sum_c w_c count_c + pseudo) with w_c = exp(temperature (cos_c - NEAR)).
    Levels rise along the ladder, so a stronger tier is never predicted to be worse.
    """

    coef_: Floats
    """(f,)"""
    prior_: Floats
    """(f,) fixed weights, not fitted."""
    bias_: float
    centres_: Floats
    """(c, d) unit rows."""
    count_: Floats
    """(c,) prompts of each centre."""
    total_: Floats
    """(c,) their residuals, summed."""
    temperature: float
    pseudo: float
    level_: Floats
    """(K,)"""
    slope_: float

    def predict(self, x: Floats) -> Floats:
        """(n, K) expected quality of (n, d + f) rows: unit embedding, standardised features."""
        hard = self.difficulty(x)[:, None]
        return np.asarray(sigmoid(self.level_ - self.slope_ * hard), dtype=np.float32)

    def difficulty(self, x: Floats) -> Floats:
        """(n,) difficulty, higher is harder."""
        f = len(self.coef_)
        z, embedding = x[:, -f:], x[:, :-f]
        near = np.exp(self.temperature * (embedding @ self.centres_.T - NEAR))
        correction = (near @ self.total_) / (near @ self.count_ + self.pseudo)
        fitted = clamp(z, -CLIP, CLIP) @ self.coef_ + self.bias_
        return np.asarray(fitted + z @ self.prior_ + correction, dtype=np.float32)

    def reads(self) -> frozenset[str]:
        """Names of the features that count; the others may be anything."""
        weighs = (self.coef_ != 0.0) | (self.prior_ != 0.0)
        return frozenset(compress(FEATURES, weighs))

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        numbers = (self.bias_, self.temperature, self.pseudo, self.slope_)
        return {
            "coef": self.coef_,
            "prior": self.prior_,
            "centres": self.centres_,
            "count": self.count_,
            "total": self.total_,
            "level": self.level_,
            "numbers": np.asarray(numbers, dtype=np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Difficulty:
        """The head that `arrays` came from."""
        bias, temperature, pseudo, slope = (float(v) for v in arrays["numbers"])
        return cls(
            coef_=arrays["coef"],
            prior_=arrays["prior"],
            bias_=bias,
            centres_=arrays["centres"],
            count_=arrays["count"],
            total_=arrays["total"],
            temperature=temperature,
            pseudo=pseudo,
            level_=arrays["level"],
            slope_=slope,
        )
