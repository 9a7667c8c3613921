"""What the `universal` router keeps of the prompts it was fitted on: numbers, and no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from turnout.routers.arrays import Arrays, sigmoid
from turnout.routers.reference import Reference
from turnout.types import Floats

LEAST_COMPLETE = 100
"""Reference prompts with a score of every candidate, below which predictions fill the holes."""
_NO_SCORE = 255
_LONGEST = 12.0
"""exp of this is more output than any model writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """r prompts of the fit as factors and numbers, without their texts."""

    factors: Floats
    """(r, K) made by a fit that had not seen the prompt."""
    predicted: Floats
    """(r, M) quality by that fit's own vectors; NaN where that fit did not know the model."""
    score: Floats
    """(r, M) as observed, NaN where a model was not run."""
    input_tokens: Floats
    """(r,)"""
    log_tokens: Floats
    """(r,) expected log of output tokens of a model of offset 0."""

    def arrays(self) -> Arrays:
        """By name, small: scores in 8 bits, the rest in 16."""
        score = np.where(np.isfinite(self.score), np.nan_to_num(self.score) * 200, _NO_SCORE)
        return {
            "factors": self.factors.astype(np.float16),
            "predicted": self.predicted.astype(np.float16),
            "score": np.rint(score).astype(np.uint8),
            "input_tokens": self.input_tokens.astype(np.float32),
            "log_tokens": self.log_tokens.astype(np.float16),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Remembered:
        """What `arrays` came from."""
        whole = arrays["score"].astype(np.float32)
        return cls(
            factors=arrays["factors"].astype(np.float32),
            predicted=arrays["predicted"].astype(np.float32),
            score=np.where(whole == _NO_SCORE, np.nan, whole / 200).astype(np.float32),
            input_tokens=arrays["input_tokens"].astype(np.float32),
            log_tokens=arrays["log_tokens"].astype(np.float32),
        )

    def reference(self, index: Sequence[int | None], vectors: Floats, tokens: Floats) -> Reference:
        """Predictions out of fold beside scores, of m candidates.

        Where at least 100 prompts have a score of every candidate, only those. Else all prompts,
        and a score that is missing is the predicted one.

        Args:
            index: column of each candidate; None, or one that is not remembered, is predicted from
                its vector.
            vectors: (m, K)
            tokens: (m,) log offsets of output tokens.
        """
        predicted = sigmoid(self.factors @ vectors.T).astype(np.float32)
        score = np.full(predicted.shape, np.nan, dtype=np.float32)
        for j, at in enumerate(index):
            if at is not None and at < self.score.shape[1]:
                held_out = self.predicted[:, at]
                predicted[:, j] = np.where(np.isfinite(held_out), held_out, predicted[:, j])
                score[:, j] = self.score[:, at]
        rows = np.isfinite(score).all(axis=1)
        if rows.sum() < LEAST_COMPLETE:
            rows = np.ones(len(score), dtype=np.bool_)
            score = np.where(np.isfinite(score), score, predicted)
        return Reference(
            predicted=predicted[rows],
            score=score[rows],
            input_tokens=self.input_tokens[rows],
            output_tokens=output_tokens(self.log_tokens[:, None] + tokens)[rows],
            cost_usd=np.full(score.shape, np.nan, dtype=np.float32)[rows],
        )

    def of_columns(self, index: Sequence[int | None]) -> Remembered:
        """The same prompts with other columns: old ones by place, and None for one without memory."""

        def taken(values: Floats) -> Floats:
            out = np.full((len(values), len(index)), np.nan, dtype=np.float32)
            for j, i in enumerate(index):
                if i is not None and i < values.shape[1]:
                    out[:, j] = values[:, i]
            return out

        return replace(self, predicted=taken(self.predicted), score=taken(self.score))


def output_tokens(log: Floats) -> Floats:
    """Output tokens of their logarithm, within what models write."""
    return np.exp(np.minimum(log, _LONGEST)).astype(np.float32)
