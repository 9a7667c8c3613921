"""Measure routers on a benchmark of any number of models: one choice a prompt, and its cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds
from turnout.errors import InputError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.hulls import aiq, log_aiq
from turnout.evaluation.intervals import REPLICATES, Estimate, Resampler, percentile_interval
from turnout.evaluation.pool_report import ALWAYS, CategoryRow, PoolReport, PoolRow
from turnout.evaluation.report import RowKind
from turnout.evaluation.run import Progress, predict_quality
from turnout.knobs import HasReference, reference_points
from turnout.policies.hull import HullPolicy, best_value, operating_points, trade_offs
from turnout.routers.base import Router

Array = NDArray[np.float64]
Index = NDArray[np.intp]

BEST_SINGLE = "best single"
FOLDS = 5
KNOBS = (*(i / 20 for i in range(20)), 0.96, 0.97, 0.98, 0.99, 0.995, 0.998, 1.0)
"""Settings of the hull's knob that are measured; cheap models crowd near 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRow:
    """Predicted quality of every model on every prompt. The seam for rows made elsewhere."""

    name: str
    kind: RowKind
    quality: NDArray[np.floating]
    """(n, m)."""


def evaluate_pool(
    benchmark: Benchmark,
    routers: Mapping[str, Router],
    *,
    extra: Sequence[QualityRow] = (),
    kind: RowKind = "transfer",
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> PoolReport:
    """Single models, baselines, routers and rows made elsewhere, in one report.

    Args:
        benchmark: with two or more models.
        routers: by the name to print.
        extra: predictions made elsewhere (in-domain fits, say) on the same prompts.
        kind: of the routers' rows: `given` for an artifact that may have seen these prompts.
        replicates: bootstrap replicates.
        seed: of the bootstrap and of the folds.
        progress: told of predictions as they are made.
    """
    meter = _Meter(benchmark, replicates, seed)
    rows = meter.singles() + meter.baselines()
    for name, router in routers.items():
        found, _ = predict_quality(
            router, benchmark.queries, benchmark.candidates, progress=progress
        )
        row = QualityRow(name=name, kind=kind, quality=found.quality)
        rows += meter.routed(row) + meter.with_hull(row)
        rows += meter.operating_points(row, router)
    for row in extra:
        rows += meter.routed(row) + meter.with_hull(row)
    return PoolReport(
        benchmark=benchmark.name,
        prompts=benchmark.n,
        groups=len(np.unique(benchmark.groups)),
        models=tuple(c.name for c in benchmark.candidates),
        scale=benchmark.scale,
        rows=tuple(rows),
        categories=meter.categories(),
        notes=benchmark.notes,
        replicates=replicates,
        seed=seed,
    )


class _Meter:
    """Measures choices on one benchmark, all with the same bootstrap replicates."""

    def __init__(self, benchmark: Benchmark, replicates: int, seed: int) -> None:
        self._benchmark, self._seed = benchmark, seed
        self._score, self._cost = benchmark.quality, benchmark.cost_usd
        self._resampler = Resampler(benchmark.groups, replicates, seed)
        self._best = int(np.argmax(self._score.mean(axis=0)))
        single_cost = self._cost.mean(axis=0)
        self._priced = benchmark.has_costs and bool((single_cost > 0).all())
        self._span = (float(single_cost.min()), float(single_cost.max()))
        self._priced = self._priced and self._span[1] > self._span[0]
        self._got: dict[str, Array] = {}
        """Quality that each way to choose gave on each prompt, for the table of categories."""

    def singles(self) -> list[PoolRow]:
        """Each model alone, best first."""
        order = np.argsort(-self._score.mean(axis=0), kind="stable")
        found = []
        for j in order.tolist():
            choice = np.full(self._benchmark.n, j, dtype=np.intp)
            found.append(
                self._chosen(f"{ALWAYS}{self._name(j)}", "baseline", choice, self._role(j))
            )
        return found

    def _name(self, j: int) -> str:
        return self._benchmark.candidates[j].name

    def _role(self, j: int) -> str:
        cost = self._cost.mean(axis=0)
        roles = [BEST_SINGLE] if j == self._best else []
        if self._benchmark.has_costs:
            roles += ["cheapest"] if j == int(np.argmin(cost)) else []
            roles += ["dearest"] if j == int(np.argmax(cost)) else []
        return ", ".join(roles)

    def baselines(self) -> list[PoolRow]:
        """Random, the table of categories, the zero router and the oracle."""
        m = self._score.shape[1]
        rows = [
            self._mixed("random", self._score.mean(axis=1), self._cost.mean(axis=1), f"1 in {m}")
        ]
        if self._benchmark.categories:
            rows.append(
                self._chosen(
                    "best model per category",
                    "in-domain",
                    self._category_table(),
                    f"a table learned on the other folds of {FOLDS}",
                )
            )
        if self._priced:
            zero, log_zero = self._aiqs(self._cost.mean(axis=0), self._score.mean(axis=0))
            rows.append(
                PoolRow(
                    name="zero router",
                    kind="baseline",
                    quality=Estimate(float(self._score.mean(axis=0).max())),
                    cost_usd=math.nan,
                    aiq=zero,
                    log_aiq=log_zero,
                    remark="best mixes of single models",
                )
            )
        costs = np.where(np.isnan(self._cost), 0.0, self._cost)
        best = self._score >= self._score.max(axis=1, keepdims=True)
        oracle = np.argmin(np.where(best, costs, np.inf), axis=1).astype(np.intp)
        rows.append(self._chosen("oracle", "baseline", oracle, "hindsight; cheapest of the best"))
        return rows

    def routed(self, row: QualityRow) -> list[PoolRow]:
        """A router's best predicted model, and its sweep from cheap to good."""
        found = self._chosen(row.name, row.kind, self._by_value(row.quality, math.inf), "")
        if not self._priced:
            return [found]
        points = np.asarray([self._point(self._by_value(row.quality, w)) for w in self._worths()])
        swept, log_swept = self._aiqs(points[:, 0], points[:, 1])
        remark = "best prediction; AIQ of its sweep"
        found = replace(found, aiq=swept, log_aiq=log_swept, remark=remark)
        return [replace(found, points=_pairs(points))]

    def with_hull(self, row: QualityRow) -> list[PoolRow]:
        """The knob of `HullPolicy` over these predictions, from best to cheapest.

        The operating points, constant models among them, are chosen on the other folds.
        """
        if not self._priced:
            return []
        names = [c.name for c in self._benchmark.candidates]
        fold = group_folds(self._benchmark.groups, FOLDS, seed=self._seed)
        choices = np.zeros((len(KNOBS), self._benchmark.n), dtype=np.intp)
        for k in range(FOLDS):
            held, seen = fold == k, fold != k
            mean = np.broadcast_to(self._cost[seen].mean(axis=0), self._cost.shape)
            offered = operating_points(row.quality[seen], self._score[seen], mean[seen], names)
            for i, knob in enumerate(KNOBS):
                point = HullPolicy(offered, knob).point
                if point.constant is None:
                    worth = point.usd_per_quality
                    choices[i, held] = best_value(row.quality[held], mean[held], worth)
                else:
                    choices[i, held] = names.index(point.constant)
        points = np.asarray([self._point(choice) for choice in choices])
        swept, log_swept = self._aiqs(points[:, 0], points[:, 1])
        remark = "operating points from the other folds; quality at knob 0"
        best = self._chosen(f"{row.name} + hull", "in-domain", choices[0], remark)
        return [replace(best, aiq=swept, log_aiq=log_swept, points=_pairs(points))]

    def operating_points(self, row: QualityRow, router: Router) -> list[PoolRow]:
        """What a router that knows its operating points (with constant models) would have given."""
        if not (self._priced and isinstance(router, HasReference)):
            return []
        candidates = self._benchmark.candidates
        try:
            offered = reference_points(router.reference(candidates), candidates)
        except InputError:  # prices or outcomes that this needs are not there: no such points
            return []
        names = [c.name for c in candidates]
        found = []
        for point in offered:
            if point.constant is None:
                choice = self._by_value(row.quality, point.usd_per_quality)
            else:
                choice = np.full(self._benchmark.n, names.index(point.constant), dtype=np.intp)
            found.append(self._point(choice))
        points = np.asarray(found)
        top = int(np.argmax(points[:, 1]))
        swept, log_swept = self._aiqs(points[:, 0], points[:, 1])
        return [
            PoolRow(
                name=f"{row.name}, operating points",
                kind=row.kind,
                quality=Estimate(float(points[top, 1])),
                cost_usd=float(points[top, 0]),
                aiq=swept,
                log_aiq=log_swept,
                remark=f"best of its {len(points)} points",
                points=_pairs(points),
            )
        ]

    def _chosen(self, name: str, kind: RowKind, choice: Index, remark: str) -> PoolRow:
        rows = np.arange(self._benchmark.n)
        if not name.startswith(ALWAYS):
            self._got[name] = self._score[rows, choice]
        return self._mixed(
            name, self._score[rows, choice], self._cost[rows, choice], remark, kind=kind
        )

    def _mixed(
        self, name: str, got: Array, paid: Array, remark: str, *, kind: RowKind = "baseline"
    ) -> PoolRow:
        base = self._score[:, self._best]
        draws = self._resampler.means(np.stack([got, got - base], axis=1))
        is_base = bool((got == base).all())
        return PoolRow(
            name=name,
            kind=kind,
            quality=percentile_interval(float(got.mean()), draws[:, 0]),
            cost_usd=float(paid.mean()),
            difference=None
            if is_base
            else percentile_interval(float((got - base).mean()), draws[:, 1]),
            remark=remark,
        )

    def categories(self) -> tuple[CategoryRow, ...]:
        """How every way to choose, and the best single model, did within each category."""
        if not self._benchmark.categories:
            return ()
        names = np.asarray(self._benchmark.categories)
        ways = {BEST_SINGLE: self._score[:, self._best], **self._got}
        found = []
        for name in np.unique(names):
            here = names == name
            mean = self._score[here].mean(axis=0)
            found.append(
                CategoryRow(
                    name=str(name) or "(none)",
                    prompts=int(here.sum()),
                    best_model=self._name(int(np.argmax(mean))),
                    best_quality=float(mean.max()),
                    quality={way: float(got[here].mean()) for way, got in ways.items()},
                )
            )
        return tuple(sorted(found, key=lambda row: (-row.prompts, row.name)))

    def _category_table(self) -> Index:
        """(n,) best model of each prompt's category on the other folds (over all, where unseen)."""
        names = np.asarray(self._benchmark.categories)
        fold = group_folds(self._benchmark.groups, FOLDS, seed=self._seed)
        choice = np.zeros(self._benchmark.n, dtype=np.intp)
        for k in range(FOLDS):
            seen = fold != k
            over_all = int(np.argmax(self._score[seen].mean(axis=0)))
            for name in np.unique(names[~seen]):
                known = seen & (names == name)
                best = int(np.argmax(self._score[known].mean(axis=0))) if known.any() else over_all
                choice[~seen & (names == name)] = best
        return choice

    def _by_value(self, predicted: NDArray[np.floating], usd_per_quality: float) -> Index:
        """(n,) best value by predicted quality and each model's *mean* cost.

        What this very call cost is not known before it is made, so it must not be looked at.
        """
        mean = np.nan_to_num(self._cost.mean(axis=0))
        cost = np.broadcast_to(mean, self._cost.shape)
        return best_value(np.asarray(predicted, dtype=np.float64), cost, usd_per_quality)

    def _worths(self) -> list[float]:
        """Trade-offs from cost alone to quality alone, in USD for one unit of quality."""
        return [0.0, *trade_offs(self._span[1] - self._span[0])]

    def _point(self, choice: Index) -> tuple[float, float]:
        rows = np.arange(self._benchmark.n)
        return (
            float(self._cost[rows, choice].mean()),
            float(self._score[rows, choice].mean()),
        )

    def _aiqs(self, cost: Array, quality: Array) -> tuple[float, float]:
        low, high = self._span
        return (
            aiq(cost, quality, cheapest=low, dearest=high),
            log_aiq(cost, quality, cheapest=low, dearest=high),
        )


def _pairs(points: Array) -> tuple[tuple[float, float], ...]:
    """Distinct (cost, quality) points, cheapest first."""
    return tuple(sorted({(float(c), float(q)) for c, q in points}))
