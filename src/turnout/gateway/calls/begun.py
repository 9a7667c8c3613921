"""A request that was decided, or called for, already: handed over to be ended as any other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from turnout.access.identity import Identity
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
    call: UnderWay | None
    """The first call, and what came of it; None where none went out."""
    route: str
    """The route that was asked for, its knob included, where a router chose; else empty."""
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
