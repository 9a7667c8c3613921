from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.policies.base import Choice
from turnout.policies.hull import (
    SWEEP,
    HullPolicy,
    OperatingPoint,
    best_value,
    operating_points,
    trade_offs,
    upper_hull,
)
from turnout.types import Candidate, Prediction

NAMES = ("large", "medium", "small")
CANDIDATES = tuple(Candidate(name=name) for name in NAMES)


def point(cost: float, quality: float, constant: str | None = None) -> OperatingPoint:
    return OperatingPoint(usd_per_quality=1.0, constant=constant, cost_usd=cost, quality=quality)


# Sixteenths are exact, so that a point on a chord is on it and not a rounding beside it.
sixteenths = st.integers(0, 64).map(lambda i: i / 16)
points = st.lists(st.builds(point, sixteenths, sixteenths), min_size=1, max_size=12)


def height(hull: tuple[OperatingPoint, ...], cost: float) -> float:
    """Quality of the best mix of the hull's points at a price."""
    x, y = [p.cost_usd for p in hull[::-1]], [p.quality for p in hull[::-1]]
    return float(np.interp(cost, x, y)) if cost >= x[0] else -np.inf


@given(points)
def test_the_hull_rises_ever_more_slowly(given_points: list[OperatingPoint]) -> None:
    hull = upper_hull(given_points)[::-1]
    steps = [(b.cost_usd - a.cost_usd, b.quality - a.quality) for a, b in pairwise(hull)]
    assert all(dx > 0 and dy > 0 for dx, dy in steps)
    slopes = [dy / dx for dx, dy in steps]
    assert all(later < earlier for earlier, later in pairwise(slopes))


@given(points)
def test_no_given_point_lies_above_the_hull(given_points: list[OperatingPoint]) -> None:
    hull = upper_hull(given_points)
    for given_point in given_points:
        assert given_point.quality <= height(hull, given_point.cost_usd) + 1e-9
    assert set(hull) <= set(given_points)


@given(points, st.randoms(use_true_random=False))
def test_the_order_of_points_is_no_matter(given_points: list[OperatingPoint], rng: object) -> None:
    turned = list(given_points)
    rng.shuffle(turned)  # type: ignore[attr-defined]
    assert upper_hull(turned) == upper_hull(given_points)


@given(points)
def test_the_hull_of_a_hull_is_itself(given_points: list[OperatingPoint]) -> None:
    hull = upper_hull(given_points)
    assert upper_hull(hull) == hull


def test_a_single_model_is_kept_where_routing_only_ties_it() -> None:
    routed, constant = point(1.0, 0.5), point(1.0, 0.5, "small")
    assert upper_hull([routed, constant]) == (constant,)


