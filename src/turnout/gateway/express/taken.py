"""A request that was taken from its client, and the place that it has in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from turnout.gateway.calls.begun import Begun
from turnout.gateway.calls.calling import UnderWay
from turnout.gateway.calls.recording import Entry
from turnout.gateway.express.shapes import Shape
from turnout.gateway.http.admission import Admission
from turnout.gateway.http.door import Door
from turnout.gateway.http.ways import Served
from turnout.gateway.serving import Serving
from turnout.observe.trail import Trail
from turnout.types import Decision, Query
from turnout.wire.one_message import Said

log = logging.getLogger("turnout.gateway")


class Client(Protocol):
    """The connection that a request came over."""

    def answer(self, lines: bytes, content: bytes) -> None:
        """Write a whole answer with status 200; the next request may come.

        Args:
            lines: its headers, but for those that say how the body is framed and who serves.
            content: its body.
        """
        ...

    def hand_over(self, begun: Begun | None) -> None:
        """Let the request be ended by the application, or served by it from the start."""
        ...

    def goes_on(self, served: Served) -> None:
        """The request, which was decided meanwhile, is served by this from now on."""
        ...

    def begin(self, lines: bytes, content: bytes) -> None:
        """Write the beginning of an answer in pieces with status 200, and the first of them."""
        ...

    def piece(self, content: bytes) -> bool:
        """Write a piece; False: the client does not read so fast, and nothing was written."""
        ...

    def reads(self) -> bool:
        """Whether the client reads as fast as it is written to; `Ride.writable` tells when it does again."""
        ...

    def last(self, content: bytes) -> None:
        """Write the last piece and the end of the answer; the next request may come."""
        ...

    def fail(self) -> None:
        """Answer that something went wrong here, or break the answer off, and hear no more."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What all requests have to do with, whichever settings they are served under."""

    admission: Admission
    door: Door
    over: Callable[[Trail], None]
    """Told of each request that is over."""


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Taken:
    """What a request is, what it holds, and those who are told when it is over."""

    shape: Shape
    said: Said
    input_tokens: int
    query: Query | None
    """Of a router, where one is to be asked."""
    client: Client
    trail: Trail
    house: House
    serving: Serving
    held: AbstractContextManager[Serving]
    """Keeps what serves open."""
    since: float = field(default_factory=time.monotonic)

    def begun(
        self, decision: Decision, headers: Mapping[str, str], entry: Entry, call: UnderWay | None
    ) -> Begun:
        """It, for the application to end.

        Args:
            decision: by which it is served, but for its id.
            headers: what its client is told of its limits.
            entry: its record, which has the decision's id.
            call: the first call; None where none went out.
        """
        shape, decision_id = self.shape, entry.record.id
        return Begun(
            identity=shape.who,
            decision=decision if decision.id == decision_id else replace(decision, id=decision_id),
            headers=headers,
            output_tokens=shape.admits.limit_sent,
            rename=shape.rename,
            route="" if shape.routed is None else shape.routed.route,
            entry=entry,
            trail=self.trail,
            call=call,
            on=self.serving.go_on,
            release=self.leave,
        )

    def over(self, decision_id: str) -> None:
        """The request is over."""
        self.serving.access.abandon(decision_id)  # does nothing where its end was recorded
        self.leave()
        self.house.over(self.trail)

    def left(self, decision_id: str) -> None:
        """Its client has left."""
        self.house.door.gone(self.trail)
        log.info("client left before the answer; upstream cut off")
        self.over(decision_id)

    def leave(self) -> None:
        """Give the place back."""
        self.held.__exit__(None, None, None)
        self.house.admission.leave(time.monotonic() - self.since)
