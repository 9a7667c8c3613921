from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.evaluation.choices import (
    ARENA_USD,
    arena_score,
    gain_over_best,
    gap_to_oracle,
    oracle_choice,
    selection_entropy,
    top_share,
    utility,
)


def test_the_arena_score_is_its_formula() -> None:
    # RouterArena's own example of how little cost counts: these three all score about 76.28.
    for accuracy, usd_per_1000 in ((0.769, 0.10), (0.781, 0.27), (0.807, 1.00)):
        found = arena_score(np.asarray([accuracy]), np.asarray([usd_per_1000 / 1000]))
        assert found[0] == pytest.approx(0.7628, abs=6e-4)


def test_beyond_the_arenas_range_cost_no_longer_counts() -> None:
    low, high = ARENA_USD
    scores = arena_score(np.asarray([0.8] * 4), np.asarray([0.0, low, high, 2 * high]) / 1000)
    assert scores[0] == scores[1]
    assert scores[2] == scores[3] == 0.0


def test_utility_takes_the_price_off_in_units_of_quality() -> None:
    quality, cost = np.asarray([0.9, 0.8]), np.asarray([0.02, 0.001])
    assert utility(quality, cost, math.inf) is quality
    assert utility(quality, cost, 0.1) == pytest.approx([0.7, 0.79])


def test_the_oracle_takes_the_cheapest_of_the_best() -> None:
    value = np.asarray([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert oracle_choice(value, np.asarray([[3.0, 1.0, 0.1]] * 2)).tolist() == [1, 2]
    assert oracle_choice(value, np.full((2, 3), np.nan)).tolist() == [0, 2]


def test_collapse_to_one_model_has_no_entropy() -> None:
    assert selection_entropy(np.zeros(10, dtype=np.intp), 4) == 0.0
    assert top_share(np.zeros(10, dtype=np.intp), 4) == 1.0
    even = np.arange(8) % 4
    assert selection_entropy(even, 4) == pytest.approx(2.0)
    assert top_share(even, 4) == 0.25


def test_gain_over_the_best_is_averaged_over_categories() -> None:
    got, base = np.asarray([1.0, 1.0, 0.5, 0.5]), np.asarray([0.5, 0.5, 0.5, 0.5])
    # +100% in one category, 0% in the other; over all prompts 0.75 / 0.5.
    assert gain_over_best(got, base, ("a", "a", "b", "b")) == pytest.approx(0.5)
    assert gain_over_best(got, base) == pytest.approx(0.5)
    uneven = gain_over_best(got[:3], base[:3], ("a", "a", "b"))
    assert uneven == pytest.approx(0.5)
    assert gain_over_best(got[:3], base[:3]) == pytest.approx(2.5 / 1.5 - 1)
    assert math.isnan(gain_over_best(got, np.zeros(4)))


@given(st.integers(0, 1000))
def test_nothing_beats_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.random((30, 4))
    got = score[np.arange(30), rng.integers(4, size=30)]
    assert gap_to_oracle(got, score.max(axis=1), [str(i % 3) for i in range(30)]) >= 0.0
    assert gap_to_oracle(score.max(axis=1), score.max(axis=1)) == 0.0
