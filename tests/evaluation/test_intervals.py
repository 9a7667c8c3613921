from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.evaluation.intervals import (
    METRICS,
    PairMetrics,
    Resampler,
    SortedPair,
    percentile_interval,
)
from turnout.evaluation.metrics import (
    apgr,
    cpt_interpolated,
    cpt_minimum,
    exact_curve,
    routellm_curve,
)


def plain(
    score: np.ndarray, weak: np.ndarray, strong: np.ndarray, extra: np.ndarray
) -> list[float]:
    """All metrics by the readable functions, in the order of METRICS."""
    low, high = weak.mean(), strong.mean()
    ten, every = routellm_curve(score, weak, strong), exact_curve(score, weak, strong)
    return [
        apgr(ten, low, high),
        cpt_interpolated(ten, low, high, 0.5),
        cpt_interpolated(ten, low, high, 0.8),
        apgr(every, low, high),
        cpt_minimum(every, low, high, 0.5),
        cpt_minimum(every, low, high, 0.8),
        apgr(exact_curve(score, weak, strong, extra_cost=extra), low, high),
    ]


@settings(max_examples=200)
@given(st.integers(0, 100_000), st.integers(2, 40), st.booleans())
def test_weights_give_the_metrics_of_the_resampled_arrays(seed: int, n: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 5, n).astype(float) if tied else rng.random(n)
    weak = rng.random(n)
    strong, extra = weak + rng.normal(0.1, 0.3, n), rng.random(n) + 0.1
    pair = SortedPair(score, strong - weak, extra)
    weights = np.stack([np.ones(n), np.bincount(rng.integers(n, size=n), minlength=n)])
    measured = pair.measure(weights.astype(np.float64))
    for b, w in enumerate(weights):
        at = np.repeat(np.arange(n), w.astype(int))
        gap = (strong - weak)[at].mean()
        expected = plain(score[at], weak[at], strong[at], extra[at])
        if abs(gap) < 1e-3:
            continue  # a gap of nothing divides by nothing
        for name, value in zip(METRICS, expected, strict=True):
            got = float(getattr(measured, name)[b])
            assert got == pytest.approx(value, abs=1e-6, rel=1e-6, nan_ok=True), name


def test_whole_groups_are_drawn() -> None:
    groups = np.asarray([0, 0, 0, 1, 1, 2, 5, 5])
    weights = np.concatenate(list(Resampler(groups, 120, seed=3).weights()))
    assert weights.shape == (120, 8)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 6] == weights[:, 7]).all()
    assert (weights[:, [0, 3, 5, 6]].sum(axis=1) == 4).all()


def test_the_same_seed_draws_the_same_replicates() -> None:
    groups = np.arange(30)
    one, two = (np.concatenate(list(Resampler(groups, 60, 7).weights())) for _ in range(2))
    assert (one == two).all()
    other = np.concatenate(list(Resampler(groups, 60, 8).weights()))
    assert (one != other).any()


def test_random_scores_have_half_the_area_within_their_interval() -> None:
    rng = np.random.default_rng(0)
    n = 1000
    weak = (rng.random(n) < 0.5).astype(float)
    strong = (rng.random(n) < 0.8).astype(float)
    pair = SortedPair(rng.random(n), strong - weak)
    draws = PairMetrics.joined([pair.measure(w) for w in Resampler(np.arange(n), 400).weights()])
    value = float(pair.measure(np.ones((1, n))).apgr_exact[0])
    found = percentile_interval(value, draws.apgr_exact)
    assert found.low < 0.5 < found.high
    assert found.low < found.value < found.high


def test_without_costs_the_dollar_axis_is_undefined_and_the_rest_is_not() -> None:
    found = SortedPair(np.arange(4.0), np.ones(4)).measure(np.ones((1, 4)))
    assert np.isnan(found.apgr_usd).all()
    assert found.apgr_exact == pytest.approx(0.5)


def test_undefined_draws_are_left_out_and_too_many_of_them_leave_no_interval() -> None:
    draws = np.linspace(0, 1, 100)
    draws[:5] = np.nan
    assert np.isfinite(percentile_interval(0.5, draws).low)
    draws[:50] = np.nan
    assert np.isnan(percentile_interval(0.5, draws).low)


def test_a_curve_on_a_grid_goes_from_nothing_to_the_whole_gap() -> None:
    rng = np.random.default_rng(0)
    pair = SortedPair(rng.random(50), np.full(50, 0.5), rng.random(50))
    for usd in (False, True):
        found = pair.curve(np.ones((2, 50)), np.asarray([0.0, 0.5, 1.0]), usd=usd)
        assert found.shape == (2, 3)
        assert found[0, 0] == 0.0
        assert found[0, 2] == pytest.approx(0.5)


def test_a_thousand_replicates_of_fourteen_thousand_prompts_take_seconds() -> None:
    rng = np.random.default_rng(0)
    n = 14_037
    pair = SortedPair(rng.random(n), rng.normal(0.1, 0.5, n), rng.random(n))
    start = time.perf_counter()
    for weights in Resampler(np.arange(n), 200).weights():
        pair.measure(weights)
    assert time.perf_counter() - start < 6.0  # about 0.3 s on one idle core
