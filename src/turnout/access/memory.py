"""Counters in this process. A step has no `await` inside, so that it is atomic on an event loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from turnout.access.counters import RATE_S, Hold, Refusal
from turnout.access.limits import Limit
from turnout.access.windows import Calendar
from turnout.settings.access import Window

_MOST_PLANS = 10_000
"""Sets of limits that are kept ready, of about as many keys."""


class MemoryCounters:
    """Implements `Counters` for one process.

    Args:
        now_s: Unix seconds, for the windows of budgets.
        clock: monotonic seconds, for rates.
        share: of each cap that may be used.
    """

    def __init__(
        self,
        *,
        now_s: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        share: float = 1.0,
    ) -> None:
        self._now_s, self._clock, self._share = now_s, clock, share
        self._calendar = Calendar()
        self._meters: dict[str, _Meter] = {}
        self._plans: dict[int, _Plan] = {}

    async def reserve(
        self, hold_id: str, limits: tuple[Limit, ...], *, cost: int, tokens: int
    ) -> Hold | Refusal:
        """Reserve under every limit or under none. See `Counters`."""
        return self.take(hold_id, limits, cost=cost, tokens=tokens)

    def take(
        self, hold_id: str, limits: tuple[Limit, ...], *, cost: int, tokens: int
    ) -> Hold | Refusal:
        """`reserve`, which here needs no waiting."""
        now_s, clock = self._now_s(), self._clock()
        plan, taken_of = self._plan(limits), (tokens, cost, 1)
        amounts: list[int] = []
        left: list[int] = []
        for meter, cap, of in plan.rows:
            taken = taken_of[of]
            room = cap - meter.used(now_s, clock) - taken
            if room < 0:
                limit = limits[len(left)]
                wait_s = meter.wait_s(taken, cap, now_s, clock)
                return Refusal(limit, max(0, room + taken), wait_s)
            amounts.append(taken)
            left.append(room)
        marks: list[int] = []
        for meter, taken in zip(plan.meters, amounts, strict=True):
            marks.append(meter.add(taken))
        return Hold(hold_id, limits, amounts, marks, left, False, plan.meters)

    def settle(self, hold: Hold, *, cost: int, tokens: int) -> None:
        """Put what a request took in place of what it had reserved. See `Counters`."""
        for meter, reserved, mark in zip(hold.meters, hold.amounts, hold.marks, strict=True):
            meter.settle(reserved, cost, tokens, mark)

    def tightest(self, limits: tuple[Limit, ...], most: int) -> Refusal | None:
        """The budget with the least left. See `Counters`."""
        plan, now_s = self._plan(limits), self._now_s()
        found, least = -1, 0
        for at in plan.budgets:
            left = plan.caps[at] - plan.meters[at].used(now_s, 0.0)
            if found < 0 or left < least:
                found, least = at, left
        if found < 0 or least >= most:
            return None
        wait_s = plan.meters[found].wait_s(0, plan.caps[found], now_s, 0.0)
        return Refusal(limits[found], max(0, least), wait_s)

    async def seed(self, spent: Mapping[tuple[str, int], int]) -> None:
        """Tell what budgets had spent before they were counted here. See `Counters`."""
        for (name, start), picousd in spent.items():
            meter = self._meters.get(name) or _Budget(_window(name), self._calendar)
            self._meters[name] = meter
            meter.used(self._now_s(), 0.0)
            if isinstance(meter, _Budget) and meter.start == start:
                meter.value = max(meter.value, picousd)

    async def used(self, limits: Sequence[Limit]) -> list[int]:
        """What is spent and reserved under each limit now. See `Counters`."""
        now_s, clock = self._now_s(), self._clock()
        found = (self._meters.get(limit.id) or self._meter(limit) for limit in limits)
        return [meter.used(now_s, clock) for meter in found]

    def _plan(self, limits: tuple[Limit, ...]) -> _Plan:
        """Where these limits are counted; the same tuple comes again with each request of a key."""
        plan = self._plans.get(id(limits))
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            meters = tuple(self._meters.get(x.id) or self._meter(x) for x in limits)
            caps = tuple(map(self._part, limits))
            of = [0 if x.kind == "tokens" else 1 if x.kind == "usd" else 2 for x in limits]
            plan = self._plans[id(limits)] = _Plan(
                limits=limits,
                meters=meters,
                caps=caps,
                rows=tuple(zip(meters, caps, of, strict=True)),
                budgets=tuple(i for i, x in enumerate(limits) if x.kind == "usd"),
            )
        return plan

    def _part(self, limit: Limit) -> int:
        return limit.cap if self._share == 1.0 else max(1, int(limit.cap * self._share))

    def _meter(self, limit: Limit) -> _Meter:
        made: _Meter
        if limit.window is not None:
            made = _Budget(limit.window, self._calendar)
        else:
            made = _Gauge() if limit.kind == "concurrent" else _Rate(tokens=limit.kind == "tokens")
        self._meters[limit.id] = made
        return made


def _window(limit_id: str) -> Window:
    return cast(Window, limit_id.rpartition("/")[2])  # see `Limit.id`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Some limits, and where they are counted."""

    limits: tuple[Limit, ...]
    """Held, so that no other tuple gets its identity."""
    meters: tuple[_Meter, ...]
    caps: tuple[int, ...]
    rows: tuple[tuple[_Meter, int, int], ...]
    """Each with its cap, and what it takes of a request: its tokens (0), its cost (1), or one (2)."""
    budgets: tuple[int, ...]
    """Places of the budgets among them."""


