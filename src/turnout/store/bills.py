"""A provider's bill export, as amounts by day and model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from turnout.errors import DataError
from turnout.types import PICO

NAMES: Mapping[str, tuple[str, ...]] = {
    "day": ("day", "date", "usage_date_utc", "usage_date", "timestamp", "start_time_iso", "start_time"),
    "model": ("model", "model_version", "model_name", "snapshot_id", "line_item"),
    "input": ("input_tokens", "n_context_tokens_total", "prompt_tokens", "uncached_input_tokens",
              "usage_input_tokens_no_cache"),
    "cache_read": ("cache_read_input_tokens", "usage_input_tokens_cache_read"),
    "cache_write": ("cache_creation_input_tokens", "usage_input_tokens_cache_write_5m"),
    "cache_write_1h": ("usage_input_tokens_cache_write_1h",),
    "output": ("output_tokens", "n_generated_tokens_total", "completion_tokens", "usage_output_tokens"),
    "cost": ("cost_usd", "cost", "amount_value", "amount", "total_cost", "usd"),
}  # fmt: skip
"""What is read → the names that providers' exports give it; the first that is there."""

_TOKENS = ("input", "cache_read", "cache_write", "cache_write_1h", "output")


@dataclass(slots=True)
class Amount:
    """Tokens and dollars of one model on one day."""

    input_tokens: int = 0
    """All of the input, cached or not."""
    output_tokens: int = 0
    cost_picousd: int = 0
    rows: int = 0

    def add(self, other: Amount) -> None:
        """Take another one in."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_picousd += other.cost_picousd
        self.rows += other.rows


Bill = dict[tuple[str, str], Amount]
"""(day, model) → amount; the day is in UTC, as `2026-11-26`."""


@dataclass(slots=True)
class BillReader:
    """Reads exports.

    Args:
        columns: what is read (`day`, `model`, `input`, `cache_read`, `cache_write`, `output`, `cost`) → the
            name of its column, where an export has one of its own.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    has_tokens: bool = False
    has_cost: bool = False

    def read(self, path: Path) -> Bill:
        """The amounts of a file.

        CSV; JSON as OpenAI's and Anthropic's usage and cost endpoints give it, or a list of rows; JSON
        lines.

        Raises:
            DataError: it cannot be read, or a row has no day, no model, or an amount that is no number.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise DataError("bill", str(path), f"give a readable CSV or JSON file: {why}") from None
        bill: Bill = {}
        for number, row in enumerate(_rows(text, path), start=1):
            key, amount = self._amount(row, f"{path.name}, row {number}")
            bill.setdefault(key, Amount()).add(amount)
        if not bill:
            raise DataError("bill", str(path), "it has no rows")
        if not (self.has_tokens or self.has_cost):
            known = ", ".join(sorted({*NAMES["input"], *NAMES["output"], *NAMES["cost"]}))
            remedy = (
                f"it has neither tokens nor costs under names known here ({known}); give --column"
            )
            raise DataError("bill", str(path), remedy)
        return bill

    def _amount(self, row: Mapping[str, Any], where: str) -> tuple[tuple[str, str], Amount]:
        day, model = self._value(row, "day"), self._value(row, "model")
        if day is None or model in (None, ""):
            missing = "day" if day is None else "model"
            names = ", ".join(NAMES[missing])
            remedy = f"name its {missing} (one of {names}, or --column {missing}=NAME)"
            raise DataError(where, sorted(row), remedy)
        tokens = {n: self._tokens(row, n, where) for n in _TOKENS}
        # OpenAI's input holds what was cached; Anthropic's and ours stand beside.
        beside = tokens["cache_read"] + tokens["cache_write"] + tokens["cache_write_1h"]
        cost = self._value(row, "cost")
        self.has_cost = self.has_cost or cost is not None
        found = Amount(
            input_tokens=tokens["input"] + beside,
            output_tokens=tokens["output"],
            cost_picousd=0 if cost in (None, "") else _picousd(cost, where),
            rows=1,
        )
        return (_day(day, where), str(model).partition(",")[0].strip()), found

    def _tokens(self, row: Mapping[str, Any], name: str, where: str) -> int:
        value = self._value(row, name)
        if value in (None, ""):
            return 0
        self.has_tokens = True
        number = _decimal(value, where, name)
        if number != number.to_integral_value() or number < 0:
            raise DataError(f"{where}, {name}", value, "give whole tokens of 0 or more")
        return int(number)

    def _value(self, row: Mapping[str, Any], name: str) -> Any:
        wanted = (self.columns[name],) if name in self.columns else NAMES[name]
        return next((row[n] for n in wanted if row.get(n) is not None), None)


def _rows(text: str, path: Path) -> Iterator[Mapping[str, Any]]:
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        try:
            yield from csv.DictReader(io.StringIO(text), strict=True)
        except csv.Error as error:
            raise DataError("bill", str(path), f"write valid CSV: {error}") from None
        return
    try:
        given: Any = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        given = _lines(text, path)
    pages = given if isinstance(given, list) else [given]
    for page in pages:
        if not isinstance(page, Mapping):
            raise DataError("bill", str(path), "give a list of objects")
        yield from _page(page)


def _lines(text: str, path: Path) -> list[Any]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append(json.loads(line, parse_float=Decimal))
            except (ValueError, RecursionError):
                remedy = "write valid JSON, JSON lines or CSV"
                raise DataError(f"{path.name}, line {number}", line[:40], remedy) from None
    return found


def _page(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The rows of a page of OpenAI's or Anthropic's usage or cost endpoint; a plain row is itself."""
    if not isinstance(page.get("data"), list):
        yield page if "results" not in page else {}
        return
    for bucket in page["data"]:
        day = bucket.get("start_time_iso", bucket.get("starting_at", bucket.get("start_time")))
        for result in bucket.get("results", ()):
            yield _flat(result, day, anthropic="starting_at" in bucket)


