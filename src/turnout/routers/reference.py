"""What a trained router remembers of its outcomes, so that knobs can be set without new labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnout.routers.arrays import Arrays
from turnout.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Predictions made out of fold on r prompts, beside what was scored. K columns; no text."""

    predicted: Floats
    """(r, K) quality, predicted by heads that had not seen the prompt or its group."""
    score: Floats
    """(r, K), NaN where missing."""
    input_tokens: Floats
    """(r,) of the prompt."""
    output_tokens: Floats
    """(r, K), NaN where unknown."""
    cost_usd: Floats
    """(r, K) as recorded in the outcomes, NaN where unknown."""

    def mean_output_tokens(self) -> Floats:
        """(K,) mean output tokens, NaN for a column without any."""
        return _column_means(self.output_tokens)

    def mean_cost_usd(self) -> Floats:
        """(K,) mean recorded cost of a call, NaN for a column without any."""
        return _column_means(self.cost_usd)

    def mix(self, weights: Floats) -> Reference:
        """The same for candidates that mix the columns by (K, m) weights."""
        return Reference(
            predicted=self.predicted @ weights,
            score=_mix(self.score, weights),
            input_tokens=self.input_tokens,
            output_tokens=_mix(self.output_tokens, weights),
            cost_usd=_mix(self.cost_usd, weights),
        )

    def arrays(self) -> Arrays:
        """By name, small: qualities in 16 bits."""
        return {
            "predicted": self.predicted.astype(np.float16),
            "score": self.score.astype(np.float16),
            "input_tokens": self.input_tokens.astype(np.float32),
            "output_tokens": self.output_tokens.astype(np.float32),
            "cost_usd": self.cost_usd.astype(np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Reference:
        """The reference that `arrays` came from."""
        return cls(**{name: arrays[name].astype(np.float32) for name in cls.__slots__})


def _mix(values: Floats, weights: Floats) -> Floats:
    """(r, m) mixture of (r, K) values; NaN only where a column that counts is missing."""
    known = np.isfinite(values)
    mixed = np.where(known, values, 0.0) @ weights
    missing = (~known).astype(np.float32) @ weights > 1e-6
    return np.where(missing, np.nan, mixed).astype(np.float32)


def _column_means(values: Floats) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
