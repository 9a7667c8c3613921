"""What a trained router remembers of its outcomes, so that knobs can be set without new labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.errors import InputError
from turnout.routers.arrays import Arrays
from turnout.types import Candidate, Floats, PairRule


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

    @classmethod
    def of_nothing(cls, columns: int) -> Reference:
        """Of a router that brings no outcomes."""
        none = np.zeros((0, columns), dtype=np.float32)
        return cls(
            predicted=none, score=none, input_tokens=none[:, 0], output_tokens=none, cost_usd=none
        )

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


class ShareKnob:
    """What routers that have a reference share: the knob as a share of strong calls."""

    pair: PairRule

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """What is known of these candidates from outcomes; each router says how."""
        raise NotImplementedError

    def reference_win_rates(self, candidates: Sequence[Candidate]) -> Floats:
        """(r,) out-of-fold win rates of the first over the last of two candidates.

        Raises:
            InputError: not exactly two candidates.
        """
        if len(candidates) != 2:
            names = [c.name for c in candidates]
            raise InputError("candidates", names, "a win rate is between two models")
        predicted = self.reference(candidates).predicted
        return self.pair.win_rate(predicted[:, 0], predicted[:, 1])

    def threshold_for_share(self, candidates: Sequence[Candidate], share: float) -> float:
        """The threshold that calls the first of two candidates on this share of the reference.

        In the fewest digits that tell it from its neighbours in 32 bits, since people copy it.
        """
        cut = np.quantile(self.reference_win_rates(candidates), 1.0 - share)
        return float(np.format_float_positional(np.float32(cut)))


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
