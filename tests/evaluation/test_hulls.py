from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.evaluation.hulls import aiq, concave_hull, log_aiq, zero_router

COST = np.asarray([1.0, 2.0, 4.0])
QUALITY = np.asarray([0.2, 0.7, 0.9])


def test_the_zero_router_is_the_mean_height_of_the_mixes() -> None:
    # Trapezoids by hand: (0.2 + 0.7) / 2 * 1 + (0.7 + 0.9) / 2 * 2 = 2.05, over a span of 3.
    assert zero_router(COST, QUALITY) == pytest.approx(2.05 / 3)


def test_beyond_the_last_point_the_hull_is_flat_and_before_the_first_it_is_nothing() -> None:
    found = aiq(np.asarray([2.0]), np.asarray([0.6]), cheapest=1.0, dearest=4.0)
    assert found == pytest.approx(0.6 * 2 / 3)


def test_points_outside_the_span_count_by_what_they_reach_inside() -> None:
    wide = aiq(np.asarray([0.0, 8.0]), np.asarray([0.0, 0.8]), cheapest=2.0, dearest=4.0)
    assert wide == pytest.approx(0.3)
    assert aiq(np.asarray([9.0]), np.asarray([1.0]), cheapest=1.0, dearest=4.0) == 0.0


def test_log_cost_does_not_weigh_the_dear_end_so_much() -> None:
    found = log_aiq(COST, np.asarray([0.2, 0.7, 0.9]), cheapest=1.0, dearest=4.0)
    assert found == pytest.approx((0.45 + 0.8) / 2)
    with pytest.raises(InputError, match="above 0"):
        log_aiq(np.asarray([0.0, 1.0]), np.asarray([0.1, 0.2]), cheapest=0.0, dearest=1.0)


def test_equal_costs_have_no_span() -> None:
    with pytest.raises(InputError, match="differ in cost"):
        zero_router(np.ones(2), np.asarray([0.1, 0.2]))


points = st.lists(st.tuples(st.floats(0.5, 5.0), st.floats(0.0, 1.0)), min_size=1, max_size=8).map(
    np.asarray
)


@given(points, st.floats(0, 1), st.floats(0, 1), st.integers(0, 7))
def test_a_dominated_point_never_moves_aiq(
    found: np.ndarray, dearer: float, worse: float, which: int
) -> None:
    cost, quality = found[:, 0], found[:, 1]
    k = which % len(cost)
    more = np.append(cost, cost[k] + dearer), np.append(quality, max(0.0, quality[k] - worse))
    before = aiq(cost, quality, cheapest=0.5, dearest=5.0)
    assert aiq(*more, cheapest=0.5, dearest=5.0) == pytest.approx(before, abs=1e-9)


@given(points, st.floats(0.5, 5.0), st.floats(0.0, 1.0))
def test_one_more_point_never_lowers_aiq(found: np.ndarray, cost: float, quality: float) -> None:
    before = aiq(found[:, 0], found[:, 1], cheapest=0.5, dearest=5.0)
    after = aiq(
        np.append(found[:, 0], cost), np.append(found[:, 1], quality), cheapest=0.5, dearest=5.0
    )
    assert after >= before - 1e-9


@given(points)
def test_the_hull_rises_ever_more_slowly(found: np.ndarray) -> None:
    x, y = concave_hull(found[:, 0], found[:, 1])
    slopes = np.diff(y) / np.diff(x)
    assert (slopes > 0).all()
    assert (np.diff(slopes) <= 1e-6 * (1 + np.abs(slopes[1:]))).all()
