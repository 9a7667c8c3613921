"""Counters of every kind for tests, under clocks that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from turnout.access.counters import Counters
from turnout.access.memory import MemoryCounters

KINDS = ("memory",)


@dataclass
class Times:
    """Wall clock and monotonic clock."""

    wall_s: float = 1_790_000_000.0
    clock_s: float = 5_000.0

    def move(self, seconds: float) -> None:
        self.wall_s += seconds
        self.clock_s += seconds


@asynccontextmanager
async def counting(kind: str) -> AsyncIterator[tuple[Counters, Times]]:
    """Fresh counters of a kind."""
    del kind
    times = Times()
    yield MemoryCounters(now_s=lambda: times.wall_s, clock=lambda: times.clock_s), times
