"""What heads see of a query: its vector and its cheap features, joined into one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.encoders.base import Encoder
from turnout.features import FEATURES, feature_vector
from turnout.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The rows that heads are fitted on.

    Each block is centred and scaled by numbers fitted with the head, and clipped: a prompt unlike
    any that was fitted on must not throw a linear head off its range.
    """

    encoder: Encoder
    shift: Floats
    """(d + f,) means of the fitted rows."""
    scale: Floats
    """(d + f,) factors."""
    limit: float = 4.0
    """Features are clipped at this many times their standard deviation."""
    feature_spread: Floats
    """(f,) scaled standard deviation of each feature, for clipping."""

    def rows(self, texts: Sequence[str]) -> Floats:
        """(n, d + f) scaled rows; each depends on its own text alone."""
        return self.transform(raw_rows(self.encoder, texts))

    def transform(self, raw: Floats) -> Floats:
        """(n, d + f) scaled rows of raw ones."""
        scaled = (raw - self.shift) * self.scale
        f = len(self.feature_spread)
        if f:
            bound = self.limit * self.feature_spread
            scaled[:, -f:] = np.clip(scaled[:, -f:], -bound, bound)
        return np.asarray(scaled, dtype=np.float32)


def raw_rows(encoder: Encoder, texts: Sequence[str]) -> Floats:
    """(n, d + f): the encoder's vector and the features, as they are."""
    numbers = np.asarray([feature_vector(t) for t in texts], dtype=np.float32)
    return np.concatenate([encoder.encode(texts), numbers.reshape(len(texts), len(FEATURES))], axis=1)


def fit_inputs(
    encoder: Encoder, raw: Floats, *, embedding_weight: float, feature_weight: float
) -> Inputs:
    """Centre and scale: the embedding as a whole, each feature by its own spread.

    Args:
        encoder: made the first d columns.
        raw: (n, d + f) raw rows.
        embedding_weight: total variance of the embedding after scaling.
        feature_weight: total variance of the features after scaling.
    """
    d, f = encoder.dimension, len(FEATURES)
    spread = raw.std(axis=0)
    scale = np.ones(d + f, dtype=np.float64)
    varies = spread[d:] > 1e-6
    scale[d:] = np.where(varies, 1.0 / np.maximum(spread[d:], 1e-6), 0.0)
    for block, weight in ((slice(0, d), embedding_weight), (slice(d, d + f), feature_weight)):
        total = float(((spread[block] * scale[block]) ** 2).sum())
        scale[block] *= np.sqrt(weight / max(total, 1e-9))
    return Inputs(
        encoder=encoder,
        shift=raw.mean(axis=0).astype(np.float32),
        scale=scale.astype(np.float32),
        feature_spread=(spread[d:] * scale[d:]).astype(np.float32),
    )
