"""The seam between text and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.base import Encoder
from turnout.features import FEATURES
from turnout.routers.arrays import Array, Arrays
from turnout.types import Candidate, Floats, Outcome, Prediction, Query


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedArtifact:
    """An artifact that was read and verified; routers do no I/O to open it."""

    where: str
    """How messages call it."""
    manifest: Mapping[str, Any]
    arrays: Arrays
    fingerprint: str | None
    encoder: Encoder | None
    """The encoder that the manifest states, opened and checked; None where it states none."""
    read: Callable[[str], bytes]
    """Further files by name, verified."""
    members: Mapping[str, Router] = field(default_factory=dict)
    """The routers that it is made of, opened, of a class that says `MADE_OF_MEMBERS`."""


class ArtifactRouter(Router, Protocol):
    """A router with an artifact of its own layout (a head has the common one)."""

    @classmethod
    def from_artifact(cls, opened: OpenedArtifact) -> Self:
        """The router that an artifact describes; it may take options as further keywords.

        Raises:
            ArtifactError, LookupError, TypeError, ValueError: the artifact does not fit.
        """
        ...


class Waits(Protocol):
    """What a router has besides if its prediction takes long: servers run it off their loop."""

    @property
    def waits(self) -> bool:
        """True where `predict` may take more than a few milliseconds, or calls something."""
        ...


@runtime_checkable
class Learns(Protocol):
    """What a router has besides if it learns while it serves. Safe beside `predict`."""

    def partial_fit(self, outcomes: Sequence[Outcome], *, pool: Sequence[Candidate] = ()) -> int:
        """Learn from outcomes of the pool's candidates; all are taken or none. Returns how many.

        Raises:
            DataError: a prompt or a score that cannot be used.
            UnknownNameError: a model that the router's artifact does not know.
        """
        ...


@runtime_checkable
class Samples(Protocol):
    """What a router has besides if it can say how qualities may turn out, for exploring."""

    def samples(
        self,
        query: Query,
        candidates: Sequence[Candidate],
        prediction: Floats,
        rng: np.random.Generator,
        draws: int,
    ) -> Floats:
        """(draws, m) plausible qualities of one query, about its (m,) prediction."""
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


@runtime_checkable
class Reads(Protocol):
    """What a head has besides if it does not read every feature."""

    def reads(self) -> frozenset[str]:
        """Names of the features that count."""
        ...


def features_read(head: Head) -> frozenset[str]:
    """Names of the features that count with a head: all, unless it says which."""
    return head.reads() if isinstance(head, Reads) else frozenset(FEATURES)


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
