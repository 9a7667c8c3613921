"""The ledger beside a provider's bill: by day and model, tokens and dollars, and what is explained."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from turnout.names import plain_model
from turnout.store.bills import Amount, Bill
from turnout.store.database import Database, Value

_DAY_MS = 86_400_000
_BOOKED = (
    "SELECT at_ms / 86400000, CASE WHEN upstream_model <> '' THEN upstream_model ELSE candidate END, "
    "SUM(input_tokens + cache_read_tokens + cache_write_tokens), SUM(output_tokens), "
    # In two parts: see `RecordTable.spent_picousd`.
    "SUM(COALESCE(cost_picousd, 0) / 1000000), SUM(COALESCE(cost_picousd, 0) % 1000000), COUNT(*) "
    "FROM records WHERE at_ms >= ? AND at_ms < ?"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One model on one day."""

    day: str
    model: str
    booked: Amount
    billed: Amount


@dataclass(slots=True)
class Reconciled:
    """What came of a comparison."""

    lines: list[Line]
    booked: Amount = field(default_factory=Amount)
    billed: Amount = field(default_factory=Amount)
    explained_tokens: int = 0
    explained_picousd: int = 0

    def share(self, *, tokens: bool) -> float:
        """The share of the bill that the ledger explains, cell by cell: what both have."""
        if tokens:
            whole = self.billed.input_tokens + self.billed.output_tokens
            return 1.0 if whole == 0 else self.explained_tokens / whole
        whole = self.billed.cost_picousd
        return 1.0 if whole == 0 else self.explained_picousd / whole

    def excess(self, *, tokens: bool) -> float:
        """What the ledger has beyond the bill, cell by cell, as a share of the bill."""
        if tokens:
            whole = self.billed.input_tokens + self.billed.output_tokens
            more = self.booked.input_tokens + self.booked.output_tokens - self.explained_tokens
        else:
            whole, more = (
                self.billed.cost_picousd,
                self.booked.cost_picousd - self.explained_picousd,
            )
        return more / whole if whole else float(more > 0)


def booked(database: Database, first: str, last: str, provider: str | None = None) -> Bill:
    """What the ledger has of these days, both of them included, by the model that upstreams named.

    Raises:
        StoreError: the database failed.
    """
    start = _ms(first)
    values: list[Value] = [start, _ms(last) + _DAY_MS]
    statement = _BOOKED
    if provider is not None:
        statement, values = f"{statement} AND provider = ?", [*values, provider]
    found: Bill = {}
    for day, model, tokens_in, out, high, low, rows in database.run(
        f"{statement} GROUP BY 1, 2", values
    ):
        at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(day))).date().isoformat()
        cost = int(high) * 1_000_000 + int(low)
        found[at, model] = Amount(int(tokens_in), int(out), cost, int(rows))
    return found


def reconcile(ours: Bill, bill: Bill) -> Reconciled:
    """Compare, model names without vendor and version."""
    mine, theirs = _by_plain_name(ours), _by_plain_name(bill)
    found = Reconciled([])
    for day, model in sorted({*mine, *theirs}):
        one, other = mine.get((day, model), Amount()), theirs.get((day, model), Amount())
        found.lines.append(Line(day, model, one, other))
        found.booked.add(one)
        found.billed.add(other)
        found.explained_tokens += min(one.input_tokens, other.input_tokens)
        found.explained_tokens += min(one.output_tokens, other.output_tokens)
        found.explained_picousd += min(one.cost_picousd, other.cost_picousd)
    return found


def _by_plain_name(bill: Bill) -> Bill:
    found: Bill = {}
    for (day, model), amount in bill.items():
        found.setdefault((day, plain_model(model)), Amount()).add(amount)
    return found


def _ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
