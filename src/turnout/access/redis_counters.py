"""Counters in Redis, for all processes that share it. Needs the extra `redis`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.access.counters import Hold, Refusal, amount
from turnout.access.limits import Limit
from turnout.access.memory import MemoryCounters
from turnout.access.redis_link import AGAIN_S, DOWN, RedisLink
from turnout.access.redis_scripts import RESERVE, SETTLE, SETTLED_S, USED
from turnout.access.windows import Calendar, bounds
from turnout.errors import AccessDownError, StoreError

log = logging.getLogger("turnout.access")

_KEEP_S = 86_400
"""How long a counter outlives its window."""


@dataclass(slots=True, kw_only=True)
class RedisCounters:
    """Implements `Counters` in a Redis. `running` opens it.

    Args:
        link: to Redis.
        hold_s: after this, what a request had reserved whose process died comes back.
        local: counts while Redis is down; None refuses.
        prefix: of every name in Redis.
        now_s: Unix seconds; clocks of processes that share a Redis should agree to the second.
        seed_again: tells what was spent before, when Redis has lost what it knew.
    """

    link: RedisLink
    hold_s: float = 900.0
    local: MemoryCounters | None = None
    prefix: str = "turnout"
    now_s: Callable[[], float] = time.time
    seed_again: Callable[[], Awaitable[None]] | None = None
    _calendar: Calendar = field(default_factory=Calendar, init=False)
    _seeding: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def reserve(
        self, hold_id: str, limits: tuple[Limit, ...], *, cost: int, tokens: int
    ) -> Hold | Refusal:
        """Reserve under every limit or under none. See `Counters`."""
        if self.link.down:
            return await self._without(hold_id, limits, cost=cost, tokens=tokens)
        now_s = self.now_s()
        amounts = tuple(amount(limit, cost=cost, tokens=tokens) for limit in limits)
        starts = [self._start(limit, now_s) for limit in limits]
        values = [repr(now_s), hold_id, repr(self.hold_s), self._must_seed(limits), self._name("")]
        for limit, taken, start in zip(limits, amounts, starts, strict=True):
            values += [limit.kind, str(limit.cap), str(taken), _over(limit, start)]
        keys = self._keys(hold_id, limits, starts)
        try:
            answer = await self.link.ask(RESERVE, keys, values)
            if answer[0] == "unseeded":
                await self._seed_once()
                answer = await self.link.ask(RESERVE, keys, values)
        except (AccessDownError, asyncio.CancelledError) as error:
            # It may have been reserved all the same: then this gives it back.
            self._settle(Hold(hold_id, limits, amounts, tuple(starts), ()), cost=0, tokens=0)
            if isinstance(error, asyncio.CancelledError):
                raise
            return await self._without(hold_id, limits, cost=cost, tokens=tokens)
        if answer[0] == "refused":
            limit, taken = limits[int(answer[1]) - 1], amounts[int(answer[1]) - 1]
            room = max(0, limit.cap - int(answer[2]))
            return Refusal(limit, room, self._wait_s(limit, taken, float(answer[3]), now_s))
        if answer[0] != "held":
            raise AccessDownError("the shared counters do not know what was spent before")
        used, seconds = answer[1::2], answer[2::2]
        marks = tuple(
            start if limit.kind == "usd" else int(second)
            for limit, start, second in zip(limits, starts, seconds, strict=True)
        )
        left = tuple(limit.cap - int(u) for limit, u in zip(limits, used, strict=True))
        return Hold(hold_id, limits, amounts, marks, left)

    def settle(self, hold: Hold, *, cost: int, tokens: int) -> None:
        """Put what a request took in place of what it had reserved. See `Counters`."""
        if hold.local and self.local is not None:
            self.local.settle(hold, cost=cost, tokens=tokens)
            # Redis does not know this name, and books what it cost as it is.
            hold = Hold(f"{hold.id}:local", hold.limits, hold.amounts, hold.marks, ())
        self._settle(hold, cost=cost, tokens=tokens)

    def tightest(self, limits: tuple[Limit, ...], most: int) -> Refusal | None:  # noqa: ARG002
        """Unknown: others count as well."""
        return None

    async def seed(self, spent: Mapping[tuple[str, int], int]) -> None:
        """Tell what budgets had spent; those that Redis knows stay. See `Counters`."""
        try:
            async with self.link.redis.pipeline(transaction=False) as pipe:
                for (limit_id, start), picousd in spent.items():
                    name = self._name(f"usd:{limit_id}:{start}")
                    window: Any = limit_id.rpartition("/")[2]
                    end = bounds(window, start)[1]
                    pipe.set(name, picousd, nx=True, exat=None if end is None else end + _KEEP_S)
                pipe.set(self._name("seeded"), 1)
                await pipe.execute()
        except self.link.errors as error:
            raise AccessDownError(DOWN, retry_after_s=AGAIN_S) from error

    async def used(self, limits: Sequence[Limit]) -> list[int]:
        """What is spent and reserved under each limit now. See `Counters`."""
        now_s = self.now_s()
        keys = [self._counter(limit, self._start(limit, now_s)) for limit in limits]
        answer = await self.link.ask(USED, keys, [repr(now_s), *(limit.kind for limit in limits)])
        return [int(used) for used in answer]

    async def flush(self) -> None:
        """Wait until every settlement has reached Redis."""
        await self.link.flush()

    async def _without(
        self, hold_id: str, limits: tuple[Limit, ...], *, cost: int, tokens: int
    ) -> Hold | Refusal:
        """Reserve while Redis is down: in this process, or not at all."""
        if self.local is None:
            raise AccessDownError(DOWN, retry_after_s=AGAIN_S)
        found = await self.local.reserve(hold_id, limits, cost=cost, tokens=tokens)
        if isinstance(found, Hold):
            found.local = True
        return found

    def _settle(self, hold: Hold, *, cost: int, tokens: int) -> None:
        values = [repr(self.now_s()), hold.id, self._must_seed(hold.limits), str(SETTLED_S)]
        for limit, reserved, mark in zip(hold.limits, hold.amounts, hold.marks, strict=True):
            taken = amount(limit, cost=cost, tokens=tokens)
            values += [limit.kind, str(reserved), str(taken), str(mark), _over(limit, mark)]
        self.link.tell(SETTLE, self._keys(hold.id, hold.limits, hold.marks), values)

    async def _seed_once(self) -> None:
        """Tell Redis what was spent before; requests that find it out together do so once."""
        if self.seed_again is None:
            return
        failing: tuple[type[Exception], ...] = (*self.link.errors, StoreError)
        async with self._seeding:
            try:
                if not await self.link.redis.exists(self._name("seeded")):
                    log.warning("the shared counters know nothing yet: told what the ledger knows")
                    await self.seed_again()
            except failing as error:
                raise AccessDownError(DOWN, retry_after_s=AGAIN_S) from error

    def _must_seed(self, limits: Sequence[Limit]) -> str:
        budgets = any(limit.kind == "usd" for limit in limits)
        return "1" if budgets and self.seed_again is not None else "0"

    def _start(self, limit: Limit, now_s: float) -> int:
        return 0 if limit.window is None else self._calendar.at(limit.window, now_s)[0]

    def _wait_s(self, limit: Limit, taken: int, wait_s: float, now_s: float) -> float | None:
        if taken > limit.cap:
            return None
        if limit.window is None:
            return wait_s
        end = self._calendar.at(limit.window, now_s)[1]
        return None if end is None else max(0.0, end - now_s)

    def _name(self, name: str) -> str:
        return f"{{{self.prefix}}}:{name}"

    def _keys(self, hold_id: str, limits: Sequence[Limit], starts: Sequence[int]) -> list[str]:
        counters = (self._counter(x, start) for x, start in zip(limits, starts, strict=True))
        return [self._name("holds"), self._name(f"hold:{hold_id}"), self._name("seeded"), *counters]

    def _counter(self, limit: Limit, start: int) -> str:
        if limit.kind == "usd":
            return self._name(f"usd:{limit.id}:{start}")
        return self._name(f"{'now' if limit.kind == 'concurrent' else 'rate'}:{limit.id}")


def _over(limit: Limit, start: int) -> str:
    """When the counter of a window may be forgotten, as Unix seconds; empty: never, or not by this."""
    end = None if limit.window is None else bounds(limit.window, start)[1]
    return "" if end is None else str(end + _KEEP_S)
