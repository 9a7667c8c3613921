"""Counts and times as they add up while serving: cheap to add to, read when they are scraped.

`prometheus_client`'s own counters and histograms take a lock and up to 2.5 µs for each value; these are
added to on the event loop alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

LONG_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds for whole requests, in seconds."""
SHORT_S = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
)  # fmt: skip
"""Bounds for what the gateway adds, in seconds."""


class Times:
    """A histogram of seconds."""

    __slots__ = ("bounds", "counts", "sum_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound → how many were at most that long, as Prometheus has them."""
        found, total = [], 0
        for bound, count in zip([*map(repr, self.bounds), "+Inf"], list(self.counts), strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class ModelTimes:
    """The times of one model's requests."""

    __slots__ = ("duration", "first_token")

    def __init__(self) -> None:
        self.duration, self.first_token = Times(LONG_S), Times(LONG_S)