def measured(seed: int, rows: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions that are worth something, scores, and prices."""
    rng = np.random.default_rng(seed)
    chance = rng.random((rows, 3)) * np.asarray([1.0, 0.8, 0.6])
    score = (rng.random((rows, 3)) < chance).astype(float)
    predicted = np.clip(chance + rng.normal(0, 0.2, (rows, 3)), 0, 1)
    return predicted, score, np.asarray([1e-2, 1e-3, 1e-4]) * (1 + rng.random((rows, 1)))


@given(st.integers(0, 1_000))
def test_the_hull_is_never_below_any_single_model(seed: int) -> None:
    predicted, score, cost = measured(seed)
    hull = operating_points(predicted, score, cost, NAMES)
    for j in range(3):
        assert score[:, j].mean() <= height(hull, float(cost[:, j].mean())) + 1e-9


def test_useless_predictions_leave_mixes_of_single_models() -> None:
    _, score, cost = measured(0, 400)
    noise = np.full_like(score, 0.5)
    each = np.broadcast_to(
        cost.mean(axis=0), cost.shape
    )  # prices that vary by prompt can route too
    hull = operating_points(noise, score, each, NAMES)
    assert {p.constant for p in hull} <= {"large", "medium", "small"}


def test_good_predictions_beat_every_mix_of_single_models() -> None:
    _, score, cost = measured(0, 400)
    hull = operating_points(score, score, cost, NAMES)  # an oracle
    assert any(p.constant is None for p in hull)
    assert hull[0].quality == pytest.approx(score.max(axis=1).mean())


def test_rows_with_a_missing_score_are_left_out() -> None:
    predicted, score, cost = measured(1)
    score[:40, 1] = np.nan
    assert operating_points(predicted, score, cost, NAMES) == operating_points(
        predicted[40:], score[40:], cost[40:], NAMES
    )
    with pytest.raises(InputError, match="no prompt has a score of every candidate"):
        operating_points(predicted[:40], score[:40], cost[:40], NAMES)


def test_a_missing_price_is_refused_by_name() -> None:
    predicted, score, cost = measured(1)
    cost[3, 1] = np.nan
    with pytest.raises(InputError, match=r"price: 'medium'.*in the settings"):
        operating_points(predicted, score, cost, NAMES)


def test_equal_prices_leave_quality_alone() -> None:
    predicted, score, _ = measured(2)
    hull = operating_points(predicted, score, np.ones_like(score), NAMES)
    assert len(hull) == 1


@given(
    st.integers(0, 1_000),
    st.floats(0.0, 0.2),
    st.floats(1e-6, 100.0) | st.just(np.inf),
    st.permutations(range(3)),
)
def test_a_near_tie_costs_at_most_its_margin(
    seed: int, margin: float, worth: float, order: list[int]
) -> None:
    predicted, _, cost = measured(seed, 20)
    rows, ranks = np.arange(20), np.argsort(order)
    pick = best_value(predicted, cost, worth, margin=margin, order=ranks)
    value = predicted if np.isinf(worth) else predicted * worth - cost
    near = margin * (1.0 if np.isinf(worth) else worth) + 1e-9
    assert (value[rows, pick] >= value.max(axis=1) - near).all()
    # Nobody whom the order prefers was within the margin.
    if margin > 0.0:
        tied = value >= value.max(axis=1, keepdims=True) - near + 2e-9
        assert (ranks[pick] <= np.where(tied, ranks, 3).min(axis=1)).all()


@given(st.integers(0, 1_000))
def test_a_wide_margin_leaves_the_usual_model(seed: int) -> None:
    predicted, _, cost = measured(seed, 20)
    pick = best_value(predicted, cost, np.inf, margin=1.0, order=np.asarray([1, 0, 2]))
    assert (pick == 1).all()


def test_sure_predictions_are_followed_and_wavering_ones_are_not() -> None:
    score = np.stack([np.tile([1.0, 0.0], 200), np.tile([0.0, 1.0], 200)], axis=1)
    score[:40] = [1.0, 0.0]  # the first is a little better on average
    free = np.ones_like(score)
    sure = np.where(score == 1.0, 0.9, 0.5)
    assert operating_points(sure, score, free, ("a", "b"))[0].quality == 1.0
    rng = np.random.default_rng(0)
    wavering = 0.7 + rng.uniform(-0.004, 0.004, score.shape)
    best = operating_points(wavering, score, free, ("a", "b"))[0]
    assert (best.pick(wavering, free, ("a", "b")) == 0).mean() > 0.99


def test_a_near_tie_goes_to_the_model_that_is_usually_better() -> None:
    usual = OperatingPoint(
        usd_per_quality=np.inf,
        constant=None,
        cost_usd=1.0,
        quality=0.8,
        margin=0.05,
        order=("medium", "large", "small"),
    )
    quality = np.asarray([[0.80, 0.76, 0.10], [0.80, 0.70, 0.10], [0.10, 0.76, 0.80]])
    choice = HullPolicy((usual,), 0.0).choose(
        Prediction(candidates=NAMES, quality=quality), CANDIDATES, np.ones((3, 3))
    )
    assert choice.index.tolist() == [1, 0, 1]
    # Where constraints put the usual one out, the next in order takes its ties.
    rest = usual.pick(quality[:, [0, 2]], np.ones((3, 2)), ("large", "small"))
    assert rest.tolist() == [0, 0, 1]


quality_rows = st.lists(st.lists(sixteenths, min_size=3, max_size=3), min_size=1, max_size=5)


@given(quality_rows, st.floats(0.0, 100.0))
def test_the_best_value_is_worth_the_most(rows: list[list[float]], worth: float) -> None:
    quality = np.asarray(rows)
    cost = np.broadcast_to(np.asarray([4.0, 2.0, 1.0]), quality.shape)
    value = quality * worth - cost
    chosen = value[np.arange(len(value)), best_value(quality, cost, worth)]
    assert (chosen >= value.max(axis=1) - 1e-9).all()


def test_a_tie_in_value_goes_to_the_cheaper_then_to_the_earlier() -> None:
    quality, cost = np.asarray([[0.75, 0.5, 0.5]]), np.asarray([[0.5, 0.25, 0.25]])
    assert best_value(quality, cost, 1.0).tolist() == [1]
    assert best_value(quality, cost, 0.0).tolist() == [1]
    assert best_value(np.ones((1, 3)), cost, np.inf).tolist() == [1]


HULL = operating_points(*measured(3, 400), NAMES)


def choose(policy: HullPolicy, seed: int = 4, names: tuple[str, ...] = NAMES) -> Choice:
    predicted, _, cost = measured(seed)
    m = len(names)
    prediction = Prediction(candidates=names, quality=predicted[:, :m].astype(np.float32))
    candidates = [Candidate(name=name) for name in names]
    return policy.choose(prediction, candidates, cost[:, :m] * 1e12)


def test_0_is_the_best_point_and_1_the_cheapest() -> None:
    assert HullPolicy(HULL, 0.0).point is HULL[0]
    assert HullPolicy(HULL, 1.0).point is HULL[-1]


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_higher_threshold_never_costs_more(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert HullPolicy(HULL, high).point.cost_usd <= HullPolicy(HULL, low).point.cost_usd


@given(st.floats(0.0, 1.0))
def test_the_dearest_point_that_saves_the_share_is_used(threshold: float) -> None:
    used = HullPolicy(HULL, threshold).point
    span = HULL[0].cost_usd - HULL[-1].cost_usd
    limit = HULL[0].cost_usd - threshold * span
    assert used.cost_usd <= limit + 1e-8
    assert not any(used.cost_usd < p.cost_usd <= limit - 1e-8 for p in HULL)


@given(points, st.floats(0.0, 1.0))
def test_any_hull_has_a_point_for_any_threshold(
    given_points: list[OperatingPoint], threshold: float
) -> None:
    hull = upper_hull(given_points)
    assert HullPolicy(hull, threshold).point in hull


def test_a_single_model_serves_every_request_where_its_point_is_used() -> None:
    choice = choose(HullPolicy((point(1.0, 0.9, "medium"),), 0.5))
    assert set(choice.index.tolist()) == {1}
    assert set(choice.code) == {"constant_model"}


def test_a_routed_point_takes_the_best_value() -> None:
    predicted, _, cost = measured(4)
    routed = OperatingPoint(usd_per_quality=0.02, constant=None, cost_usd=1.0, quality=0.9)
    choice = choose(HullPolicy((routed,), 0.0))
    expected = best_value(predicted.astype(np.float32), cost, 0.02)
    assert (choice.index == expected).all()
    assert set(choice.code) == {"best_value"}
    assert "USD is worth most" in choice.reason[0]


def test_where_the_single_model_is_out_the_nearest_routed_point_decides() -> None:
    hull = (
        point(3.0, 0.9, "gone"),
        OperatingPoint(usd_per_quality=1e6, constant=None, cost_usd=2.5, quality=0.8),
        OperatingPoint(usd_per_quality=0.0, constant=None, cost_usd=1.0, quality=0.5),
    )
    predicted, _, cost = measured(4)
    expected = best_value(predicted.astype(np.float32), cost, 1e6)
    assert (choose(HullPolicy(hull, 0.0)).index == expected).all()


@pytest.mark.parametrize(("threshold", "column"), [(0.0, "best"), (1.0, "cheapest")])
def test_where_no_point_is_routed_the_best_or_the_cheapest_serves(
    threshold: float, column: str
) -> None:
    hull = (point(3.0, 0.9, "gone"), point(1.0, 0.5, "gone too"))
    predicted, _, cost = measured(4)
    worth = np.inf if column == "best" else 0.0
    expected = best_value(predicted.astype(np.float32), cost, worth)
    assert (choose(HullPolicy(hull, threshold)).index == expected).all()


def test_a_candidate_without_a_price_is_refused_by_name() -> None:
    prediction = Prediction(candidates=NAMES, quality=np.ones((1, 3), dtype=np.float32))
    with pytest.raises(InputError, match="price: 'small'"):
        HullPolicy(HULL, 0.5).choose(prediction, CANDIDATES, np.asarray([[1.0, 1.0, np.nan]]))


def test_a_hull_policy_needs_points_and_a_share() -> None:
    with pytest.raises(InputError, match="fit operating points first"):
        HullPolicy((), 0.5)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="from 0 to 1"):
            HullPolicy(HULL, bad)


@pytest.mark.parametrize("span", [0.0, 1e-9, 0.01, 3.0])
def test_trade_offs_rise_and_end_with_quality_alone(span: float) -> None:
    found = trade_offs(span)
    assert found == sorted(found)
    assert found[-1] == float("inf")
    assert all(worth > 0 for worth in found)
    assert len(found) == (1 if span == 0 else SWEEP + 1)