class _Budget:
    """Spent and reserved in the window of now."""

    __slots__ = ("_calendar", "_window", "end", "start", "value")

    def __init__(self, window: Window, calendar: Calendar) -> None:
        self._window, self._calendar = window, calendar
        self.start, self.value = -1, 0
        self.end: float | None = 0.0

    def used(self, now_s: float, clock: float) -> int:  # noqa: ARG002
        if self.end is not None and now_s >= self.end:
            start, self.end = self._calendar.at(self._window, now_s)
            if start != self.start:
                self.start, self.value = start, 0
        return self.value

    def add(self, amount: int) -> int:
        self.value += amount
        return self.start

    def settle(self, reserved: int, cost: int, tokens: int, mark: int) -> None:  # noqa: ARG002
        if mark == self.start:
            self.value += cost - reserved

    def wait_s(self, amount: int, cap: int, now_s: float, clock: float) -> float | None:  # noqa: ARG002
        """Until the window ends; waiting does not help what is more than the whole budget."""
        return None if self.end is None or amount > cap else max(0.0, self.end - now_s)


class _Rate:
    """Counted over the last minute, by seconds."""

    __slots__ = ("_seconds", "_tokens", "_total")

    def __init__(self, *, tokens: bool) -> None:
        self._tokens = tokens
        self._seconds: deque[list[int]] = deque()
        """[second, amount], oldest first."""
        self._total = 0

    def used(self, now_s: float, clock: float) -> int:  # noqa: ARG002
        second, seconds = int(clock), self._seconds
        while seconds and seconds[0][0] < second - RATE_S:
            self._total -= seconds.popleft()[1]
        if not seconds or seconds[-1][0] < second:
            seconds.append([second, 0])
        return self._total

    def add(self, amount: int) -> int:
        self._seconds[-1][1] += amount
        self._total += amount
        return self._seconds[-1][0]

    def settle(self, reserved: int, cost: int, tokens: int, mark: int) -> None:  # noqa: ARG002
        change = tokens - reserved if self._tokens else 0
        if change:
            self._correct(change, mark)

    def _correct(self, change: int, mark: int) -> None:
        for entry in reversed(self._seconds):
            if entry[0] == mark:
                entry[1] += change
                self._total += change
            if entry[0] <= mark:
                return

    def wait_s(self, amount: int, cap: int, now_s: float, clock: float) -> float | None:  # noqa: ARG002
        """Until enough of the past minute is past."""
        if amount > cap:
            return None
        left = self._total
        for second, counted in self._seconds:
            left -= counted
            if left + amount <= cap:
                return max(0.0, second + RATE_S + 1 - clock)
        return float(RATE_S)


class _Gauge:
    """How many are under way."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0

    def used(self, now_s: float, clock: float) -> int:  # noqa: ARG002
        return self._value

    def add(self, amount: int) -> int:
        self._value += amount
        return 0

    def settle(self, reserved: int, cost: int, tokens: int, mark: int) -> None:  # noqa: ARG002
        self._value -= reserved

    def wait_s(self, amount: int, cap: int, now_s: float, clock: float) -> float | None:  # noqa: ARG002
        """Unknown; clients may come back soon."""
        return 1.0


_Meter: TypeAlias = _Budget | _Rate | _Gauge
