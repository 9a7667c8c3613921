"""The place that a request has in this process while it is served on the express way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from turnout.gateway.http.admission import Admission
from turnout.gateway.http.door import Door
from turnout.gateway.serving import Serving
from turnout.observe.trail import Trail

log = logging.getLogger("turnout.gateway")


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Place:
    """What a request holds, and those who are told when it is over."""

    serving: Serving
    held: AbstractContextManager[Serving]
    """Keeps what serves open."""
    admission: Admission
    door: Door
    over_with: Callable[[Trail], None]
    """Told of a request that is over."""
    since: float = field(default_factory=time.monotonic)

    def over(self, trail: Trail, decision_id: str) -> None:
        """The request is over."""
        self.serving.access.abandon(decision_id)  # does nothing where its end was recorded
        self.leave()
        self.over_with(trail)

    def left(self, trail: Trail, decision_id: str) -> None:
        """Its client has left."""
        self.door.gone(trail)
        log.info("client left before the answer; upstream cut off")
        self.over(trail, decision_id)

    def leave(self) -> None:
        """Give the place back."""
        self.held.__exit__(None, None, None)
        self.admission.leave(time.monotonic() - self.since)
