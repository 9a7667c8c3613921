"""Sections, tables and cells: what the template prints, without markup."""

from __future__ import annotations

import math
from dataclasses import dataclass

from turnout.evaluation.intervals import Estimate
from turnout.evaluation.page.charts import Figure

NONE = "\N{EN DASH}"
"""Where there is no value."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, and smaller below it what belongs to it (its interval, as a rule)."""

    text: str
    below: str = ""
    strong: bool = False
    """Of a row that the reader came for."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    lead: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    small: bool = False
    """Figures stand in several columns."""


def estimate_cell(
    estimate: Estimate | None, *, unit: float = 1.0, digits: int = 3, sign: str = ""
) -> Cell:
    """A value with its interval below it."""
    if estimate is None or math.isnan(estimate.value):
        return Cell(NONE)
    values = (estimate.value, estimate.low, estimate.high)
    value, low, high = (f"{v * unit:{sign}.{digits}f}" for v in values)
    return Cell(value, "" if math.isnan(estimate.low) else f"{low} to {high}")


def named(name: str, kind: str, remark: str = "", *, strong: bool = False) -> Cell:
    """The first cell of a row, with how it came about below."""
    return Cell(name, " · ".join(part for part in (kind, remark) if part), strong)
