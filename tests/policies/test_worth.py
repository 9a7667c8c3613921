from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.policies.worth import WorthPolicy
from turnout.types import PICO, Candidate, Prediction

CANDIDATES = tuple(Candidate(name=name) for name in ("large", "medium", "small"))
three = st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=3, max_size=3)


def choose(worth: float, quality: list[float], cost_usd: list[float]) -> int:
    prediction = Prediction(
        candidates=tuple(c.name for c in CANDIDATES),
        quality=np.asarray([quality], dtype=np.float32),
    )
    cost = np.asarray([cost_usd]) * PICO
    return int(WorthPolicy(worth).choose(prediction, CANDIDATES, cost).index[0])


@given(three, three, st.floats(1e-4, 1e4))
def test_nothing_is_worth_more(quality: list[float], cost: list[float], worth: float) -> None:
    chosen = choose(worth, quality, cost)
    value = [q * worth - c for q, c in zip(quality, cost, strict=True)]
    assert value[chosen] >= max(value) - 1e-6
    ties = [j for j in range(3) if value[j] == max(value)]
    assert cost[chosen] <= min(cost[j] for j in ties) + 1e-6


@given(three, three, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_who_pays_more_never_gets_less(
    quality: list[float], cost: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    if high - low < 1e-6 * high:  # below the rounding of the choice itself
        return
    assert quality[choose(high, quality, cost)] >= quality[choose(low, quality, cost)] - 1e-6


def test_a_candidate_without_a_price() -> None:
    with pytest.raises(InputError, match="medium"):
        choose(1.0, [0.5, 0.5, 0.5], [1.0, float("nan"), 0.1])
