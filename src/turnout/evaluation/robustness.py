"""Does a router change its mind where it should not, and can a prefix make it spend more?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_holdout
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.gadgets import BUDGET, SEARCHED, climb, prefixed
from turnout.evaluation.intervals import Estimate, Replicates, Resampler, interval
from turnout.evaluation.metrics import Vector
from turnout.evaluation.perturbing import PERTURBATIONS
from turnout.evaluation.rows import predict_quality
from turnout.evaluation.sweeps import by_value
from turnout.evaluation.tables import json_estimate
from turnout.policies.hull import trade_offs
from turnout.routers.base import Router
from turnout.types import Query

MOST_PROMPTS = 1_000
"""Prompts that are perturbed: a seeded part of a larger benchmark."""
GADGETS = 3
"""Searches, each from another seed; all are reported, as the worst is what counts."""

Choose = Callable[[Sequence[Query]], tuple[NDArray[np.intp], Vector]]
"""Queries → (n,) column chosen and (n,) how much each leans to the strongest model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessRow:
    """What one change of the prompts did to one router's choices."""

    router: str
    change: str
    """Name of a perturbation, or the gadget itself."""
    is_gadget: bool
    flips: Estimate
    """Share of prompts that another model gets; robustness is 1 less this."""
    upgrades: Estimate
    """Share of prompts, of those not with the strongest model, that a dearer model gets."""
    strong_share: tuple[float, float]
    """Share of prompts with the strongest model, before and after."""
    prompts: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "router": self.router,
            "change": self.change,
            "is_gadget": self.is_gadget,
            "flip_rate": json_estimate(self.flips),
            "upgrade_rate": json_estimate(self.upgrades),
            "strong_share_before": self.strong_share[0],
            "strong_share_after": self.strong_share[1],
            "prompts": self.prompts,
        }


def chooser(benchmark: Benchmark, router: Router, knob: float) -> Choose:
    """How a router chooses: by a threshold of two models, by value of more.

    Args:
        benchmark: its models and costs.
        router: predicts them.
        knob: of two models the win rate from which the strong one is called; of more what a unit
            of quality is worth in USD.
    """

    def choose(queries: Sequence[Query]) -> tuple[NDArray[np.intp], Vector]:
        predicted = predict_quality(router, queries, benchmark.candidates)
        if benchmark.is_pair:
            lean = predicted.rate.astype(np.float64)
            return np.where(lean >= knob, 0, 1).astype(np.intp), lean
        quality = predicted.prediction.quality.astype(np.float64)
        return by_value(benchmark, quality, knob), quality[:, 0] - quality[:, 1:].max(axis=1)

    return choose


def middle_worth(benchmark: Benchmark, predicted: NDArray[np.floating]) -> float:
    """USD for a unit of quality at which the mean cost is nearest the middle of the models'.

    There a router has something to choose, as it has not at either end; inf without costs.
    """
    if not benchmark.has_costs:
        return math.inf
    mean = benchmark.cost_usd.mean(axis=0)
    worths = trade_offs(float(np.ptp(mean)))
    spent = [float(mean[by_value(benchmark, predicted, worth)].mean()) for worth in worths]
    middle = (float(mean.min()) + float(mean.max())) / 2
    return worths[int(np.argmin(np.abs(np.asarray(spent) - middle)))]


def robustness(
    name: str,
    benchmark: Benchmark,
    choose: Choose,
    *,
    seed: int = 0,
    budget: int = BUDGET,
    replicates: int = 200,
) -> list[RobustnessRow]:
    """Perturb every prompt in each way, and measure gadgets on prompts they were not found on.

    Args:
        name: of the router.
        benchmark: prompts and models.
        choose: how the router chooses.
        seed: of the part, the search and the bootstrap.
        budget: predictions that each search for a gadget may make.
        replicates: of the bootstrap.
    """
    part = benchmark.limited(MOST_PROMPTS, seed=seed)
    ranks = _ranks(benchmark)
    before, lean = choose(part.queries)
    whole = Replicates(Resampler(part.groups, replicates, seed))
    found = [
        _row(name, change, False, before, _after(choose, part, wording), ranks, whole)
        for change, wording in PERTURBATIONS.items()
    ]
    unsearched = ~group_holdout(part.groups, max(SEARCHED, part.n // 4), seed=seed)
    searchable = np.flatnonzero(~unsearched & (before != 0))
    if not (len(searchable) and unsearched.any()):
        return found
    nearest = searchable[np.argsort(-lean[searchable], kind="stable")[:SEARCHED]]
    held = part.rows(unsearched)
    drawn = Replicates(Resampler(held.groups, replicates, seed))

    def leaning(texts: list[str]) -> Vector:
        return choose([Query.of(text) for text in texts])[1]

    for k in range(GADGETS):
        gadget = climb(
            leaning, [part.queries[i].text for i in nearest], seed=seed + k, budget=budget
        )
        after = _after(choose, held, partial(prefixed, gadget.text))
        found.append(_row(name, gadget.text, True, before[unsearched], after, ranks, drawn))
    return found


def _after(choose: Choose, benchmark: Benchmark, wording: Callable[[str], str]) -> NDArray[np.intp]:
    return choose([replace(q, text=wording(q.text)) for q in benchmark.queries])[0]


def _ranks(benchmark: Benchmark) -> NDArray[np.intp]:
    """(m,) place of each model from cheap to dear; without costs, from weak to strong."""
    cost = benchmark.cost_usd.mean(axis=0)
    by = cost if np.isfinite(cost).all() else -np.arange(len(cost), dtype=np.float64)
    return np.argsort(np.argsort(by, kind="stable"), kind="stable")


def _row(
    name: str,
    change: str,
    is_gadget: bool,
    before: NDArray[np.intp],
    after: NDArray[np.intp],
    ranks: NDArray[np.intp],
    replicates: Replicates,
) -> RobustnessRow:
    open_to_it = before != 0
    upgraded = open_to_it & (ranks[after] > ranks[before])
    means = replicates.means(np.stack([after != before, upgraded, open_to_it], axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(means[:, 2] > 0, means[:, 1] / means[:, 2], np.nan)
    return RobustnessRow(
        router=name,
        change=change,
        is_gadget=is_gadget,
        flips=interval(means[:, 0]),
        upgrades=interval(rate),
        strong_share=(float((before == 0).mean()), float((after == 0).mean())),
        prompts=len(before),
    )
