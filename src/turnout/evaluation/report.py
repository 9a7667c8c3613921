"""What an evaluation of a two-model benchmark found, as values, JSON and text."""

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
from turnout.evaluation.kinds import KINDS, RowKind
from turnout.evaluation.metrics import Vector
from turnout.evaluation.tables import (
    align,
    cell,
    json_estimate,
    json_interval,
    json_number,
    scaled,
)
from turnout.evaluation.verdict import Verdict

HEADINGS = {
    "cpt50": "CPT50",
    "cpt80": "CPT80",
    "apgr": "APGR",
    "apgr_exact": "APGR exact",
    "apgr_usd": "APGR dollars",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A cost-quality curve on a grid, with its pointwise 95% band.

    The band is of what is gained over the weak model; the weak model's own level is held fixed, so
    that the band shows what routing does, not how hard the prompts are.
    """

    share: Vector
    """(k,) share of strong calls or of the extra dollars."""
    quality: Vector
    """(k,) mean quality, in [0, 1]."""
    low: Vector
    high: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A threshold, by the name that a request asks for."""

    route: str
    """Such as `router-blend-0.2175`."""
    share: float
    """Of strong calls on these prompts."""
    share_usd: float | None
    """Of the extra dollars; None where costs are unknown."""
    quality: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One router, baseline or published result."""

    name: str
    kind: RowKind
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    """By name (`intervals.METRICS`); empty for constant models."""
    difference: Estimate | None = None
    """APGR exact less that of prompt length, paired."""
    difference_usd: Estimate | None = None
    """The same for APGR dollars."""
    sweep: Mapping[str, Estimate] = field(default_factory=dict)
    """By name: what a report of N models has of a sweep, over dollars, else over calls."""
    at_half: Mapping[str, Estimate] = field(default_factory=dict)
    """By name: what it has of one choice a prompt, with half of the calls to the strong model."""
    calibration: Mapping[str, float] = field(default_factory=dict)
    """Of the win rate as P(the strong model does better): brier, brier_skill, ece."""
    remark: str = ""
    calls: Band | None = None
    dollars: Band | None = None
    marks: tuple[Mark, ...] = ()
    """Thresholds, where routes lead to them."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "kind": self.kind,
            "metrics": {name: json_estimate(e) for name, e in self.metrics.items()},
            "apgr_exact_minus_length": json_estimate(self.difference),
            "apgr_usd_minus_length": json_estimate(self.difference_usd),
            "sweep": {name: json_estimate(e) for name, e in self.sweep.items()},
            "at_half": {name: json_estimate(e) for name, e in self.at_half.items()},
            "knob": [asdict(mark) for mark in self.marks],
            "calibration": {k: json_number(v) for k, v in self.calibration.items()},
            "remark": self.remark,
            "curve_calls": _band(self.calls),
            "curve_dollars": _band(self.dollars),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """Rows of a two-model benchmark, with what is needed to read them."""

    benchmark: str
    prompts: int
    groups: int
    strong: str
    weak: str
    scale: float
    quality_strong: Estimate
    """In [0, 1]."""
    quality_weak: Estimate
    cost_usd: tuple[float, float] | None
    """Mean cost of a strong and of a weak call."""
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """Two for each router where costs are known: over dollars, then over calls."""
    categories: tuple[CategoryRow, ...] = ()
    """Largest first; empty where the prompts have no categories."""
    details: Details = field(default_factory=Details)
    replicates: int = 0
    seed: int = 0

    def row(self, name: str) -> ReportRow:
        """A row by name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.rows}[name]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: qualities in [0, 1], shares in [0, 1], costs in USD."""
        return {
            "benchmark": self.benchmark,
            "prompts": self.prompts,
            "groups": self.groups,
            "strong": self.strong,
            "weak": self.weak,
            "scale": self.scale,
            "quality_strong": json_estimate(self.quality_strong),
            "quality_weak": json_estimate(self.quality_weak),
            "cost_usd": None
            if self.cost_usd is None
            else {"strong": self.cost_usd[0], "weak": self.cost_usd[1]},
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
        """The answer in words, then an aligned table with its legend."""
        header = ["", "kind", *HEADINGS.values(), "less length"]
        body = [self._cells(row) for row in self.rows]
        words = [verdict.sentence for verdict in self.verdicts]
        parts = [self._title(), *words, "", *align([header, *body]), "", *self._sweep_lines()]
        parts += [*category_lines(self.categories, self.scale), *self.details.lines()]
        return "\n".join([*parts, *self._legend()]) + "\n"

    def _sweep_lines(self) -> list[str]:
        rows = [row for row in self.rows if row.sweep]
        lines: list[str] = []
        axis = "over dollars" if self.cost_usd is not None else "over calls"
        for title, have in (
            (axis, [row.sweep for row in rows]),
            ("at half of the calls", [row.at_half for row in rows]),
        ):
            names = present(have)
            cells = [
                [row.name, *(metric_cell(found, name, self.scale) for name in names)]
                for row, found in zip(rows, have, strict=True)
            ]
            if rows:
                lines += [*align([[title, *(METRICS[name] for name in names)], *cells]), ""]
        return lines

    def _title(self) -> str:
        lines = [f"{self.benchmark}: {self.prompts:,} prompts in {self.groups:,} groups"]
        costs = self.cost_usd or (math.nan, math.nan)
        for role, name, quality, cost in (
            ("strong", self.strong, self.quality_strong, costs[0]),
            ("weak", self.weak, self.quality_weak, costs[1]),
        ):
            shown = f"{role:<6} {name}: quality {scaled(quality, self.scale)}"
            lines.append(shown if math.isnan(cost) else f"{shown}, {cost:.6f} USD a call")
        return "\n".join(lines)

    def _cells(self, row: ReportRow) -> list[str]:
        cells = [row.name, row.kind]
        if not row.metrics:
            return [*cells, row.remark]
        for name in HEADINGS:
            percent = name.startswith("cpt")
            cells.append(cell(row.metrics.get(name), percent=percent))
        return [*cells, cell(row.difference, signed=True)]

    def _legend(self) -> list[str]:
        here = {row.kind for row in self.rows}
        kinds = [f"  {kind}: {text}" for kind, text in KINDS.items() if kind in here]
        return [
            "CPT50, CPT80: percent of strong calls that recovers 50%, 80% of the quality gap.",
            "APGR: mean part of the gap recovered over all shares; 0.5 is a random mix.",
            "CPT, APGR: as RouteLLM. exact: all cut points. dollars: over the extra dollars spent.",
            f"[low high]: 95%, {self.replicates:,} paired bootstrap replicates over groups, "
            f"seed {self.seed}. less length: APGR exact less that of prompt length.",
            *kinds,
            *(f"note: {note}" for note in self.notes),
        ]


def _band(band: Band | None) -> dict[str, list[float]] | None:
    if band is None:
        return None
    return {
        name: [round(float(v), 6) for v in getattr(band, name)]
        for name in ("share", "quality", "low", "high")
    }
