"""What an evaluation of an N-model benchmark found, as values, JSON and text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from turnout.evaluation.intervals import Estimate
from turnout.evaluation.report import (
    RowKind,
    align,
    json_estimate,
    json_interval,
    json_number,
    scaled,
)

ALWAYS = "always "
"""How the row of a single model begins."""
SHOWN_CATEGORIES = 20
"""Categories in the text; the JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """What one way to choose gave."""

    name: str
    kind: RowKind
    quality: Estimate
    """Mean, in [0, 1]."""
    cost_usd: float
    """Mean of a call; NaN where unknown."""
    difference: Estimate | None = None
    """Quality less that of the best single model, paired."""
    aiq: float = math.nan
    """Of the router's sweep from cheap to good; NaN for one point or unknown costs."""
    log_aiq: float = math.nan
    remark: str = ""
    points: tuple[tuple[float, float], ...] = ()
    """Mean cost in USD and mean quality at each setting of a knob; empty for one choice."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "kind": self.kind,
            "quality": json_estimate(self.quality),
            "cost_usd": json_number(self.cost_usd),
            "quality_minus_best_single": json_estimate(self.difference),
            "aiq": json_number(self.aiq),
            "log_aiq": json_number(self.log_aiq),
            "points": [{"cost_usd": c, "quality": q} for c, q in self.points],
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRow:
    """Mean quality within one category."""

    name: str
    prompts: int
    best_model: str
    """The best single model here, with hindsight."""
    best_quality: float
    quality: Mapping[str, float]
    """By the name of a way to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """Rows of an N-model benchmark."""

    benchmark: str
    prompts: int
    groups: int
    models: tuple[str, ...]
    scale: float
    rows: tuple[PoolRow, ...]
    categories: tuple[CategoryRow, ...]
    """Largest first; empty where the prompts have no categories."""
    notes: tuple[str, ...]
    replicates: int
    seed: int

    def row(self, name: str) -> PoolRow:
        """A row by name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.rows}[name]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: qualities in [0, 1], costs in USD a call."""
        return {
            "benchmark": self.benchmark,
            "prompts": self.prompts,
            "groups": self.groups,
            "models": list(self.models),
            "scale": self.scale,
            "interval": json_interval(self.replicates, self.seed),
            "rows": [row.to_dict() for row in self.rows],
            "categories": [asdict(row) for row in self.categories],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """An aligned table with its legend."""
        header = ["", "kind", "quality", "USD a call", "less best single", "AIQ", "log AIQ", ""]
        table = align([header, *(self._cells(row) for row in self.rows)])
        legend = [
            f"[low high]: 95%, {self.replicates:,} paired bootstrap replicates over groups, "
            f"seed {self.seed}.",
            "best single: chosen with hindsight on these very prompts, so it is hard to beat.",
            "AIQ: mean height of the cost-quality hull between the cheapest and the dearest model;",
            "the hull of a sweep is taken with hindsight, that of the zero router too.",
            *(f"note: {note}" for note in self.notes),
        ]
        title = f"{self.benchmark}: {self.prompts:,} prompts in {self.groups:,} groups"
        lines = [f"{title}, {len(self.models)} models", "", *table, ""]
        return "\n".join([*lines, *self._category_lines(), *legend]) + "\n"

    def _category_lines(self) -> list[str]:
        if not self.categories:
            return []
        ways = list(self.categories[0].quality)
        rows = [["category", "prompts", *ways, "best model there", ""]]
        for row in self.categories[:SHOWN_CATEGORIES]:
            values = [f"{row.quality[way] * self.scale:.1f}" for way in ways]
            best = f"{row.best_quality * self.scale:.1f}"
            rows.append([row.name, f"{row.prompts:,}", *values, best, row.best_model])
        more = len(self.categories) - SHOWN_CATEGORIES
        rest = [f"and {more} smaller categories (in the JSON)"] if more > 0 else []
        return [*align(rows), *rest, ""]

    def _cells(self, row: PoolRow) -> list[str]:
        gap = "-"
        if row.difference is not None:
            low, high = row.difference.low * self.scale, row.difference.high * self.scale
            gap = f"{row.difference.value * self.scale:+.2f} [{low:+.2f} {high:+.2f}]"
        return [
            row.name,
            row.kind,
            scaled(row.quality, self.scale),
            "-" if math.isnan(row.cost_usd) else f"{row.cost_usd:.6f}",
            gap,
            *("-" if math.isnan(v) else f"{v:.4f}" for v in (row.aiq, row.log_aiq)),
            row.remark,
        ]
