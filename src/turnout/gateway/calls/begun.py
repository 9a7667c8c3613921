"""A request whose first call went out already, handed over to be ended as any other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from turnout.access.identity import Identity
from turnout.execution.attempts import Target
from turnout.gateway.calls.calling import UnderWay
from turnout.gateway.calls.recording import Entry
from turnout.gateway.http.asgi import Call
from turnout.observe.trail import Trail
from turnout.types import Decision


@dataclass(slots=True, kw_only=True)
class Begun:
    """How far a request has come."""

    identity: Identity | None
    decision: Decision
    headers: Mapping[str, str]
    """What its client is told of its limits."""
    output_tokens: int | None
    """The output limit that is sent to a candidate of which none is known."""
    rename: str | None
    entry: Entry
    trail: Trail
    target: Target
    """Where the first call went."""
    began: float
    """When, by the clock of `Resilience`."""
    call: UnderWay
    """What came of it."""
    on: Callable[[Call, Begun], Awaitable[None]]
    """Ends it (`Serving.go_on`)."""
    release: Callable[[], None]
    """It is over: gives its place back."""

    async def go_on(self, call: Call) -> None:
        """End it."""
        try:
            await self.on(call, self)
        finally:
            self.release()
