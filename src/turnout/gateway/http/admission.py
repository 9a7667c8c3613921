"""How many requests a process serves at a time; what is beyond that waits a little, or is refused."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping

from turnout.errors import OverloadedError
from turnout.settings.server import ServerSettings

log = logging.getLogger("turnout.gateway")

DEADLINE_HEADER = "x-turnout-timeout-ms"
"""How long a client waits for its answer to begin, in milliseconds."""
_SDK_HEADERS = ("x-stainless-read-timeout", "x-stainless-timeout")
"""The same in seconds, as the official SDKs of OpenAI and Anthropic tell it with every request."""
_LEAST_S, _MOST_S = 0.001, 86_400.0
_QUIET_S = 10.0
"""Between two lines in the log: an overload must not become one of the log too."""
_SHARE = 0.05
"""Of the latest request in the moving average of how long requests take."""


class Admission:
    """Places for requests. Whoever leaves calls in the one that has waited longest and still may.

    A request is refused at once where the queue is full, or where its turn would come too late: by
    how long requests take and how many are before it (Little's law).

    Args:
        limits: see `ServerSettings`; may be replaced at any time.
        clock: monotonic seconds.
    """

    def __init__(self, limits: ServerSettings, clock: Callable[[], float]) -> None:
        self.limits, self._clock = limits, clock
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self.in_flight = 0
        self.counts: Counter[str] = Counter()
        """Requests that were refused, by reason."""
        self._takes_s = 0.0
        self._quiet_until = 0.0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def enter(self) -> bool:
        """Get a place if one is free and nobody waits for it."""
        if self.in_flight < self.limits.max_in_flight and not self._queue:
            self.in_flight += 1
            return True
        return False

    async def take(self, wait_s: float | None) -> None:
        """Get a place, waiting for one if need be.

        Raises:
            OverloadedError: there is none in time.
        """
        if self.enter():
            return
        longest = self.limits.queue_timeout_s
        if wait_s is not None:
            longest = min(longest, wait_s)
        if len(self._queue) >= self.limits.max_queue:
            raise self._refusal("queue_full")
        if self.turn_s() > longest:
            raise self._refusal("too_late")
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        waits = (turn, self._clock() + longest)
        self._queue.append(waits)
        timer = loop.call_later(longest, _give_up, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._next()  # it was called in at the very moment when it left
            raise
        except TimeoutError:
            raise self._refusal("queue_timeout") from None
        finally:
            timer.cancel()
            if waits in self._queue:
                self._queue.remove(waits)

    def step_back(self) -> None:
        """Give back a place that was not used."""
        self._next()

    def leave(self, took_s: float) -> None:
        """A request is over, after so long."""
        self._takes_s += _SHARE * (took_s - self._takes_s) if self._takes_s else took_s
        self._next()

    def turn_s(self) -> float:
        """How long one more request would wait, as things go."""
        return self._takes_s * (len(self._queue) + 1) / self.limits.max_in_flight

    def _next(self) -> None:
        """Give the place to the one that has waited longest and whose time is not up."""
        now = self._clock()
        while self._queue and self.in_flight <= self.limits.max_in_flight:
            turn, until = self._queue.popleft()
            if turn.done():
                continue
            if until > now:
                turn.set_result(None)
                return
            _give_up(turn)
        self.in_flight -= 1

    def _refusal(self, why: str) -> OverloadedError:
        self.counts[why] += 1
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            log.warning("overloaded: %d requests refused so far", self.counts.total())
        return OverloadedError(retry_after_s=max(1.0, self.turn_s()), why=why)


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())


def deadline_s(headers: Mapping[str, str]) -> float | None:
    """How long a client waits for its answer to begin, in its own word; None where it says nothing.

    What is no positive number says nothing.
    """
    return _positive(headers.get(DEADLINE_HEADER), 1e-3)


def patience_s(headers: Mapping[str, str]) -> float | None:
    """How long a client may be let wait in a queue: its deadline, or its SDK's own timeout."""
    found = deadline_s(headers)
    for name in _SDK_HEADERS:
        if found is None:
            found = _positive(headers.get(name), 1.0)
    return found


def _positive(text: str | None, scale: float) -> float | None:
    if text is None:
        return None
    try:
        value = float(text) * scale
    except ValueError:
        return None
    return min(value, _MOST_S) if value >= _LEAST_S else None  # NaN is no number of seconds either
