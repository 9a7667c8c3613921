"""Measures choices and sweeps on one benchmark, all under the same bootstrap replicates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.choices import (
    arena_score,
    gain_over_best,
    gap_to_oracle,
    oracle_choice,
    selection_entropy,
    top_share,
    utility,
)
from turnout.evaluation.frontier import hypervolumes
from turnout.evaluation.hulls import Hulls, net_lifts
from turnout.evaluation.intervals import Estimate, Replicates, interval
from turnout.evaluation.metrics import Vector
from turnout.evaluation.sweeps import Index, Sweep

KEPT_QUALITY = 0.95
"""Part of the best single model's quality that CostSave at 95% keeps."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way to choose gave."""

    quality: Estimate
    cost_usd: float
    """Mean of a call; NaN where unknown."""
    difference: Estimate | None
    """Quality less that of the best single model, paired; None for that model itself."""
    metrics: Mapping[str, Estimate]
    """By name: see `Meter.chosen` and `Meter.swept`."""


class Meter:
    """Holds what every row is compared with: single models, zero router, oracle, ceiling.

    Args:
        benchmark: n prompts with the outcomes of m models.
        replicates: of its groups.
        usd_per_quality: what one unit of quality is worth in regret; inf: cost does not count.
        ceiling: (n,) choice of the attainable ceiling, or None where there is none.
        cost: (n, m) another cost than the benchmark's dollars (calls, say).
    """

    def __init__(
        self,
        benchmark: Benchmark,
        replicates: Replicates,
        *,
        usd_per_quality: float = math.inf,
        ceiling: Index | None = None,
        cost: NDArray[np.float64] | None = None,
    ) -> None:
        self.benchmark, self.replicates = benchmark, replicates
        self.score, self._every = benchmark.quality, np.arange(benchmark.n)
        self.cost = benchmark.cost_usd if cost is None else cost
        self._worth = usd_per_quality
        self.best = int(np.argmax(self.score.mean(axis=0)))
        self._utility = utility(self.score, self.cost, usd_per_quality)
        self.oracle = oracle_choice(self._utility, self.cost)
        self.ceiling = ceiling
        single_cost = self.cost.mean(axis=0)
        self.priced = bool(np.isfinite(single_cost).all() and np.ptp(single_cost) > 0)
        self.log_priced = self.priced and bool((self.cost.mean(axis=0) > 0).all())
        if self.priced:
            self._singles = replicates.means(self.cost), replicates.means(self.score)
            self._zero_hull = Hulls.of(*self._singles)
            self.zero = self._areas(*self._singles)

    def chosen(self, choice: Index) -> Measured:
        """One choice a prompt.

        Metrics: v_b, gain_b, gap_o, regret_oracle, regret_ceiling, entropy, top_share, and arena
        where costs are dollars.
        """
        m = self.score.shape[1]
        shares = {
            "entropy": Estimate(selection_entropy(choice, m)),
            "top_share": Estimate(top_share(choice, m)),
        }
        return self.mixed(
            self.score[self._every, choice],
            self.cost[self._every, choice],
            self._utility[self._every, choice],
            shares,
        )

    def random(self) -> Measured:
        """Every model with the same chance."""
        m = self.score.shape[1]
        even = {"entropy": Estimate(math.log2(m)), "top_share": Estimate(1.0 / m)}
        got, paid, worth = (a.mean(axis=1) for a in (self.score, self.cost, self._utility))
        return self.mixed(got, paid, worth, even)

    def mixed(
        self, got: Vector, paid: Vector, worth: Vector, shares: Mapping[str, Estimate]
    ) -> Measured:
        """(n,) quality got, cost paid and utility; expectations where choices are random."""
        names, base = self.benchmark.categories, self.score[:, self.best]
        oracle = self._utility[self._every, self.oracle]
        columns = {"quality": got, "base": base, "oracle": oracle - worth, "paid": paid}
        if self.ceiling is not None:
            columns["ceiling"] = self._utility[self._every, self.ceiling] - worth
        means = self.replicates.means(np.stack(list(columns.values()), axis=1))
        mean = dict(zip(columns, means.T, strict=True))
        best_of_all = self.score[self._every, oracle_choice(self.score, self.cost)]
        metrics = {
            "v_b": interval(_ratio(mean["quality"], mean["base"])),
            "gain_b": Estimate(gain_over_best(got, base, names)),
            "gap_o": Estimate(gap_to_oracle(got, best_of_all, names)),
            "regret_oracle": interval(mean["oracle"]),
            **shares,
        }
        if "ceiling" in mean:
            metrics["regret_ceiling"] = interval(mean["ceiling"])
        if self.benchmark.has_costs and self.cost is self.benchmark.cost_usd:
            metrics["arena"] = interval(arena_score(mean["quality"], mean["paid"]))
        same = bool((got == base).all())
        return Measured(
            quality=interval(mean["quality"]),
            cost_usd=float(mean["paid"][0]),
            difference=None if same else interval(mean["quality"] - mean["base"]),
            metrics=metrics,
        )

    def swept(self, sweep: Sweep) -> tuple[NDArray[np.float64], dict[str, Estimate]]:
        """A sweep of choices over cost.

        Returns:
            (k, 4) mean cost and quality of its settings with the ends of the quality's 95% band
            (against the best single model, whose level is held fixed), and metrics by name: aiq, lift,
            net_lift, hypervolume, perf_gain, cost_save, cost_save_95; log_aiq and log_lift where no mean cost
            is 0.
        """
        distinct, back = np.unique(sweep.choices, axis=0, return_inverse=True)
        columns = self._every[:, None], distinct.T
        cost = self.replicates.means(self.cost[columns])
        quality = self.replicates.means(self.score[columns])
        points = self._points(cost, quality)[back.reshape(-1)]
        return points, self._sweep_metrics(cost, quality)

    def zero_router(self) -> tuple[NDArray[np.float64], dict[str, Estimate]]:
        """The best mixes of single models, as a sweep of them."""
        cost, quality = self._singles
        metrics = self._sweep_metrics(cost, quality)
        # Of the models themselves, dominated ones would count; their best mixes lie on the hull.
        del metrics["net_lift"]
        return self._points(cost, quality), metrics

    def _points(
        self, cost: NDArray[np.float64], quality: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        base = self._singles[1][:, self.best, None]
        band = np.quantile(quality[1:] - base[1:], [0.025, 0.975], axis=0) + base[0]
        return np.stack([cost[0], quality[0], *band], axis=1)

    def _sweep_metrics(
        self, cost: NDArray[np.float64], quality: NDArray[np.float64]
    ) -> dict[str, Estimate]:
        single_cost, single_quality = self._singles
        areas, found = self._areas(cost, quality), {}
        for name, lift in (("aiq", "lift"), ("log_aiq", "log_lift")):
            if name in areas:
                found[name] = interval(areas[name])
                found[lift] = interval(areas[name] - self.zero[name])
        ends = single_cost.min(axis=1), single_cost.max(axis=1)
        found["net_lift"] = interval(net_lifts(cost, quality, self._zero_hull, *ends))
        base_cost, base = single_cost[:, self.best], single_quality[:, self.best]
        # The best single model can always be called, so it is a setting of every sweep.
        hull = Hulls.of(
            np.column_stack([cost, base_cost]),
            np.column_stack([quality, base]),
        )
        found["perf_gain"] = interval(_ratio(quality.max(axis=1), base) - 1.0)
        found["cost_save"] = interval(1.0 - _ratio(hull.cost_at(base), base_cost))
        found["cost_save_95"] = interval(1.0 - _ratio(hull.cost_at(KEPT_QUALITY * base), base_cost))
        if self.log_priced:
            reference = single_cost.max(axis=1), single_quality.min(axis=1)
            found["hypervolume"] = interval(hypervolumes(cost, quality, reference))
        return found

    def _areas(self, cost: NDArray[np.float64], quality: NDArray[np.float64]) -> dict[str, Vector]:
        """(1 + replicates,) AIQ, and log AIQ where it can be, over each replicate's own span."""
        low, high = self._singles[0].min(axis=1), self._singles[0].max(axis=1)
        found = {"aiq": Hulls.of(cost, quality).areas(low, high) / (high - low)}
        if self.log_priced:
            low, high = np.log(low), np.log(high)
            found["log_aiq"] = Hulls.of(np.log(cost), quality).areas(low, high) / (high - low)
        return found


def _ratio(above: Vector, below: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))
