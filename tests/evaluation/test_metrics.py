from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.evaluation.metrics import (
    Curve,
    apgr,
    area,
    cpt_interpolated,
    cpt_minimum,
    exact_curve,
    routellm_curve,
)
from turnout.evaluation.reliability import brier, brier_skill, ece

WEAK = np.asarray([0.0, 0.0, 1.0, 1.0])
STRONG = np.asarray([1.0, 1.0, 1.0, 1.0])


@st.composite
def outcomes(draw: st.DrawFn, levels: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    score = rng.integers(0, levels, n) / levels if draw(st.booleans()) else rng.random(n)
    return score, rng.random(n), rng.random(n)


def test_a_perfect_order_recovers_the_gap_with_the_calls_that_need_it() -> None:
    curve = exact_curve(np.asarray([4.0, 3.0, 2.0, 1.0]), WEAK, STRONG)
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.quality.tolist() == [0.5, 0.75, 1, 1, 1]
    assert cpt_minimum(curve, 0.5, 1.0, 0.5) == 0.25
    assert cpt_minimum(curve, 0.5, 1.0, 0.8) == pytest.approx(0.4)
    assert apgr(curve, 0.5, 1.0) == 0.75


def test_equal_scores_are_a_random_mix() -> None:
    score = np.ones(4)
    for curve in (exact_curve(score, WEAK, STRONG), routellm_curve(score, WEAK, STRONG)):
        assert apgr(curve, 0.5, 1.0) == 0.5
        assert cpt_minimum(curve, 0.5, 1.0, 0.8) == pytest.approx(0.8)


def test_ties_are_worth_their_mean_over_random_orders() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 4, 50).astype(float)
    weak, strong = rng.random(50), rng.random(50) + 0.5
    broken = [area(exact_curve(score + rng.random(50) * 0.5, weak, strong)) for _ in range(4000)]
    assert area(exact_curve(score, weak, strong)) == pytest.approx(np.mean(broken), abs=1e-3)


def test_routellm_thresholds_are_quantiles_with_linear_interpolation() -> None:
    rng = np.random.default_rng(1)
    score, weak, strong = rng.random(237), rng.random(237), rng.random(237)
    edges = np.quantile(score, np.linspace(0, 1, 11))
    routed = [score >= t for t in edges[:-1]] + [score > edges[-1]]
    expected = sorted((r.mean(), np.where(r, strong, weak).mean()) for r in routed)
    curve = routellm_curve(score, weak, strong)
    assert np.allclose(np.stack([curve.share, curve.quality], axis=1), expected)


def test_routellm_interpolates_where_the_minimum_is_wanted() -> None:
    # A curve that goes up, down and up again: the least share is what the paper defines.
    quality = np.asarray([0, 0.1, 0.2, 0.4, 0.6, 0.4, 0.2, 0.3, 0.4, 0.6, 1])
    curve = Curve(np.linspace(0, 1, 11), quality)
    assert cpt_minimum(curve, 0.0, 1.0, 0.5) == pytest.approx(0.35)
    assert cpt_interpolated(curve, 0.0, 1.0, 0.5) == pytest.approx(0.85)


def test_the_dollar_axis_moves_with_the_price_of_the_calls() -> None:
    score = np.asarray([4.0, 3.0, 2.0, 1.0])
    curve = exact_curve(score, WEAK, STRONG, extra_cost=np.asarray([4.0, 4.0, 1.0, 1.0]))
    assert curve.share.tolist() == [0, 0.4, 0.8, 0.9, 1.0]
    with pytest.raises(InputError, match="must cost more"):
        exact_curve(score, WEAK, STRONG, extra_cost=-np.ones(4))


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    curve = exact_curve(np.arange(4.0), STRONG, WEAK)
    assert np.isnan(apgr(curve, 1.0, 0.5))
    assert np.isnan(cpt_minimum(curve, 1.0, 0.5, 0.5))
    assert np.isnan(cpt_interpolated(curve, 1.0, 0.5, 0.5))


def test_unusable_scores_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        exact_curve(np.asarray([np.nan, 1, 2, 3]), WEAK, STRONG)
    with pytest.raises(InputError, match="n scores"):
        exact_curve(np.ones(3), WEAK, STRONG)


@given(outcomes(), st.randoms())
def test_the_order_of_the_rows_changes_nothing(data, random) -> None:  # type: ignore[no-untyped-def]
    score, weak, strong = data
    order = list(range(len(score)))
    random.shuffle(order)
    for make in (exact_curve, routellm_curve):
        a, b = make(score, weak, strong), make(score[order], weak[order], strong[order])
        assert np.allclose(a.share, b.share)
        assert np.allclose(a.quality, b.quality)


@given(outcomes())
def test_a_monotone_transformation_of_the_scores_changes_nothing(data) -> None:  # type: ignore[no-untyped-def]
    score, weak, strong = data
    a, b = exact_curve(score, weak, strong), exact_curve(np.exp(3 * score), weak, strong)
    assert np.allclose(a.quality, b.quality)


@given(outcomes())
def test_turning_the_scores_round_mirrors_the_curve(data) -> None:  # type: ignore[no-untyped-def]
    score, weak, strong = data
    there = area(exact_curve(score, weak, strong))
    back = area(exact_curve(-score, weak, strong))
    assert there + back == pytest.approx(weak.mean() + strong.mean())


def test_calibration_errors_know_a_calibrated_forecast() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(float)
    assert ece(p, y) < 0.02
    assert ece(np.clip(p + 0.3, 0, 1), y) > 0.2
    assert brier(y, y) == 0
    assert brier_skill(p, y) == pytest.approx(1 / 3, abs=0.02)
    assert brier_skill(np.full(20_000, y.mean()), y) == pytest.approx(0, abs=1e-9)
    assert np.isnan(brier_skill(p, np.ones(20_000)))


def test_ece_of_tied_forecasts_does_not_depend_on_their_order() -> None:
    p, y = np.full(100, 0.5), np.arange(100) < 50
    assert ece(p, y.astype(float)) == pytest.approx(0)
