"""The rows of a two-model report: one score each, read at every threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.intervals import (
    METRICS,
    Estimate,
    PairMetrics,
    Replicates,
    SortedPair,
    percentile_interval,
)
from turnout.evaluation.meter import Meter
from turnout.evaluation.metrics import Vector
from turnout.evaluation.reliability import brier, brier_skill, ece
from turnout.evaluation.report import Band, Mark, ReportRow
from turnout.evaluation.rows import ScoreRow
from turnout.evaluation.rules import LENGTH
from turnout.evaluation.sweeps import threshold_sweep
from turnout.names import RouteSpec, format_route

GRID = np.linspace(0.0, 1.0, 101)
"""Shares at which curves are kept for the picture."""
MARKED = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of strong calls whose thresholds are marked with their route's name."""


class PairRows:
    """Measures rows of scores on one benchmark of two models.

    Args:
        benchmark: with two models.
        replicates: of its groups.
        usd_per_quality: what one unit of quality is worth, for regret, where costs are known.
    """

    def __init__(
        self, benchmark: Benchmark, replicates: Replicates, *, usd_per_quality: float = math.inf
    ) -> None:
        self._at, self._replicates = benchmark, replicates
        calls = None
        if benchmark.extra_cost_usd is None:
            calls = np.broadcast_to(np.asarray([1.0, 0.0]), benchmark.quality.shape)
            usd_per_quality = math.inf
        self._meter = Meter(benchmark, replicates, usd_per_quality=usd_per_quality, cost=calls)

    def measure(self, rows: Sequence[ScoreRow]) -> tuple[ReportRow, ...]:
        """All rows, with their paired differences to prompt length where that row is there."""
        found, draws = [], []
        for row in rows:
            pairs = [
                SortedPair(s, self._at.gain, self._at.extra_cost_usd)
                for s in np.atleast_2d(row.scores)
            ]
            drawn = self._draw(pairs)
            found.append(self._row(row, pairs, drawn))
            draws.append(drawn)
        return _with_differences(found, draws)

    def _draw(self, pairs: Sequence[SortedPair]) -> PairMetrics:
        """The plain metrics and those of every replicate, in this order."""
        ones = np.ones((1, self._at.n))
        return PairMetrics.joined(
            [
                PairMetrics.mean([pair.measure(w) for pair in pairs])
                for w in (ones, *self._replicates.chunks())
            ]
        )

    def _row(self, row: ScoreRow, pairs: Sequence[SortedPair], draws: PairMetrics) -> ReportRow:
        metrics = {
            name: percentile_interval(float(getattr(draws, name)[0]), getattr(draws, name)[1:])
            for name in METRICS
        }
        calls, dollars = self._bands(pairs)
        return ReportRow(
            name=row.name,
            kind=row.kind,
            metrics=metrics,
            sweep=self._sweep(row),
            at_half=self._at_half(row),
            calibration=_calibration(row, self._at),
            remark=row.remark,
            calls=calls,
            dollars=dollars,
            marks=self._marks(row),
        )

    def _sweep(self, row: ScoreRow) -> Mapping[str, Estimate]:
        """What N models are measured by, at every threshold; of a row with one run."""
        if row.scores.ndim != 1 or not self._meter.priced:
            return {}
        return self._meter.swept(threshold_sweep(row.scores))[1]

    def _at_half(self, row: ScoreRow) -> Mapping[str, Estimate]:
        if row.scores.ndim != 1:
            return {}
        choice = np.where(row.scores >= np.quantile(row.scores, 0.5), 0, 1)
        return self._meter.chosen(choice.astype(np.intp)).metrics

    def _marks(self, row: ScoreRow) -> tuple[Mark, ...]:
        if not row.route or row.scores.ndim != 1:
            return ()
        extra = self._at.extra_cost_usd
        found = []
        for share in MARKED:
            # Cut down to four decimals, which read well, so that the share is not below.
            threshold = float(np.floor(np.quantile(row.scores, 1.0 - share) * 1e4) / 1e4)
            strong = row.scores >= threshold
            found.append(
                Mark(
                    route=format_route(RouteSpec(row.route, min(max(threshold, 0.0), 1.0))),
                    share=float(strong.mean()),
                    share_usd=None if extra is None else float(extra[strong].sum() / extra.sum()),
                    quality=float(
                        np.where(strong, self._at.quality_strong, self._at.quality_weak).mean()
                    ),
                )
            )
        distinct = {mark.route: mark for mark in found}
        return tuple(distinct.values())

    def _bands(self, pairs: Sequence[SortedPair]) -> tuple[Band, Band | None]:
        """Curves on `GRID`, over calls and over dollars, with bands for one-run rows."""
        calls = self._band(pairs, usd=False)
        return calls, None if self._at.extra_cost_usd is None else self._band(pairs, usd=True)

    def _band(self, pairs: Sequence[SortedPair], *, usd: bool) -> Band:
        ones, level = np.ones((1, self._at.n)), float(self._at.quality_weak.mean())
        middle = level + np.mean([p.curve(ones, GRID, usd=usd)[0] for p in pairs], axis=0)
        low = high = middle
        if len(pairs) == 1:
            # A fifth of the replicates is enough for a band that is only looked at.
            some = self._replicates.chunks(max(20, self._replicates.count // 5))
            draws = np.concatenate([pairs[0].curve(w, GRID, usd=usd) for w in some])
            low, high = level + np.quantile(draws, [0.025, 0.975], axis=0)
        return Band(share=GRID, quality=middle, low=low, high=high)


def _calibration(row: ScoreRow, benchmark: Benchmark) -> dict[str, float]:
    if not row.is_probability or row.scores.ndim != 1:
        return {}
    wins: Vector = (benchmark.gain > 0).astype(np.float64)
    return {
        "brier": brier(row.scores, wins),
        "brier_skill": brier_skill(row.scores, wins),
        "ece": ece(row.scores, wins),
    }


def _with_differences(
    rows: Sequence[ReportRow], draws: Sequence[PairMetrics]
) -> tuple[ReportRow, ...]:
    base = next((i for i, row in enumerate(rows) if row.name == LENGTH), None)
    if base is None:
        return tuple(rows)
    found = []
    for i, row in enumerate(rows):
        both: list[Estimate | None] = []
        for name in ("apgr_exact", "apgr_usd"):
            gap = getattr(draws[i], name) - getattr(draws[base], name)
            both.append(None if i == base else percentile_interval(float(gap[0]), gap[1:]))
        found.append(replace(row, difference=both[0], difference_usd=both[1]))
    return tuple(found)
