"""Anchors and item response: what a hundred labels tell of a model, on outcomes made by rule."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from turnout.calibration.anchors import balanced_anchors, d_optimal, stratified
from turnout.calibration.items import Items


def outcomes(n: int = 600, m: int = 24, seed: int = 0) -> tuple[NDArray[np.float64], ...]:
    """Scores of m models on n prompts, of one dimension of ability, and one more model's."""
    rng = np.random.default_rng(seed)
    ease, slope = rng.normal(0.3, 1.5, n), rng.uniform(0.8, 1.8, n)
    ability = rng.normal(0.0, 1.0, m + 1)
    p = 1.0 / (1.0 + np.exp(-(ease[:, None] + slope[:, None] * ability[None])))
    score = (rng.random(p.shape) < p).astype(np.float64)
    return score[:, :m], score[:, m]


@pytest.mark.parametrize(("n", "count"), [(10, 10), (10, 7), (101, 100), (500, 40), (3, 1)])
def test_a_stratified_draw_has_distinct_rows_of_every_difficulty(n: int, count: int) -> None:
    difficulty = np.linspace(0.0, 1.0, n)
    for seed in range(30):
        at = stratified(difficulty, count, np.random.default_rng(seed))
        assert len(set(at.tolist())) == count
        widest = np.diff(np.sort(at)).max(initial=0)
        assert widest <= 2 * n / count + 1


def test_every_row_has_a_nearly_equal_chance_of_being_drawn() -> None:
    rng = np.random.default_rng(0)
    hits = np.zeros(50)
    for _ in range(4000):
        hits[stratified(np.linspace(0, 1, 50), 20, rng)] += 1
    assert np.abs(hits / 4000 - 0.4).max() < 0.08


def test_item_response_beats_the_plain_mean_of_random_anchors() -> None:
    plain, told = [], []
    for seed in range(12):
        others, y = outcomes(seed=seed)
        items = Items.fit(others)
        for draw in range(4):
            rng = np.random.default_rng([seed, draw])
            at = balanced_anchors(others.mean(axis=1), items, 60, rng)
            told.append(abs(items.estimate(at, y[at]).accuracy - y.mean()))
            plain.append(abs(y[rng.choice(len(y), 60, replace=False)].mean() - y.mean()))
    assert np.mean(told) < 0.8 * np.mean(plain)


def test_the_interval_holds_the_accuracy_at_least_as_often_as_it_says() -> None:
    held = []
    for seed in range(12):
        others, y = outcomes(seed=100 + seed)
        items = Items.fit(others)
        for draw in range(10):
            at = balanced_anchors(others.mean(axis=1), items, 60, np.random.default_rng(draw))
            told = items.estimate(at, y[at])
            held.append(told.low <= y.mean() <= told.high)
    assert np.mean(held) >= 0.85


def test_all_rows_labelled_give_the_accuracy_itself() -> None:
    others, y = outcomes(n=80)
    told = Items.fit(others).estimate(np.arange(80), y)
    assert told.accuracy == pytest.approx(y.mean(), abs=1e-9)
    assert told.low == pytest.approx(told.high)


def test_missing_cells_are_not_failures() -> None:
    others, y = outcomes(n=300)
    holed = others.copy()
    holed[np.random.default_rng(1).random(holed.shape) < 0.3] = np.nan
    holed[np.isnan(holed).all(axis=1), 0] = 1.0
    at = np.arange(0, 300, 3)
    full, part = (Items.fit(s).estimate(at, y[at]).accuracy for s in (others, holed))
    assert part == pytest.approx(full, abs=0.03)


def test_d_optimal_takes_a_row_of_each_direction_before_it_repeats_one() -> None:
    factors = np.array([[3.0, 0.0], [2.9, 0.0], [0.0, 2.0], [0.1, 0.1]])
    assert set(d_optimal(factors, np.eye(2), 2).tolist()) == {0, 2}
    assert sorted(d_optimal(factors, np.eye(2), 4).tolist()) == [0, 1, 2, 3]
