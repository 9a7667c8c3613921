"""The seam between text and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import Array, Arrays
from turnout.types import Candidate, Floats, Prediction, Query


@runtime_checkable
class Router(Protocol):
    """Predicts the quality of candidates on queries. It never chooses: policies do."""

    @property
    def name(self) -> str:
        """The name in `router-NAME-0.5`."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Identifies the artifact that predicts; None for routers without one."""
        ...

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raise now what `predict` would raise for these candidates on any query.

        Raises:
            UnknownNameError: a candidate that this router's artifact does not know.
        """
        ...

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """Expected quality of each candidate on each query.

        Args:
            queries: n queries, n >= 0.
            candidates: m candidates, strongest first where the caller knows an order.

        Returns:
            A prediction with `quality` of shape (n, m) in [0, 1], finite, columns in the given
            order. The same query gives the same row whatever stands beside it.

        Raises:
            RouterError: it cannot predict now (a remote encoder is gone, say).
        """
        ...


class Head(Protocol):
    """The learned part of a trained router: rows in, quality per column out. Numpy alone."""

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality in [0, 1] of (n, d) rows."""
        ...

    def arrays(self) -> Arrays:
        """What was learned, by name, for the artifact."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The head that `arrays` came from."""
        ...


class FittedHead(Head, Protocol):
    """A head that `turnout train` can fit."""

    @classmethod
    def fit(
        cls,
        x: Floats,
        score: Array,
        groups: NDArray[np.intp],
        *,
        seed: int = 0,
        penalty: float | None = None,
    ) -> Self:
        """Learn from outcomes.

        Args:
            x: (n, d) input rows.
            score: (n, m) in [0, 1], NaN for a missing cell.
            groups: (n,) prompts of one group never part in a fold.
            seed: the same seed gives the same head.
            penalty: of heads that have a ridge penalty; None chooses one by cross-validation.
        """
        ...
