"""Everything that is counted of requests, under the names that Prometheus scrapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from turnout.observe.tally import SHORT_S, ModelTimes, Times
from turnout.observe.trail import Trail
from turnout.store.record import Record

Labels: TypeAlias = tuple[str, ...]
Series: TypeAlias = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A counter or gauge whose values are kept elsewhere, and looked at when they are scraped."""

    name: str
    """Of a counter: with its `_total`."""
    help: str
    labels: Labels = ()
    read: Callable[[], Series]


def single(read: Callable[[], float]) -> Callable[[], Series]:
    """The series of a reading without labels."""
    return lambda: [((), read())]


@dataclass(slots=True)
class Metrics:
    """Adds up requests and records. Labels are names of the settings and fixed words, never a client's.

    Args:
        readings: what is kept elsewhere.
    """

    readings: list[Reading] = field(default_factory=list)
    requests: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    """(route, model, status) → requests."""
    times: dict[str, ModelTimes] = field(default_factory=lambda: defaultdict(ModelTimes))
    """By model."""
    overhead: Times = field(default_factory=lambda: Times(SHORT_S))
    decisions: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    """(router, model, reason) → decisions."""
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How a decided request ended → requests."""
    cost_picousd: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By model."""
    unpriced: int = 0
    """Answers whose cost is not known."""
    input_tokens: int = 0
    """Without those that were read from a cache."""
    cached_tokens: int = 0
    output_tokens: int = 0

    def over(self, trail: Trail) -> None:
        """See `turnout.observe.trail.Watcher`."""
        self.requests[trail.route, trail.model, trail.counted_status] += 1
        if trail.begun == 0.0:
            return
        self.overhead.add(trail.overhead_s)
        record = trail.record
        if record is None:
            return
        times = self.times[trail.model]
        times.duration.add(trail.duration_s)
        if record.stream and record.http_status < 400:
            times.first_token.add(trail.first_byte_s)

    def began(self, record: Record) -> None:
        """See `turnout.gateway.calls.recording.EarlyObserver`."""
        self.decisions[record.router, record.candidate, record.code] += 1

    def ended(self, record: Record) -> None:
        """See `turnout.gateway.calls.recording.Observer`."""
        self.outcomes[record.status] += 1
        answered = record.provider != ""
        if (
            record.cost_picousd is not None
        ):  # an answer's, or what a call that was given up may cost
            self.cost_picousd[record.candidate] += record.cost_picousd
        elif answered:
            self.unpriced += 1
        if not answered:
            return
        self.input_tokens += record.input_tokens + record.cache_write_tokens
        self.cached_tokens += record.cache_read_tokens
        self.output_tokens += record.output_tokens
