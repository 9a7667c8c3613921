"""What became of one request, noted along its way: times, counts, names of the settings; no text of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from turnout.store.record import Record

OTHER = "other"
"""The route of requests that were refused before it was known."""
NO_MODEL = "none"
LEFT_STATUS = 499
"""Counted where a client left before its answer began, as nginx does."""
_TOLD_APART = "none"
"""The router of a decision in which a model was asked for by its name."""


@dataclass(slots=True)
class Trail:
    """One request, from its arrival to the end of its answer. Times are of `time.perf_counter`."""

    arrived: float = field(default_factory=time.perf_counter)
    waited_s: float = 0.0
    """For the client's own bytes."""
    upstream_s: float = 0.0
    """In attempts, until each had its answer (of a stream: its first content) or failed."""
    begun: float = 0.0
    """When the status of the answer went out; 0 before."""
    ended: float = 0.0
    status: int = 0
    """Of the answer; 0 before it began."""
    path: str = ""
    """The endpoint, as the gateway lists it; empty for one that does not exist."""
    route: str = OTHER
    """`auto`, `direct` (a model asked for by its name), or `router-NAME`."""
    model: str = NO_MODEL
    """The candidate that answered, or was to."""
    record: Record | None = None
    """Of a request that was decided, once it has ended."""

    def decided(self, asked: str, router: str, model: str) -> None:
        """Name the route and the model, of what the settings know alone.

        Args:
            asked: what `model` said; it was understood.
            router: of the decision.
            model: the candidate that is to serve.
        """
        self.model = model
        if asked == "auto":
            self.route = asked
        else:
            self.route = "direct" if router == _TOLD_APART else f"router-{router}"

    def end(self) -> None:
        """The answer is over, or there is nobody to answer."""
        self.ended = time.perf_counter()

    @property
    def duration_s(self) -> float:
        """From the arrival to the end of the answer."""
        return self.ended - self.arrived

    @property
    def first_byte_s(self) -> float:
        """From the arrival to the first byte of the answer."""
        return self.begun - self.arrived

    @property
    def overhead_s(self) -> float:
        """The time until the answer began, without the client's and the upstreams'."""
        return max(0.0, self.begun - self.arrived - self.waited_s - self.upstream_s)

    @property
    def counted_status(self) -> int:
        """The status for counting."""
        return self.status or LEFT_STATUS


class Watcher(Protocol):
    """Told of every request that is over, refused ones included. It is quick, and never raises."""

    def over(self, trail: Trail) -> None:
        """A request is over."""
        ...
