"""How every way to choose did within each category of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.metrics import Vector
from turnout.evaluation.tables import align

SHOWN = 20
"""Categories in the text; the JSON has all."""


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


def category_rows(benchmark: Benchmark, ways: Mapping[str, Vector]) -> tuple[CategoryRow, ...]:
    """Rows of all categories, largest first; none where the prompts have no categories.

    Args:
        benchmark: its categories and outcomes.
        ways: name of a way to choose → (n,) quality that it got.
    """
    if not benchmark.categories:
        return ()
    names = np.asarray(benchmark.categories)
    found = []
    for name in np.unique(names):
        here = names == name
        mean = benchmark.quality[here].mean(axis=0)
        found.append(
            CategoryRow(
                name=str(name) or "(none)",
                prompts=int(here.sum()),
                best_model=benchmark.candidates[int(np.argmax(mean))].name,
                best_quality=float(mean.max()),
                quality={way: float(got[here].mean()) for way, got in ways.items()},
            )
        )
    return tuple(sorted(found, key=lambda row: (-row.prompts, row.name)))


def category_lines(rows: Sequence[CategoryRow], scale: float) -> list[str]:
    """The largest categories as an aligned table, or nothing."""
    if not rows:
        return []
    ways = list(rows[0].quality)
    table = [["category", "prompts", *ways, "best model there", ""]]
    for row in rows[:SHOWN]:
        values = [f"{row.quality[way] * scale:.1f}" for way in ways]
        best = f"{row.best_quality * scale:.1f}"
        table.append([row.name, f"{row.prompts:,}", *values, best, row.best_model])
    more = len(rows) - SHOWN
    rest = [f"and {more} smaller categories (in the JSON)"] if more > 0 else []
    return [*align(table), *rest, ""]
