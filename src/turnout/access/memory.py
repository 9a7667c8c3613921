"""Counters in this process. A step has no `await` inside, so that it is atomic on an event loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from turnout.access.counters import RATE_S, Hold, Refusal, amount
from turnout.access.limits import Limit
from turnout.access.windows import Calendar
from turnout.settings.access import Window


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

    async def reserve(
        self, hold_id: str, limits: tuple[Limit, ...], *, cost: int, tokens: int
    ) -> Hold | Refusal:
        """Reserve under every limit or under none. See `Counters`."""
        now_s, clock = self._now_s(), self._clock()
        met: list[_Meter] = []
        amounts: list[int] = []
        left: list[int] = []
        for limit in limits:
            meter = self._meters.get(limit.id) or self._meter(limit)
            taken = cost if limit.kind == "usd" else tokens if limit.kind == "tokens" else 1
            cap = limit.cap if self._share == 1.0 else self._part(limit)
            room = cap - meter.used(now_s, clock)
            if taken > room:
                return Refusal(limit, max(0, room), meter.wait_s(taken, cap, now_s, clock))
            met.append(meter)
            amounts.append(taken)
            left.append(room - taken)
        marks = [meter.add(taken) for meter, taken in zip(met, amounts, strict=True)]
        return Hold(hold_id, limits, tuple(amounts), tuple(marks), tuple(left))

    def settle(self, hold: Hold, *, cost: int, tokens: int) -> None:
        """Put what a request took in place of what it had reserved. See `Counters`."""
        for limit, reserved, mark in zip(hold.limits, hold.amounts, hold.marks, strict=True):
            meter = self._meters[limit.id]
            if limit.kind == "concurrent":
                meter.correct(-reserved, mark)
            elif (taken := amount(limit, cost=cost, tokens=tokens)) != reserved:
                meter.correct(taken - reserved, mark)

    def tightest(self, limits: tuple[Limit, ...]) -> Refusal | None:
        """The budget with the least left. See `Counters`."""
        now_s, found, least = self._now_s(), None, 0
        for limit in limits:
            if limit.kind == "usd":
                meter = self._meters.get(limit.id) or self._meter(limit)
                left = self._part(limit) - meter.used(now_s, 0.0)
                if found is None or left < least:
                    found, least = (limit, meter), left
        if found is None:
            return None
        wait_s = found[1].wait_s(0, found[0].cap, now_s, 0.0)
        return Refusal(found[0], max(0, least), wait_s)

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

    def _part(self, limit: Limit) -> int:
        return limit.cap if self._share == 1.0 else max(1, int(limit.cap * self._share))

    def _meter(self, limit: Limit) -> _Meter:
        made: _Meter
        if limit.window is not None:
            made = _Budget(limit.window, self._calendar)
        else:
            made = _Gauge() if limit.kind == "concurrent" else _Rate()
        self._meters[limit.id] = made
        return made


def _window(limit_id: str) -> Window:
    return cast(Window, limit_id.rpartition("/")[2])  # see `Limit.id`


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

    def correct(self, change: int, mark: int) -> None:
        if mark == self.start:
            self.value += change

    def wait_s(self, amount: int, cap: int, now_s: float, clock: float) -> float | None:  # noqa: ARG002
        """Until the window ends; waiting does not help what is more than the whole budget."""
        return None if self.end is None or amount > cap else max(0.0, self.end - now_s)


class _Rate:
    """Counted over the last minute, by seconds."""

    __slots__ = ("_seconds", "_total")

    def __init__(self) -> None:
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

    def correct(self, change: int, mark: int) -> None:
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

    def correct(self, change: int, mark: int) -> None:  # noqa: ARG002
        self._value += change

    def wait_s(self, amount: int, cap: int, now_s: float, clock: float) -> float | None:  # noqa: ARG002
        """Unknown; clients may come back soon."""
        return 1.0


_Meter: TypeAlias = _Budget | _Rate | _Gauge
