"""What an evaluation of an N-model benchmark found, as values, JSON and text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from turnout.evaluation.categories import CategoryRow, category_lines
from turnout.evaluation.details import Details
from turnout.evaluation.headings import METRICS, metric_cell, present
from turnout.evaluation.intervals import Estimate
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.rules import LENGTH, TABLE, ZERO
from turnout.evaluation.tables import (
    align,
    change_cell,
    json_estimate,
    json_interval,
    json_number,
    scaled,
)
from turnout.evaluation.verdict import Verdict

ALWAYS = "always "
"""How the row of a single model begins."""
_FIRST = ("aiq", "log_aiq", "net_lift")
"""Metrics of the first table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A setting of the knob, by the name that a request asks for."""

    route: str
    """Such as `router-blend-0.5`."""
    cost_usd: float
    quality: float


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
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    """By the names of `headings.METRICS`; those of a sweep only where there is one and costs are known."""
    remark: str = ""
    points: tuple[tuple[float, float], ...] = ()
    """Mean cost in USD and mean quality at each setting of a knob; empty for one choice."""
    band: tuple[tuple[float, float], ...] = ()
    """Ends of the 95% band of each point's quality, against the best single model."""
    marks: tuple[Mark, ...] = ()
    """Settings of the knob, where routes lead to them."""

    def metric(self, name: str) -> float:
        """A metric's value, NaN where there is none."""
        return self.metrics[name].value if name in self.metrics else math.nan

    @property
    def aiq(self) -> float:
        """Of the sweep from cheap to good; NaN for one choice or unknown costs."""
        return self.metric("aiq")

    @property
    def log_aiq(self) -> float:
        """The same over log cost."""
        return self.metric("log_aiq")

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
            "metrics": {name: json_estimate(e) for name, e in self.metrics.items()},
            "points": [
                {"cost_usd": c, "quality": q, "low": low, "high": high}
                for (c, q), (low, high) in zip(self.points, self.band, strict=True)
            ],
            "knob": [asdict(mark) for mark in self.marks],
            "remark": self.remark,
        }


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
    verdicts: tuple[Verdict, ...] = ()
    """One for each router."""
    details: Details = field(default_factory=Details)
    replicates: int = 0
    seed: int = 0

    def row(self, name: str) -> PoolRow:
        """A row by name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.rows}[name]

    @property
    def routed(self) -> tuple[PoolRow, ...]:
        """Rows of routers that have a curve: what a picture draws beside single models."""
        plain = (ZERO, LENGTH, TABLE)
        return tuple(row for row in self.rows if row.points and row.name not in plain)

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
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            **self.details.to_dict(),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """The answer in words, then aligned tables with their legend."""
        header = ["", "kind", "quality", "USD a call", "less best single"]
        table = align([[*header, "AIQ", "log AIQ", "net lift", ""], *map(self._cells, self.rows)])
        legend = [
            f"[low high]: 95%, {self.replicates:,} paired bootstrap replicates over groups, "
            f"seed {self.seed}.",
            "best single: chosen with hindsight on these very prompts, so it is hard to beat.",
            "AIQ: mean height of the cost-quality hull between the cheapest and the dearest model;",
            "the hull of a sweep is taken with hindsight, that of the zero router too.",
            "lift: AIQ less that of the zero router, paired. net lift: the same without hindsight; the",
            "answer above rests on it. Every metric with its formula: docs/glossary.md.",
            *(f"note: {note}" for note in self.notes),
        ]
        title = f"{self.benchmark}: {self.prompts:,} prompts in {self.groups:,} groups"
        lines = [f"{title}, {len(self.models)} models", *(v.sentence for v in self.verdicts), ""]
        lines += [*table, "", *self._metric_lines()]
        lines += category_lines(self.categories, self.scale)
        return "\n".join([*lines, *self.details.lines(), *legend]) + "\n"

    def _metric_lines(self) -> list[str]:
        rows = [row for row in self.rows if not row.name.startswith(ALWAYS)]
        names = present((row.metrics for row in rows), without=_FIRST)
        cells = [
            [row.name, *(metric_cell(row.metrics, name, self.scale) for name in names)]
            for row in rows
        ]
        return [*align([["", *(METRICS[name] for name in names)], *cells]), ""]

    def _cells(self, row: PoolRow) -> list[str]:
        return [
            row.name,
            row.kind,
            scaled(row.quality, self.scale),
            "-" if math.isnan(row.cost_usd) else f"{row.cost_usd:.6f}",
            change_cell(row.difference, self.scale),
            *("-" if math.isnan(v) else f"{v:.4f}" for v in (row.aiq, row.log_aiq)),
            change_cell(row.metrics.get("net_lift"), self.scale),
            row.remark,
        ]