def _flat(result: Mapping[str, Any], day: Any, *, anthropic: bool) -> dict[str, Any]:
    flat: dict[str, Any] = {**result, "day": day}
    amount = result.get("amount")
    if isinstance(amount, Mapping):  # OpenAI's costs
        flat["amount"] = amount.get("value")
    elif anthropic and amount is not None:  # in cents, as a decimal string
        flat["amount"] = Decimal(str(amount)) / 100
    made = result.get("cache_creation")
    if isinstance(made, Mapping):
        flat["cache_creation_input_tokens"] = sum(
            int(made.get(n) or 0)
            for n in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        )
    return flat


def _decimal(value: Any, where: str, name: str) -> Decimal:
    try:
        found = Decimal(str(value).replace(",", "").removeprefix("$").strip())
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite():
        raise DataError(f"{where}, {name}", value, "give a number")
    return found


def _picousd(value: Any, where: str) -> int:
    return int((_decimal(value, where, "cost") * PICO).to_integral_value())


def _day(value: Any, where: str) -> str:
    if isinstance(value, int | Decimal) or str(value).isdigit():
        return datetime.fromtimestamp(int(value), tz=UTC).date().isoformat()
    try:
        at = datetime.fromisoformat(str(value).replace(" UTC", "+00:00"))
    except ValueError:
        try:
            return date.fromisoformat(str(value)[:10]).isoformat()
        except ValueError:
            raise DataError(f"{where}, day", value, "write it as 2026-11-26") from None
    return (at.astimezone(UTC) if at.tzinfo else at).date().isoformat()


def parse_columns(given: Sequence[str]) -> dict[str, str]:
    """`day=Datum` and the like.

    Raises:
        DataError: not NAME=COLUMN of a name that is read.
    """
    found = {}
    for text in given:
        name, equals, column = text.partition("=")
        if name not in NAMES or not equals or not column:
            raise DataError(
                "column", text, f"give NAME=COLUMN, with NAME one of {', '.join(NAMES)}"
            )
        found[name] = column
    return found
