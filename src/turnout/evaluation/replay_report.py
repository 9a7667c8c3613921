"""What other settings would have given, as values, JSON and text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from turnout.evaluation.intervals import Estimate
from turnout.evaluation.tables import align, json_estimate, json_interval, json_number
from turnout.types import Price

ALWAYS: Final = "always "
"""How the row of a model alone begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """What one setting gives."""

    name: str
    threshold: float | None
    """None: that of each recorded decision, or no knob at all."""
    share: Mapping[str, float]
    """Of the prompts, by model."""
    expected_cost_usd: float
    """Mean of a call at the prices of the replay; NaN where unknown."""
    expected_quality: float
    """Mean of the predictions; NaN where unknown."""
    kept_cost_usd: float
    """What the decisions that it is compared with would cost at these prices."""
    changed: int
    """Decisions that differ from those it is compared with."""
    unserved: int = 0
    """Prompts that no candidate can serve."""
    measured_quality: Estimate | None = None
    measured_cost_usd: Estimate | None = None
    on_hull: bool = False
    """Whether no mix of other rows is better and cheaper: measured, or expected where it is not."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "threshold": self.threshold,
            "share": dict(self.share),
            "expected_cost_usd": json_number(self.expected_cost_usd),
            "expected_quality": json_number(self.expected_quality),
            "kept_cost_usd": json_number(self.kept_cost_usd),
            "changed": self.changed,
            "unserved": self.unserved,
            "measured_quality": json_estimate(self.measured_quality),
            "measured_cost_usd": json_estimate(self.measured_cost_usd),
            "on_hull": self.on_hull,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """Rows of a replay: its settings, then every model alone."""

    router: str
    artifact: str | None
    source: str
    policy: str
    prompts: int
    measured_prompts: int
    prices: Mapping[str, Price | None]
    compared_with: str
    rows: tuple[ReplayRow, ...]
    notes: tuple[str, ...]
    replicates: int
    seed: int

    def row(self, name: str) -> ReplayRow:
        """A row by name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.rows}[name]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: qualities in [0, 1], costs in USD a call, prices in USD per million."""
        return {
            "router": self.router,
            "artifact": self.artifact,
            "source": self.source,
            "policy": self.policy,
            "prompts": self.prompts,
            "measured_prompts": self.measured_prompts,
            "prices": {
                name: None if p is None else {"input_usd": p[0], "output_usd": p[1]}
                for name, p in ((n, _per_million(price)) for n, price in self.prices.items())
            },
            "compared_with": self.compared_with,
            "interval": json_interval(self.replicates, self.seed),
            "rows": [row.to_dict() for row in self.rows],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """An aligned table with its legend."""
        measured = any(row.measured_quality is not None for row in self.rows)
        header = ["", *self.prices, "USD a call", "kept", "quality", "changed"]
        header += ["measured quality", "measured USD"] if measured else []
        priced_too = any(row.measured_cost_usd is not None for row in self.rows)
        table = align([[*header, "hull"], *(self._cells(row, measured) for row in self.rows)])
        priced = ", ".join(
            f"{name} {'unknown' if p is None else f'{p[0]:g}/{p[1]:g}'}"
            for name, p in ((n, _per_million(price)) for n, price in self.prices.items())
        )
        title = f"{self.router} on {self.prompts:,} prompts of {self.source or 'unknown source'}"
        lines = [
            f"{title}, policy {self.policy}",
            f"prices, USD per million tokens in/out: {priced}",
            "",
            *table,
            "",
            f"changed: decisions that differ from {self.compared_with};",
            "kept: what those decisions cost at these prices, - where a model of theirs left the pool.",
            "USD a call and quality are expected, by the predictions.",
            "hull: * where no mix of the other rows is better and cheaper, by "
            f"{'measured' if priced_too else 'expected'} values.",
        ]
        if measured:
            lines.append(
                f"[low high]: 95%, {self.replicates:,} paired bootstrap replicates over groups, seed "
                f"{self.seed}; measured on {self.measured_prompts:,} prompts with all outcomes."
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)]) + "\n"

    def _cells(self, row: ReplayRow, measured: bool) -> list[str]:
        cells = [
            row.name,
            *(f"{row.share.get(name, 0.0):.1%}" for name in self.prices),
            _usd(row.expected_cost_usd),
            _usd(row.kept_cost_usd),
            "-" if math.isnan(row.expected_quality) else f"{row.expected_quality:.4f}",
            f"{row.changed:,}" if not row.name.startswith(ALWAYS) else "-",
        ]
        if measured:
            cells += [_interval(row.measured_quality, 4), _interval(row.measured_cost_usd, 6)]
        return [*cells, "*" if row.on_hull else ""]


def _per_million(price: Price | None) -> tuple[float, float] | None:
    return None if price is None else (price.input_picousd / 1e6, price.output_picousd / 1e6)


def _usd(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.6f}"


def _interval(value: Estimate | None, digits: int) -> str:
    if value is None:
        return "-"
    if math.isnan(value.low):
        return f"{value.value:.{digits}f}"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f} {value.high:.{digits}f}]"
