"""Routers asked on the event loop: together for requests that arrive together, never for long at a time.

Most of what a decision costs is paid once for a whole batch (calls of numpy, one pass over the weights):
of eight made together each takes about a third (`python benchmarks/decision.py --batches`). So a request
waits until the loop has heard all that is ready, which is no time where it is alone, and is decided with
those of the same route. A slice of the loop's time is bounded: of a longer queue the rest is decided
after the loop has served others.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from turnout.engine import Engine
from turnout.errors import RouterError, TurnoutError
from turnout.gateway.beside import Beside
from turnout.names import RouteSpec
from turnout.types import Decision, Query

log = logging.getLogger("turnout.gateway")

SLICE_S = 0.002
"""Longest that deciding is to keep the loop from all else, in CPU seconds."""
MOST = 64
"""Decisions made together."""

_CHARACTERS = 2000
"""Of text that cost as much to read as all else of one more decision in a batch."""
_LONG = 8.0
"""Parts (see `_parts`) of a prompt that may be too long for the loop even alone."""
_FOR_EVER_S = 1e9
_NEW_WEIGHT = 0.5
_FIXED = 2.5
"""What a batch takes whatever is in it, in parts: of `blend`, by batches of 1 to 16 of 20 to 600 tokens."""

_FIRST_TEXT = "Hello on this wonderfull day"
"""Its slip has the tables opened that mend misspelt words, which takes tens of milliseconds."""

T = TypeVar("T")
Key: TypeAlias = tuple[
    RouteSpec, frozenset[str] | None, int | None, bool, bool, tuple[tuple[str, str], ...]
]
"""The route, the candidates that may serve (None: all), the most that a call may cost, whether to explore,
whether it is usual traffic, and the candidates that may not serve, and why."""


class Decided(Protocol):
    """Is told of a decision where it is made. It must not raise."""

    def done(self) -> bool:
        """Whether nobody waits for it any more."""
        ...

    def set_result(self, decision: Decision, /) -> None:
        """It was made."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """There is none."""
        ...


class _Asked(NamedTuple):
    query: Query
    decided: Decided
    parts: float
    """See `_parts`."""


@dataclass(slots=True)
class _Pace:
    """What batches of one router took of late."""

    parts: float = 0.0
    seconds: float = 0.0

    def expected_s(self, parts: float) -> float:
        """Of a batch of so many parts (see `_parts`); far from what was seen, nobody knows."""
        if parts > 2.5 * self.parts:
            return math.inf
        return self.seconds * (_FIXED + parts) / (_FIXED + self.parts)

    def least_s(self, parts: float) -> float:
        """What a batch of so many parts takes at least; 0 where nobody knows."""
        return self.seconds * (_FIXED + min(parts, self.parts)) / (_FIXED + self.parts)

    def see(self, parts: float, seconds: float) -> None:
        weight = _NEW_WEIGHT if self.parts else 1.0
        self.parts += weight * (parts - self.parts)
        self.seconds += weight * (seconds - self.seconds)


@dataclass(slots=True, kw_only=True)
class Deciding:
    """Asks an engine's routers. One for an event loop.

    Args:
        engine: decides.
        slice_s: longest that a batch is to take.
        clock: CPU seconds of this thread.
        beside: threads, and how long a decision in them is waited for.
    """

    engine: Engine
    slice_s: float = SLICE_S
    clock: Callable[[], float] = time.thread_time
    beside: Beside = field(default_factory=Beside)
    """Runs what would hold the loop up."""
    batches: int = 0
    """Batches made so far."""
    _waiting: dict[Key, deque[_Asked]] = field(default_factory=dict)
    _paces: dict[str, _Pace] = field(default_factory=dict)
    """By router."""

    async def warm(self) -> None:
        """Ask each router once beside the loop, before it is asked on the loop.

        What it opens at first use is open then, and one that is slow, or does not come back, is known.
        """
        query = Query(text=_FIRST_TEXT)
        for name, router in self.engine.routers.items():
            if self.engine.waits(name):
                continue
            ask = partial(
                self._timed, partial(router.predict, [query], self.engine.pool.candidates)
            )
            pace = self._paces.setdefault(name, _Pace())
            try:
                await self.beside.run(ask)
                pace.see(_parts(query), (await self.beside.run(ask))[1])
            except TimeoutError:
                log.error("router %s did not come back within %g s", name, self.beside.timeout_s)
                pace.see(_parts(query), _FOR_EVER_S)
            except Exception as error:  # noqa: BLE001 - requests are served by the default, and say so
                log.debug("router %s fails with %s", name, type(error).__name__)

    async def decide(
        self,
        query: Query,
        spec: RouteSpec,
        *,
        allow: Collection[str] | None,
        explore: bool,
        max_cost_picousd: int | None = None,
        barred: Mapping[str, str] | None = None,
        usual: bool = True,
    ) -> Decision:
        """The decision for one query; see `Engine.decide_many`.

        A router that waits or is slow, and a prompt too long for a slice, are off the event loop. They
        are not waited for longer than `beside` says: then the default candidate serves.

        Raises:
            TurnoutError: what the engine raises for this query.
        """
        if not self.at_once(query, spec):
            work = partial(
                self.engine.decide,
                query,
                spec,
                allow=allow,
                explore=explore,
                max_cost_picousd=max_cost_picousd,
                barred=barred,
                usual=usual,
            )
            try:
                decision, took_s = await self.beside.run(partial(self._timed, work))
            except TimeoutError:
                late = RouterError(f"no decision within {self.beside.timeout_s:g} s")
                return self.engine.without(
                    query,
                    spec,
                    late,
                    allow=allow,
                    max_cost_picousd=max_cost_picousd,
                    barred=barred,
                )
            self._paces.setdefault(spec.router, _Pace()).see(_parts(query), took_s)
            return decision
        names = None if allow is None else frozenset(allow)
        out = tuple(barred.items()) if barred else ()
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self.ask(query, (spec, names, max_cost_picousd, explore, usual, out), decided)
        return await decided

    def at_once(self, query: Query, spec: RouteSpec) -> bool:
        """Whether a query is decided on the event loop: see `ask`."""
        return not (self.engine.waits(spec.router) or self._too_long(query, spec))

    def ask(self, query: Query, key: Key, decided: Decided) -> None:
        """Have a query decided together with others, where `at_once` says that it may be.

        Args:
            query: what is asked.
            key: by what: queries of one key are decided together.
            decided: told of the decision.
        """
        if not self._waiting:  # one more round of the loop: what has come meanwhile comes along
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._slice, loop)
        self._waiting.setdefault(key, deque()).append(_Asked(query, decided, _parts(query)))

    def _timed(self, work: Callable[[], T]) -> tuple[T, float]:
        start = self.clock()
        return work(), self.clock() - start

    def _slice(self, loop: asyncio.AbstractEventLoop) -> None:
        """Decide as many of the first route's queries as a slice holds."""
        key, queue = next(iter(self._waiting.items()))
        some = self._take(queue, key[0].router)
        del self._waiting[key]
        if queue:
            self._waiting[key] = queue  # behind the other routes
        try:
            if some:
                self._decide(key, some)
        finally:
            if self._waiting:
                loop.call_soon(self._slice, loop)

    def _take(self, queue: deque[_Asked], router: str) -> list[_Asked]:
        """The first queries whose decisions fit a slice, at least one; not those nobody waits for."""
        pace = self._paces.setdefault(router, _Pace())
        some: list[_Asked] = []
        parts = 0.0
        while queue and len(some) < MOST:
            if queue[0].decided.done():  # its client has left
                queue.popleft()
                continue
            parts += queue[0].parts
            if some and pace.expected_s(parts) > self.slice_s:
                break
            some.append(queue.popleft())
        return some

    def _decide(self, key: Key, some: list[_Asked]) -> None:
        spec, allow, most, explore, usual, barred = key
        start = self.clock()
        try:
            made = self.engine.decide_many(
                [a.query for a in some],
                spec,
                allow=allow,
                max_cost_picousd=most,
                barred=dict(barred),
                explore=explore,
                usual=usual,
                apart=True,
            )
        except TurnoutError as error:
            if len(some) == 1:
                some[0].decided.set_exception(error)
                return
            for one in some:  # what is wrong with one query is not the others' fault
                self._decide(key, [one])
            return
        except Exception as error:  # noqa: BLE001 - a bug: nobody may wait for ever
            for one in some:
                one.decided.set_exception(error)
            return
        parts = sum([a.parts for a in some])
        self._paces[spec.router].see(parts, self.clock() - start)
        self.batches += 1
        for one, decision in zip(some, made, strict=True):
            one.decided.set_result(decision)

    def _too_long(self, query: Query, spec: RouteSpec) -> bool:
        parts, pace = _parts(query), self._paces.get(spec.router)
        if pace is not None and pace.least_s(parts) > self.slice_s:
            return True
        return parts > _LONG and (pace is None or pace.expected_s(parts) > self.slice_s)


def _parts(query: Query) -> float:
    """What a query costs to decide, in units of one without text."""
    return 1.0 + len(query.text) / _CHARACTERS
