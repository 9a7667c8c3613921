from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.policies.within_price import WithinPricePolicy
from turnout.types import Candidate, Prediction

CANDIDATES = tuple(Candidate(name=name) for name in ("large", "medium", "small"))


def choose(threshold: float, quality: list[float], cost: list[float]) -> int:
    prediction = Prediction(
        candidates=tuple(c.name for c in CANDIDATES),
        quality=np.asarray([quality], dtype=np.float32),
    )
    policy = WithinPricePolicy(threshold)
    return int(policy.choose(prediction, CANDIDATES, np.asarray([cost])).index[0])


three = st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=3, max_size=3)


@given(three, three, st.floats(0.0, 1.0))
def test_it_is_the_best_of_those_that_save_the_share(
    quality: list[float], cost: list[float], threshold: float
) -> None:
    chosen = choose(threshold, quality, cost)
    limit = max(cost) - threshold * (max(cost) - min(cost))
    assert cost[chosen] <= limit + 1e-6
    better = [j for j in range(3) if quality[j] > quality[chosen]]
    assert all(cost[j] > limit - 1e-6 for j in better)


@given(three, three)
def test_0_looks_at_quality_and_1_at_price(quality: list[float], cost: list[float]) -> None:
    assert quality[choose(0.0, quality, cost)] == max(quality)
    assert cost[choose(1.0, quality, cost)] == min(cost)


@given(three, three, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_higher_threshold_never_promises_more_quality(
    quality: list[float], cost: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert quality[choose(high, quality, cost)] <= quality[choose(low, quality, cost)]


def test_a_tie_goes_to_the_cheaper_then_to_the_earlier() -> None:
    assert choose(0.0, [0.5, 0.5, 0.25], [4, 2, 1]) == 1
    assert choose(0.0, [0.5, 0.5, 0.5], [2, 2, 2]) == 0


def test_missing_prices_are_no_matter_where_quality_alone_is_looked_at() -> None:
    nan = float("nan")
    assert choose(0.0, [0.25, 0.5, 0.75], [1, 1, nan]) == 2
    assert choose(0.0, [0.25, 0.5, 0.75], [nan, nan, nan]) == 2
    assert choose(0.0, [0.75, 0.5, 0.75], [nan, 1, 1]) == 2
    with pytest.raises(InputError, match="price: 'medium'"):
        choose(0.5, [0.25, 0.5, 0.75], [1, nan, nan])


def test_a_share_is_from_0_to_1() -> None:
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="from 0 to 1"):
            WithinPricePolicy(bad)


def test_no_query_needs_no_choice() -> None:
    prediction = Prediction(
        candidates=("large", "medium", "small"), quality=np.zeros((0, 3), np.float32)
    )
    assert len(WithinPricePolicy(0.5).choose(prediction, CANDIDATES, np.zeros((0, 3))).index) == 0
