"""What an evaluation of a two-model benchmark found, as values, JSON and text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from turnout.evaluation.intervals import LEVEL, Estimate
from turnout.evaluation.metrics import Vector

RowKind = Literal["baseline", "transfer", "given", "in-domain", "published"]

KINDS: Mapping[RowKind, str] = {
    "baseline": "no learning",
    "transfer": "saw no label of this benchmark",
    "given": "an artifact of your own: transfer only if it saw none of these prompts",
    "in-domain": "fitted on other prompts of this benchmark",
    "published": "as printed by its authors, not run here",
}

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
    calibration: Mapping[str, float] = field(default_factory=dict)
    """Of the win rate as P(the strong model does better): brier, brier_skill, ece."""
    remark: str = ""
    calls: Band | None = None
    dollars: Band | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "kind": self.kind,
            "metrics": {name: json_estimate(e) for name, e in self.metrics.items()},
            "apgr_exact_minus_length": json_estimate(self.difference),
            "apgr_usd_minus_length": json_estimate(self.difference_usd),
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
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """An aligned table with its legend."""
        header = ["", "kind", *HEADINGS.values(), "less length"]
        body = [self._cells(row) for row in self.rows]
        parts = [self._title(), "", *align([header, *body]), "", *self._legend()]
        return "\n".join(parts) + "\n"

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
            cells.append(_cell(row.metrics.get(name), percent=percent))
        return [*cells, _cell(row.difference, signed=True)]

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


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines with aligned columns; a short row's last cell may run on."""
    width = max(len(row) for row in rows)
    full = [row for row in rows if len(row) == width]
    sizes = [max(len(row[j]) for row in full) for j in range(width)]
    for row in rows:
        for j, cell in enumerate(row[:-1]):
            sizes[j] = max(sizes[j], len(cell))
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row, sizes, strict=False)]
        lines.append("  ".join(cells).rstrip())
    return lines


def scaled(estimate: Estimate, scale: float) -> str:
    """A quality in the benchmark's own unit, with its interval."""
    value = f"{estimate.value * scale:.3f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} [{estimate.low * scale:.2f} {estimate.high * scale:.2f}]"


def _cell(estimate: Estimate | None, *, percent: bool = False, signed: bool = False) -> str:
    if estimate is None or math.isnan(estimate.value):
        return "-"
    unit, digits = (100.0, 1) if percent else (1.0, 3)
    sign = "+" if signed else ""
    value = f"{estimate.value * unit:{sign}.{digits}f}"
    if math.isnan(estimate.low):
        return value
    return (
        f"{value} [{estimate.low * unit:{sign}.{digits}f} {estimate.high * unit:{sign}.{digits}f}]"
    )


def json_interval(replicates: int, seed: int) -> dict[str, Any]:
    """How the intervals of a report were made."""
    return {
        "level": LEVEL,
        "method": "percentile bootstrap over groups, paired",
        "replicates": replicates,
        "seed": seed,
    }


def json_number(value: float) -> float | None:
    """A number, or None where JSON has no such number."""
    return float(value) if math.isfinite(value) else None


def json_estimate(estimate: Estimate | None) -> dict[str, float | None] | None:
    """A value and its interval, or None where there is none."""
    if estimate is None:
        return None
    return {name: json_number(getattr(estimate, name)) for name in ("value", "low", "high")}


def _band(band: Band | None) -> dict[str, list[float]] | None:
    if band is None:
        return None
    return {
        name: [round(float(v), 6) for v in getattr(band, name)]
        for name in ("share", "quality", "low", "high")
    }
