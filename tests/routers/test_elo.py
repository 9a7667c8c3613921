"""Similarity-weighted ratings are those of the exact weighted logistic fit."""

from __future__ import annotations

import numpy as np
import pytest

from turnout.routers.arrays import unit
from turnout.routers.bradley_terry import solve, tiers
from turnout.routers.elo import SimilarityRanking, battles

K = 6


def votes(n: int = 3000, m: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(n, 16) rows and (n, m) scores of one battle a prompt; the first axis favours the strong."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 16)).astype(np.float32)
    a = rng.integers(0, m, n)
    b = (a + rng.integers(1, m, n)) % m
    won = rng.random(n) < 1 / (1 + np.exp(-(a - b) * (0.3 + 1.5 * unit(x)[:, 0])))
    score = np.full((n, m), np.nan)
    tie = rng.random(n) < 0.2
    score[np.arange(n), a] = np.where(tie, 0.5, won)
    score[np.arange(n), b] = np.where(tie, 0.5, ~won)
    return x, score


def exact(ranking: SimilarityRanking, vector: np.ndarray) -> np.ndarray:
    """Every entry a weighted row of a logistic regression in 64 bits; tier 0 is the level."""
    k = len(ranking.rating_)
    cosine = ranking.vectors_.astype(np.float64) @ vector
    weight = np.exp(ranking.sharpness * (cosine - cosine.max()))[ranking.row_] * ranking.wins_
    code = np.concatenate([ranking.code_, np.arange(k * k)])
    weight = np.concatenate([weight, ranking.prior_.ravel()])
    winner, loser = np.divmod(code, k)
    x = (np.eye(k)[winner] - np.eye(k)[loser])[:, 1:]
    theta = np.zeros(k - 1)
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ theta))
        theta += np.linalg.solve((x.T * (weight * p * (1 - p))) @ x, x.T @ (weight * (1 - p)))
    return np.concatenate([[0.0], theta])


def test_win_rates_are_those_of_the_exact_fit() -> None:
    x, score = votes()
    ranking = SimilarityRanking.fit(x, score, np.arange(len(x)))
    queries = unit(np.random.default_rng(4).normal(size=(40, 16)))
    spread = []
    for vector, found in zip(queries, ranking.ratings(queries), strict=True):
        rates = [1 / (1 + np.exp(r[None, :] - r[:, None])) for r in (found, exact(ranking, vector))]
        np.testing.assert_allclose(*rates, atol=1e-4)
        spread.append(rates[0][-1, 0])
    assert np.ptp(spread) > 0.05  # the query matters, far beyond the tolerance


def test_likeness_counts_where_it_tells() -> None:
    x, score = votes()
    ranking = SimilarityRanking.fit(x, score, np.arange(len(x)))
    assert ranking.sharpness > 2.3
    favours = np.zeros((2, 16), dtype=np.float32)
    favours[0, 0], favours[1, 0] = 1.0, -1.0
    for_strong, against = ranking.predict(favours)[:, -1]
    assert for_strong > against + 0.05


def test_a_battle_between_scores_is_won_by_their_difference() -> None:
    score = np.asarray([[1.0, 0.0], [1.0, 1.0], [0.75, 0.5], [np.nan, 1.0]])
    row, code, wins = battles(score, np.asarray([1, 0]), 2)
    first_wins = dict(zip(row[code == 2].tolist(), wins[code == 2].tolist(), strict=True))
    assert first_wins == {0: 1.0, 1: 0.5, 2: 0.625}
    assert dict(zip(row[code == 1].tolist(), wins[code == 1].tolist(), strict=True)) == {
        1: 0.5,
        2: 0.375,
    }


def test_ratings_are_the_log_odds_of_two() -> None:
    found = solve(np.asarray([[0.0, 1.0], [3.0, 0.0]]), np.zeros(2))
    assert found[1] - found[0] == pytest.approx(np.log(3.0))
    assert found.sum() == pytest.approx(0.0, abs=1e-9)


def test_tiers_part_ratings_where_the_gaps_are() -> None:
    rating = np.asarray([2.0, -1.0, 2.1, -1.2, 0.5])
    assert tiers(rating, 3).tolist() == [2, 0, 2, 0, 1]
    assert tiers(rating, 5).tolist() == [3, 1, 4, 0, 2]
    assert tiers(rating, 1).tolist() == [0] * 5


def test_a_model_that_never_lost_has_a_finite_rating() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    score = np.tile(np.asarray([1.0, 0.0]), (30, 1))
    quality = SimilarityRanking.fit(x, score, np.arange(30)).predict(x)
    assert np.isfinite(quality).all()
    assert (quality[:, 0] > 0.8).all()
