"""What became of one request, noted along its way: times, counts, names of the settings; no text of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from turnout.errors import UpstreamTimeoutError
from turnout.store.record import Record
from turnout.wire.dialects import Dialect

OTHER = "other"
"""The route of requests that were refused before it was known."""
NO_MODEL = "none"
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""
LEFT_STATUS = 499
"""Counted where a client left before its answer began, as nginx does."""
_TOLD_APART = "none"
"""The router of a decision in which a model was asked for by its name."""


@dataclass(slots=True, kw_only=True)
class Attempted:
    """One call to an upstream, for those who trace. Times are in nanoseconds since 1970."""

    candidate: str
    model: str
    """What the provider calls it."""
    provider: str
    dialect: Dialect
    fields: Mapping[str, Any]
    """The client's request, of which only numbers are looked at."""
    operation: str = "chat"
    began_ns: int = field(default_factory=time.time_ns)
    ended_ns: int = 0
    answered: bool = False
    error: str = ""
    """Why it failed: a status, `timeout`, `left`, or a class; never a message."""

    def fail(self, error: BaseException) -> None:
        """It failed, or was given up."""
        self.ended_ns = time.time_ns()
        status = getattr(error, "status", None)
        if isinstance(status, int):
            self.error = str(status)
        elif isinstance(error, UpstreamTimeoutError):
            self.error = "timeout"
        else:
            left = isinstance(error, asyncio.CancelledError)
            self.error = "left" if left else type(error).__name__


class Trace(Protocol):
    """The spans of one request."""

    @property
    def trace_id(self) -> str:
        """In hexadecimal; empty where there is none."""
        ...

    def began(self, made: Attempted) -> dict[str, str]:
        """A call goes out; gives headers for the upstream."""
        ...

    def failed(self, made: Attempted, trail: Trail) -> None:
        """A call has failed, or was given up."""
        ...


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
    """`auto`, a route that the settings name, `direct` (a model asked for by its name), or
    `router-NAME`."""
    model: str = NO_MODEL
    """The candidate that answered, or was to."""
    record: Record | None = None
    """Of a request that was decided, once it has ended."""
    trace: Trace | None = None
    """None where nothing is traced."""
    attempt: Attempted | None = None
    """The last call, where it is traced."""

    def decided(self, named: str, router: str, model: str) -> None:
        """Name the route and the model, of what the settings know alone.

        Args:
            named: `auto`, or the name of a route of the settings; empty where none was asked for.
            router: of the decision.
            model: the candidate that is to serve.
        """
        self.model = model
        if named:
            self.route = named
        else:
            self.route = "direct" if router == _TOLD_APART else f"router-{router}"

    @contextmanager
    def traced(self, made: Attempted) -> Iterator[dict[str, str]]:
        """A block that calls an upstream; gives headers that tell it of the trace."""
        trace = self.trace
        if trace is None:
            yield {}
            return
        self.attempt = made
        more = trace.began(made)
        try:
            yield more
        except BaseException as error:
            made.fail(error)
            trace.failed(made, self)
            raise
        made.answered = True

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
