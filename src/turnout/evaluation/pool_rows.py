"""The rows of an N-model report: single models, baselines, and each router in its ways to choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.categories import CategoryRow, category_rows
from turnout.evaluation.ceiling import attainable_gains
from turnout.evaluation.frontier import pareto_distances
from turnout.evaluation.intervals import Estimate, Replicates
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.meter import Measured, Meter
from turnout.evaluation.pool_report import ALWAYS, Mark, PoolRow
from turnout.evaluation.rows import QualityRow
from turnout.evaluation.rules import (
    CEILING,
    LENGTH,
    ORACLE,
    RANDOM,
    TABLE,
    ZERO,
    category_table,
    has_categories,
    length_lines,
)
from turnout.evaluation.sweeps import (
    FOLDS,
    Index,
    Sweep,
    by_value,
    hull_sweep,
    reference_sweep,
    value_sweep,
)
from turnout.evaluation.verdict import Compared, Verdict, judge_pool
from turnout.names import RouteSpec, format_route
from turnout.routers.base import Router

BEST_SINGLE = "best single"
MARKED = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Settings of the knob that are marked with their route's name."""


class PoolRows:
    """Measures rows on one benchmark and keeps them in order.

    Args:
        benchmark: with two or more models.
        replicates: of its groups.
        seed: of the folds.
        usd_per_quality: what one unit of quality is worth, for regret.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        replicates: Replicates,
        *,
        seed: int = 0,
        usd_per_quality: float = math.inf,
    ) -> None:
        self._at, self._seed = benchmark, seed
        self._unpriced_worth = not benchmark.has_costs and math.isfinite(usd_per_quality)
        if self._unpriced_worth:
            usd_per_quality = math.inf
        kinds = benchmark.categories if has_categories(benchmark) else ()
        gains = attainable_gains(benchmark.quality, benchmark.groups, kinds, seed=seed)
        ceiling = None if gains is None else by_value(benchmark, gains, usd_per_quality)
        self._meter = Meter(benchmark, replicates, usd_per_quality=usd_per_quality, ceiling=ceiling)
        self._rows: list[PoolRow] = []
        self._zero_saves = math.nan
        self._got: dict[str, NDArray[np.float64]] = {}
        """Quality that each way to choose gave on each prompt, for the table of categories."""

    def rows(self) -> tuple[PoolRow, ...]:
        """All rows so far, with the distance of their points to the frontier of all together."""
        at = [i for i, row in enumerate(self._rows) if self._meter.log_priced and row.points]
        swept = [np.asarray(self._rows[i].points) for i in at]
        found = list(self._rows)
        if swept:
            apart = pareto_distances([(p[:, 0], p[:, 1]) for p in swept])
            for i, distance in zip(at, apart, strict=True):
                metrics = {**found[i].metrics, "pareto_distance": Estimate(distance)}
                found[i] = replace(found[i], metrics=metrics)
        return tuple(found)

    def notes(self) -> list[str]:
        """What could not be measured."""
        found = []
        if self._unpriced_worth:
            found.append("regret counts quality alone: not all costs are known")
        if self._meter.ceiling is None:
            found.append("no attainable ceiling: it needs a third model or categories")
        costs = self._at.cost_usd.mean(axis=0)
        if self._at.has_costs and not self._meter.priced:
            found.append("all models cost the same on average: there is nothing to save")
        elif self._meter.priced and not self._meter.log_priced:
            free = [c.name for c, usd in zip(self._at.candidates, costs, strict=True) if usd <= 0]
            found.append(f"no metric over log cost: {', '.join(free)} cost nothing")
        return found

    def measure_singles(self) -> None:
        """Each model alone, best first."""
        for j in np.argsort(-self._at.quality.mean(axis=0), kind="stable").tolist():
            choice = np.full(self._at.n, j, dtype=np.intp)
            self._choose(f"{ALWAYS}{self._name(j)}", "baseline", choice, self._role(j))

    def measure_baselines(self) -> None:
        """Random, prompt length, the table of categories, zero router, ceiling and oracle."""
        m = len(self._at.candidates)
        self._add(RANDOM, "baseline", self._meter.random(), f"1 in {m}")
        learned = f"learned on the other folds of {FOLDS}"
        lines = QualityRow(
            name=LENGTH, kind="in-domain", quality=length_lines(self._at, seed=self._seed)
        )
        self._predicted(lines, f"a line for each model, {learned}")
        if has_categories(self._at):
            table = category_table(self._at, seed=self._seed)
            known = QualityRow(name=TABLE, kind="in-domain", quality=table)
            self._predicted(known, f"a table {learned}")
        if self._meter.priced:
            points, metrics = self._meter.zero_router()
            best = points[self._meter.best]
            self._zero_saves = metrics["cost_save_95"].value
            row = PoolRow(
                name=ZERO,
                kind="baseline",
                quality=Estimate(float(best[1])),
                cost_usd=math.nan,
                metrics=metrics,
                remark="best mixes of single models",
                points=_columns(points, 0),
                band=_columns(points, 2),
            )
            self._rows.append(row)
        if self._meter.ceiling is not None:
            remark = "by other models' outcomes on the prompt"
            self._choose(CEILING, "baseline", self._meter.ceiling, remark)
        self._choose(ORACLE, "baseline", self._meter.oracle, "hindsight; cheapest of the best")

    def measure(self, row: QualityRow, router: Router | None) -> Verdict:
        """A router's best prediction and its sweep, with the hull as fitted here and as it serves.

        Returns:
            Whether it pays, by the way of choosing that a user would get: its own operating points
            where it has them, else points chosen on the other folds, else its best prediction.
        """
        name = row.name
        found = self._predicted(row, "best prediction; AIQ of its sweep")
        if self._meter.priced:
            folds = hull_sweep(self._at, row.quality, seed=self._seed)
            remark = "operating points from the other folds; quality at knob 0"
            found = self._swept(f"{name} + hull", "in-domain", folds, remark)
            served = None if router is None else reference_sweep(self._at, row.quality, router)
            if served is not None:
                remark = "as it serves; quality at knob 0"
                shown = f"{name}, operating points"
                found = self._swept(shown, row.kind, served, remark, route=row.route)
        best = self._meter.best
        return judge_pool(
            Compared(
                router=name,
                prompts=self._at.n,
                scale=self._at.scale,
                best_single=self._name(best),
                best_quality=float(self._at.quality[:, best].mean()),
                quality=found.quality,
                difference=found.difference,
                lift=found.metrics.get("net_lift"),
                saves=found.metrics.get("cost_save_95"),
                zero_saves=self._zero_saves,
            )
        )

    def categories(self) -> tuple[CategoryRow, ...]:
        """How every way to choose, and the best single model, did within each category."""
        best = self._at.quality[:, self._meter.best]
        return category_rows(self._at, {BEST_SINGLE: best, **self._got})

    def _predicted(self, row: QualityRow, remark: str) -> PoolRow:
        """Its best predicted model, and the sweep of trade-offs where costs are known."""
        choice = by_value(self._at, row.quality, math.inf)
        if not self._meter.priced:
            return self._choose(
                row.name, row.kind, choice, remark.removesuffix("; AIQ of its sweep")
            )
        points, metrics = self._meter.swept(value_sweep(self._at, row.quality))
        return self._choose(row.name, row.kind, choice, remark, metrics, points)

    def _swept(
        self, name: str, kind: RowKind, sweep: Sweep, remark: str, *, route: str = ""
    ) -> PoolRow:
        points, metrics = self._meter.swept(sweep)
        choice = sweep.choices[0].astype(np.intp)
        marks = _marks(sweep, points, route) if route else ()
        return self._choose(name, kind, choice, remark, metrics, points, marks)

    def _choose(
        self,
        name: str,
        kind: RowKind,
        choice: Index,
        remark: str,
        metrics: dict[str, Estimate] | None = None,
        points: NDArray[np.float64] | None = None,
        marks: Sequence[Mark] = (),
    ) -> PoolRow:
        if not name.startswith(ALWAYS):
            self._got[name] = self._at.quality[np.arange(self._at.n), choice]
        measured = self._meter.chosen(choice)
        return self._add(name, kind, measured, remark, metrics or {}, points, marks)

    def _add(
        self,
        name: str,
        kind: RowKind,
        measured: Measured,
        remark: str,
        metrics: dict[str, Estimate] | None = None,
        points: NDArray[np.float64] | None = None,
        marks: Sequence[Mark] = (),
    ) -> PoolRow:
        row = PoolRow(
            name=name,
            kind=kind,
            quality=measured.quality,
            cost_usd=measured.cost_usd,
            difference=measured.difference,
            metrics={**(metrics or {}), **measured.metrics},
            remark=remark,
            points=() if points is None else _columns(points, 0),
            band=() if points is None else _columns(points, 2),
            marks=tuple(marks),
        )
        self._rows.append(row)
        return row

    def _name(self, j: int) -> str:
        return self._at.candidates[j].name

    def _role(self, j: int) -> str:
        roles = [BEST_SINGLE] if j == self._meter.best else []
        if self._at.has_costs:
            cost = self._at.cost_usd.mean(axis=0)
            roles += ["cheapest"] if j == int(np.argmin(cost)) else []
            roles += ["dearest"] if j == int(np.argmax(cost)) else []
        if j == 0 and BEST_SINGLE not in roles:
            roles.append("named strongest")
        return ", ".join(roles)


def _marks(sweep: Sweep, points: NDArray[np.float64], router: str) -> list[Mark]:
    at = {knob: i for i, knob in enumerate(sweep.knobs)}
    return [
        Mark(
            route=format_route(RouteSpec(router, knob)),
            cost_usd=float(points[at[knob], 0]),
            quality=float(points[at[knob], 1]),
        )
        for knob in MARKED
        if knob in at
    ]


def _columns(points: NDArray[np.float64], first: int) -> tuple[tuple[float, float], ...]:
    """Two columns of the distinct points, cheapest first."""
    distinct = np.unique(points, axis=0)
    return tuple((float(a), float(b)) for a, b in distinct[:, first : first + 2])
