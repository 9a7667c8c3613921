from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.policies.base import Choice
from turnout.policies.threshold import ThresholdPolicy
from turnout.types import Candidate, PairRule, Prediction

PAIR = (Candidate(name="strong"), Candidate(name="weak"))


def predicted(*rows: tuple[float, float], pair: PairRule | None = None) -> Prediction:
    quality = np.asarray(rows, dtype=np.float32).reshape(-1, 2)
    return Prediction(candidates=("strong", "weak"), quality=quality, pair=pair or PairRule())


def choose(threshold: float, prediction: Prediction) -> Choice:
    cost = np.full(prediction.quality.shape, np.nan)
    return ThresholdPolicy(threshold).choose(prediction, PAIR, cost)


unit = st.floats(0.0, 1.0, width=32)
rules = st.sampled_from(
    [PairRule(), PairRule("strong"), PairRule("logistic", a=5.0, b=-4.0, c=-1.0)]
)


@given(st.lists(st.tuples(unit, unit), max_size=20), rules, unit, unit)
def test_a_higher_threshold_never_calls_the_strong_model_more(
    rows: list[tuple[float, float]], pair: PairRule, one: float, other: float
) -> None:
    prediction = predicted(*rows, pair=pair)
    low, high = sorted((one, other))
    strong_low = choose(low, prediction).index == 0
    strong_high = choose(high, prediction).index == 0
    assert not (strong_high & ~strong_low).any()


def test_a_tie_goes_to_the_strong_model() -> None:
    choice = choose(0.5, predicted((0.75, 0.25), (0.75, 0.3125), (1.0, 0.5)))
    assert choice.index.tolist() == [0, 1, 0]
    assert choice.code == (
        "win_rate_reaches_threshold",
        "win_rate_below_threshold",
        "win_rate_reaches_threshold",
    )


@given(unit)
def test_a_win_rate_meets_a_threshold_of_its_own_value(rate: float) -> None:
    assert choose(rate, predicted((rate, 0.0), pair=PairRule("strong"))).index.tolist() == [0]


def test_0_always_calls_the_strong_model_and_1_only_a_sure_win() -> None:
    prediction = predicted((0.0, 1.0), (0.5, 0.25), (1.0, 0.0))
    assert choose(0.0, prediction).index.tolist() == [0, 0, 0]
    assert choose(1.0, prediction).index.tolist() == [1, 1, 0]


def test_it_says_the_rate_and_the_threshold() -> None:
    choice = choose(0.4, predicted((0.75, 0.25), (0.75, 0.5)))
    assert choice.reason[0] == "strong wins over weak at a rate of 0.500, at least 0.4"
    assert choice.reason[1] == "strong wins over weak at a rate of 0.250 only, below 0.4"
    assert choice.win_rate is not None
    assert choice.win_rate.tolist() == [0.5, 0.25]


def test_the_order_of_the_columns_is_the_callers() -> None:
    prediction = Prediction(
        candidates=("weak", "strong"), quality=np.asarray([[0.0, 1.0]], dtype=np.float32)
    )
    assert choose(0.5, prediction).index.tolist() == [0]


def test_a_threshold_is_between_two_models_and_from_0_to_1() -> None:
    with pytest.raises(InputError, match="between two models"):
        ThresholdPolicy(0.5).choose(predicted((1, 0)), PAIR[:1], np.ones((1, 2)))
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="from 0 to 1"):
            ThresholdPolicy(bad)


@given(unit, unit, unit)
def test_a_better_weak_model_never_raises_a_difference(s: float, w1: float, w2: float) -> None:
    low, high = sorted((w1, w2))
    rates = predicted((s, low), (s, high)).win_rate("strong", "weak")
    assert rates[1] <= rates[0]


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_a_steep_logistic_rule_stays_a_probability(size: float) -> None:
    pair = PairRule("logistic", a=size, b=-size, c=-size / 2)
    rates = predicted((1.0, 0.0), (0.0, 1.0), (0.5, 0.5), pair=pair).win_rate("strong", "weak")
    assert np.isfinite(rates).all()
    assert ((rates >= 0) & (rates <= 1)).all()
    assert rates[0] > rates[2] >= rates[1]
