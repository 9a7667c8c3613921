"""Values as cells of a text table, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from turnout.evaluation.intervals import LEVEL, Estimate


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


def change_cell(estimate: Estimate | None, scale: float) -> str:
    """A difference in the benchmark's own unit, with its interval; `-` where there is none."""
    if estimate is None or math.isnan(estimate.value):
        return "-"
    value = f"{estimate.value * scale:+.2f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} [{estimate.low * scale:+.2f} {estimate.high * scale:+.2f}]"


def cell(estimate: Estimate | None, *, percent: bool = False, signed: bool = False) -> str:
    """A number without unit, or in percent, with its interval; `-` where there is none."""
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
