from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.intervals import Replicates, Resampler
from turnout.evaluation.meter import Meter
from turnout.evaluation.sweeps import Sweep, hull_sweep, threshold_sweep, value_sweep

Make = Callable[..., Benchmark]


def meter(benchmark: Benchmark, replicates: int = 50, **options: object) -> Meter:
    drawn = Replicates(Resampler(benchmark.groups, replicates))
    return Meter(benchmark, drawn, **options)  # type: ignore[arg-type]


def test_scaling_all_costs_leaves_every_metric_that_is_not_money(make: Make) -> None:
    four = make(200, 4)
    sweep = value_sweep(four, four.quality)
    dear = dataclasses.replace(four, cost_usd=four.cost_usd * 250)
    one, other = meter(four).swept(sweep)[1], meter(dear).swept(sweep)[1]
    for name, found in one.items():
        assert found.value == pytest.approx(other[name].value), name
        assert found.low == pytest.approx(other[name].low), name


def test_a_sweep_of_all_models_alone_has_no_lift(make: Make) -> None:
    four = make(200, 4)
    alone = Sweep(np.repeat(np.arange(4, dtype=np.int16)[:, None], 200, axis=1))
    found = meter(four).swept(alone)[1]
    for name in ("lift", "log_lift", "perf_gain", "cost_save"):
        assert found[name].value == pytest.approx(0.0, abs=1e-12), name
    assert found["lift"].high == pytest.approx(0.0, abs=1e-12)


def test_one_more_dominated_setting_moves_no_hull_metric(make: Make) -> None:
    four = make(300, 4)
    sweep = value_sweep(four, four.quality)
    # The worst answer of the dearest model's price: as dear as can be, and no good.
    worst = np.argmin(four.quality - four.cost_usd * 1e-3, axis=1).astype(np.int16)
    more = Sweep(np.vstack([sweep.choices, worst[None]]))
    one, other = meter(four).swept(sweep)[1], meter(four).swept(more)[1]
    for name in ("aiq", "lift", "log_aiq", "hypervolume", "cost_save", "cost_save_95"):
        assert found_equal(one[name].value, other[name].value), name


def found_equal(a: float, b: float) -> bool:
    return a == pytest.approx(b, abs=1e-12)


def test_copies_of_prompts_in_one_group_do_not_narrow_the_interval(make: Make) -> None:
    four = make(120, 4)
    lone = dataclasses.replace(four, groups=np.arange(four.n))
    copied = lone.rows(np.repeat(np.arange(four.n), 8))
    assert len(np.unique(copied.groups)) == four.n
    choice = np.zeros(four.n, dtype=np.intp)
    one = meter(lone, 400).chosen(choice).quality
    many = meter(copied, 400).chosen(np.repeat(choice, 8)).quality
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=1e-9)
    blind = dataclasses.replace(copied, groups=np.arange(copied.n))
    narrow = meter(blind, 400).chosen(np.repeat(choice, 8)).quality
    assert narrow.high - narrow.low < 0.6 * (one.high - one.low)


def test_regret_counts_what_a_call_costs_where_it_is_asked_to(make: Make) -> None:
    four = make(200, 4)
    dear = np.zeros(four.n, dtype=np.intp)
    free = meter(four).chosen(dear).metrics["regret_oracle"].value
    paid = meter(four, usd_per_quality=0.02).chosen(dear).metrics["regret_oracle"].value
    assert 0 < free < paid
    oracle = meter(four, usd_per_quality=0.02)
    assert oracle.chosen(oracle.oracle).metrics["regret_oracle"].value == pytest.approx(0.0)


def test_half_the_price_at_the_same_quality_is_half_saved(make: Make) -> None:
    base = make(100, 2)
    score = np.ones((100, 2))
    score[::2, 1] = 0.0
    cost = np.tile([0.010, 0.0], (100, 1))
    pair = dataclasses.replace(base, quality=score, cost_usd=cost)
    told = np.where(score[:, 1] == 1, 0.0, 1.0)
    found = meter(pair).swept(threshold_sweep(told))[1]
    assert found["cost_save"].value == pytest.approx(0.5)
    assert found["perf_gain"].value == pytest.approx(0.0)
    assert found["net_lift"].value > 0
    assert "log_aiq" not in found  # a model that costs nothing has no logarithm


def test_operating_points_of_no_clue_have_no_net_lift(make: Make) -> None:
    four = make(600, 4)
    noise = np.random.default_rng(0).random(four.quality.shape)
    found = meter(four, 200).swept(hull_sweep(four, noise))[1]
    assert found["net_lift"].low <= 0
    assert found["net_lift"].value < found["lift"].value


def test_tied_scores_stay_on_one_side_of_a_threshold() -> None:
    sweep = threshold_sweep(np.asarray([0.9, 0.5, 0.5, 0.5, 0.1]))
    assert sweep.choices.tolist() == [
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]
