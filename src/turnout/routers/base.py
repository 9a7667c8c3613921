"""The seam between text and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from turnout.types import Candidate, Prediction, Query


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
