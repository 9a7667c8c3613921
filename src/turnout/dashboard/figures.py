"""The numbers of the dashboard, read from the records of a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.store.database import Database, Row
from turnout.store.record import Record
from turnout.store.records import RecordTable
from turnout.types import Pool, Usage

HOUR_MS = 3_600_000
LATEST = 50
"""Records that are shown."""
MOST_ROWS = 20
"""Of a table of groups: the largest."""
_MONEY = "SUM(cost_picousd / 1000000), SUM(cost_picousd % 1000000)"
"""In two parts, since a sum over 9.2 million dollars in picodollars overflows SQLite's."""
_OVER = "status <> 'unknown' AND kind = 'request'"
"""What is sent beside a request (`mirror`) is nobody's traffic; the latest records show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What requests of one kind came to."""

    name: tuple[str, ...]
    requests: int
    failed: int
    """Without a whole answer, clients that left not counted."""
    cost_picousd: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    mean_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a span of time came to."""

    total: Group
    models: Sequence[Group]
    """By who answered."""
    decisions: Sequence[Group]
    """By router, reason and model."""
    keys: Sequence[Group]
    """By the id of the key that asked."""
    hourly_picousd: Sequence[tuple[int, int]]
    """Start of an hour in Unix milliseconds → spend, oldest first; hours without requests are there."""
    unpriced: int
    """Answers whose cost is not known."""
    strong: str
    strong_picousd: int | None
    """What the same answers would have cost at the strongest candidate; None without its price."""
    latest: Sequence[Record]

    @property
    def saved_share(self) -> float | None:
        """The part of the strong candidate's cost that was not spent."""
        if not self.strong_picousd:
            return None
        return 1.0 - self.total.cost_picousd / self.strong_picousd


def read_figures(database: Database, pool: Pool, *, since_ms: int, now_ms: int) -> Figures:
    """Read what a span of time came to.

    Args:
        database: with a table of records.
        pool: whose strongest candidate is compared with.
        since_ms: its start, Unix milliseconds.
        now_ms: its end.

    Raises:
        StoreError: the database fails.
    """
    models = _groups(database, ("candidate",), since_ms)
    [total] = _groups(database, (), since_ms) or [_nothing()]
    [[unpriced]] = database.run(
        "SELECT COUNT(*) FROM records WHERE at_ms >= ? AND status IN ('ok', 'partial') "
        "AND cost_picousd IS NULL AND kind = 'request'",
        [since_ms],
    )
    return Figures(
        total=total,
        models=models,
        decisions=_groups(database, ("router", "code", "candidate"), since_ms),
        keys=[group for group in _groups(database, ("key",), since_ms) if group.name[0]],
        hourly_picousd=_hourly(database, since_ms, now_ms),
        unpriced=int(unpriced),
        strong=pool.candidates[0].name,
        strong_picousd=_at_the_strong(pool, models),
        latest=RecordTable(database).latest(LATEST),
    )


def _groups(database: Database, by: Sequence[str], since_ms: int) -> list[Group]:
    """Largest first. The columns are named here and nowhere else."""
    names = "".join(f"{column}, " for column in by)
    grouped = f" GROUP BY {', '.join(by)}" if by else ""
    rows = database.run(
        f"SELECT {names}COUNT(*), "  # noqa: S608 - names of columns, from this module
        "SUM(CASE WHEN status IN ('failed', 'partial') THEN 1 ELSE 0 END), "
        f"{_MONEY}, SUM(input_tokens + cache_write_tokens), SUM(cache_read_tokens), "
        "SUM(output_tokens), SUM(duration_ms) "
        f"FROM records WHERE at_ms >= ? AND {_OVER}{grouped} ORDER BY COUNT(*) DESC LIMIT ?",
        [since_ms, MOST_ROWS],
    )
    return [_group(row, len(by)) for row in rows if row[len(by)]]


def _group(row: Row, named: int) -> Group:
    requests, failed, high, low, read, cached, written, took = (int(v or 0) for v in row[named:])
    return Group(
        name=tuple(map(str, row[:named])),
        requests=requests,
        failed=failed,
        cost_picousd=high * 1_000_000 + low,
        input_tokens=read,
        cached_tokens=cached,
        output_tokens=written,
        mean_ms=took / requests,
    )


def _nothing() -> Group:
    return Group(name=(), requests=0, failed=0, cost_picousd=0, input_tokens=0, cached_tokens=0,
                 output_tokens=0, mean_ms=0.0)  # fmt: skip


def _hourly(database: Database, since_ms: int, now_ms: int) -> list[tuple[int, int]]:
    rows = database.run(
        f"SELECT at_ms / {HOUR_MS}, {_MONEY} FROM records WHERE at_ms >= ? AND {_OVER} "  # noqa: S608
        f"GROUP BY at_ms / {HOUR_MS}",
        [since_ms],
    )
    spent = {int(hour): int(high or 0) * 1_000_000 + int(low or 0) for hour, high, low in rows}
    hours = range(since_ms // HOUR_MS, now_ms // HOUR_MS + 1)
    return [(hour * HOUR_MS, spent.get(hour, 0)) for hour in hours]


def _at_the_strong(pool: Pool, models: Sequence[Group]) -> int | None:
    """The same tokens at the strongest candidate's price, of each model's average request.

    Of the average, because a price may depend on how long a request is.
    """
    price = pool.candidates[0].price
    if price is None:
        return None
    total = 0
    for group in models:
        mean = Usage(
            input_tokens=round(group.input_tokens / group.requests),
            cache_read_tokens=round(group.cached_tokens / group.requests),
            output_tokens=round(group.output_tokens / group.requests),
        )
        total += price.usage_picousd(mean) * group.requests
    return total
