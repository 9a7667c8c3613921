"""Ways to turn predictions into choices at every setting of a knob, from cheap to good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds
from turnout.errors import InputError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.metrics import Vector
from turnout.knobs import HasReference, reference_points
from turnout.policies.hull import (
    HullPolicy,
    OperatingPoint,
    best_value,
    operating_points,
    trade_offs,
)
from turnout.routers.base import Router

FOLDS = 5
KNOBS = (*(i / 20 for i in range(20)), 0.96, 0.97, 0.98, 0.99, 0.995, 0.998, 1.0)
"""Settings of the hull's knob that are measured; cheap models crowd near 1."""
CUTS = 41
"""Thresholds of a pair's sweep: equal steps of the share of strong calls, ends included."""

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Choices at k settings of a knob."""

    choices: NDArray[np.int16]
    """(k, n) column of the model that is called."""
    knobs: tuple[float, ...] = ()
    """k settings, where they mean something to a user (0 best quality, 1 cheapest), or none."""


def mean_costs(benchmark: Benchmark, prompts: int) -> NDArray[np.float64]:
    """(prompts, m) each model's *mean* cost, for every prompt; 0 where no cost is known.

    What this very call cost is not known before it is made, so it must not be looked at.
    """
    mean = np.nan_to_num(benchmark.cost_usd.mean(axis=0))
    return np.broadcast_to(mean, (prompts, len(mean)))


def by_value(benchmark: Benchmark, predicted: NDArray[np.floating], worth: float) -> Index:
    """(k,) best value by (k, m) predicted quality, of any prompts, and the benchmark's mean costs.

    `worth` is what a unit of quality is worth in USD; inf looks at quality alone.
    """
    cost = mean_costs(benchmark, len(predicted))
    return best_value(np.asarray(predicted, dtype=np.float64), cost, worth)


def value_sweep(benchmark: Benchmark, predicted: NDArray[np.floating]) -> Sweep:
    """Trade-offs from cost alone to quality alone."""
    span = float(np.ptp(benchmark.cost_usd.mean(axis=0)))
    worths = [0.0, *trade_offs(span)]
    return Sweep(_stacked([by_value(benchmark, predicted, worth) for worth in worths]))


def hull_sweep(benchmark: Benchmark, predicted: NDArray[np.floating], *, seed: int = 0) -> Sweep:
    """The knob of `HullPolicy` over these predictions, from best to cheapest.

    The operating points, constant models among them, are chosen on the other folds of groups.
    """
    names = [c.name for c in benchmark.candidates]
    fold = group_folds(benchmark.groups, FOLDS, seed=seed)
    choices = np.zeros((len(KNOBS), benchmark.n), dtype=np.int16)
    for k in range(FOLDS):
        held, seen = fold == k, fold != k
        if not held.any():
            continue
        mean = np.broadcast_to(benchmark.cost_usd[seen].mean(axis=0), benchmark.cost_usd.shape)
        offered = operating_points(predicted[seen], benchmark.quality[seen], mean[seen], names)
        for i, knob in enumerate(KNOBS):
            point = HullPolicy(offered, knob).point
            choices[i, held] = _at_point(point, predicted[held], mean[held], names)
    return Sweep(choices, KNOBS)


def reference_sweep(
    benchmark: Benchmark, predicted: NDArray[np.floating], router: Router
) -> Sweep | None:
    """What a router that knows its operating points (constant models among them) would have given.

    None where it knows none for these models: outcomes or prices that this needs are not there.
    """
    if not isinstance(router, HasReference):
        return None
    candidates = benchmark.candidates
    try:
        offered = reference_points(router.reference(candidates), candidates)
    except InputError:
        return None
    names, mean = [c.name for c in candidates], mean_costs(benchmark, benchmark.n)
    points = [HullPolicy(offered, knob).point for knob in KNOBS]
    return Sweep(_stacked([_at_point(p, predicted, mean, names) for p in points]), KNOBS)


def threshold_sweep(score: Vector) -> Sweep:
    """A pair's choices as ever more prompts go to the strong model (column 0), highest scores first.

    Tied scores stay together, as a threshold cannot part them; so shares may be passed over.
    """
    ordered = np.sort(np.asarray(score))[::-1]
    ranks = np.linspace(0, len(ordered), CUTS).round().astype(np.intp)[1:]
    cuts = [np.inf, *np.unique(ordered[ranks - 1])[::-1]]
    return Sweep(_stacked([np.where(score >= cut, 0, 1) for cut in cuts]))


def _at_point(
    point: OperatingPoint,
    predicted: NDArray[np.floating],
    mean: NDArray[np.float64],
    names: Sequence[str],
) -> Index:
    return point.pick(np.asarray(predicted, dtype=np.float64), mean, names)


def _stacked(choices: Sequence[NDArray[np.integer]]) -> NDArray[np.int16]:
    return np.stack([c.astype(np.int16) for c in choices])
