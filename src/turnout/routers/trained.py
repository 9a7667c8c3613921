"""The router around a fitted head: text → rows → columns → candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from turnout.features import CORE
from turnout.routers.arrays import clamp
from turnout.routers.base import Head, features_read
from turnout.routers.by_candidates import ByCandidates
from turnout.routers.columns import Columns
from turnout.routers.inputs import Inputs
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference, ShareKnob
from turnout.types import Candidate, Floats, PairRule, Prediction, Query, texts


@dataclass(frozen=True, slots=True)
class _Mix:
    """How some candidates follow from the columns: worked out once."""

    names: tuple[str, ...]
    weights: Floats
    """(K, m)"""
    basis: tuple[str, ...]
    output_tokens: Floats
    """(m,) mean of the reference, NaN where unknown."""


@dataclass(frozen=True, kw_only=True)
class ColumnRouter(ShareKnob):
    """What routers share that predict columns, fitted on outcomes: candidates and the reference."""

    name: str
    fingerprint: str | None
    columns: Columns
    pair: PairRule
    known: Reference
    """Out-of-fold predictions beside outcomes, by column."""
    _mixes: ByCandidates[_Mix] = field(default_factory=ByCandidates, repr=False)

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate must be a column, or find a place on the ladder.

        Raises:
            UnknownNameError: one does not.
        """
        self._mix(candidates)

    def prediction(self, by_column: Floats, candidates: Sequence[Candidate]) -> Prediction:
        """What (n, K) qualities by column mean for m candidates."""
        mix = self._mix(candidates)
        return Prediction(
            candidates=mix.names,
            quality=clamp(by_column @ mix.weights, 0.0, 1.0),
            output_tokens=mix.output_tokens[None].repeat(len(by_column), axis=0),
            pair=self.pair,
            basis=mix.basis,
        )

    def weights(self, candidates: Sequence[Candidate]) -> Floats:
        """(K, m): how candidates mix the columns."""
        return self._mix(candidates).weights

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """What is known of these candidates from the outcomes this router was fitted on."""
        return self.known.mix(self._mix(candidates).weights)

    def mixture(self, candidates: Sequence[Candidate]) -> tuple[Floats, tuple[str, ...]]:
        """(K, m): how candidates mix the columns, and what each candidate's rests on.

        Raises:
            UnknownNameError: a candidate that is no column and finds no place.
        """
        return self.columns.weights(candidates)

    def _mix(self, candidates: Sequence[Candidate]) -> _Mix:
        return self._mixes.of(candidates, self._look_up)

    def _look_up(self, candidates: Sequence[Candidate]) -> _Mix:
        weights, basis = self.mixture(candidates)
        tokens = self.known.mix(weights).mean_output_tokens()
        return _Mix(tuple(c.name for c in candidates), weights, basis, tokens)


@dataclass(frozen=True, kw_only=True)
class TrainedRouter(ColumnRouter):
    """Predicts with a head that was fitted on outcomes; opened from an artifact."""

    inputs: Inputs
    head: Head
    platt: Platt | None
    """Calibrates the head's qualities; None leaves them."""

    @property
    def waits(self) -> bool:
        """Whether the encoder calls something, or takes long."""
        return bool(getattr(self.inputs.encoder, "waits", False))

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality and output tokens."""
        rows = self.inputs.rows(texts(queries), core=self._reads_core)
        by_column = self.column_quality(rows)
        return self.prediction(by_column, candidates)

    @cached_property
    def _reads_core(self) -> bool:
        """Whether the head reads no features but `CORE`: then no others need be made."""
        return features_read(self.head) <= frozenset(CORE)

    def column_quality(self, rows: Floats) -> Floats:
        """(n, K) calibrated quality by column, of (n, d) input rows."""
        by_column = self.head.predict(rows)
        if self.platt is not None:
            by_column = self.platt.apply(by_column)
        return self.columns.ordered(by_column)
