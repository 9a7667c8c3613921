"""What the cheap features of a whole prompt add to the outputs of a model that reads a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.routers.arrays import Arrays
from turnout.routers.inputs import LIMIT, feature_rows
from turnout.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTerm:
    """Adds weights · clip((feature - shift) · scale) to K outputs."""

    shift_: Floats
    """(f,)"""
    scale_: Floats
    """(f,)"""
    weights_: Floats
    """(f, K)"""

    @classmethod
    def standardised(cls, features: Floats, outputs: int) -> FeatureTerm:
        """Of (n, f) features that are fitted on; its weights are zero."""
        spread = np.maximum(features.std(axis=0), 1e-6)
        return cls(
            shift_=features.mean(axis=0).astype(np.float32),
            scale_=(1.0 / spread).astype(np.float32),
            weights_=np.zeros((features.shape[1], outputs), dtype=np.float32),
        )

    def rows(self, features: Floats) -> Floats:
        """(n, f) standardised, clipped so that an odd prompt throws nothing off its range."""
        z = (features - self.shift_) * self.scale_
        return np.asarray(np.clip(z, -LIMIT, LIMIT), dtype=np.float32)

    def of(self, texts: Sequence[str]) -> Floats:
        """(n, K) what is added for texts."""
        return np.asarray(self.rows(feature_rows(texts)) @ self.weights_, dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {"shift": self.shift_, "scale": self.scale_, "weights": self.weights_}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> FeatureTerm:
        """The term that `arrays` came from."""
        return cls(shift_=arrays["shift"], scale_=arrays["scale"], weights_=arrays["weights"])
