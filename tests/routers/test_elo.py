"""Similarity-weighted strengths are those of the exact weighted logistic fit."""

from __future__ import annotations

import numpy as np
import pytest

from turnout.routers.elo import Battles, fit_strengths, weights

K = 6


def battles(n: int = 3000) -> Battles:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 16))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    a, b = rng.integers(0, K, n), rng.integers(0, K, n)
    first = rng.random(n) < 1 / (1 + np.exp(-(a - b) * (0.5 + 3.0 * x[:, 0])))
    tie = rng.random(n) < 0.2
    won, lost = np.where(first, a, b), np.where(first, b, a)
    return Battles.of(x.astype(np.float32), won, lost, tie, K)


def exact(known: Battles, vector: np.ndarray) -> np.ndarray:
    """Row by row, doubled as RouteLLM does, unpenalised, in 64 bits; tier 0 is the level."""
    cosine = known.vectors.astype(np.float64) @ vector
    weight = 10.0 ** (1.0 + cosine / cosine.max())
    tie, (a, b) = known.code >= K * K, np.divmod(known.code % (K * K), K)
    x = np.eye(K)[a] - np.eye(K)[b]
    x, weight = np.vstack([x, np.where(tie[:, None], -x, x)])[:, 1:], np.tile(weight, 2)
    theta = np.zeros(K - 1)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ theta))
        theta += np.linalg.solve((x.T * (weight * p * (1 - p))) @ x, x.T @ (weight * (1 - p)))
    return np.concatenate([[0.0], theta])


def test_win_rates_are_those_of_the_exact_fit() -> None:
    known, rng = battles(), np.random.default_rng(4)
    spread = []
    for _ in range(40):
        v = rng.normal(size=16)
        v /= np.linalg.norm(v)
        found, wanted = known.strengths(v.astype(np.float32)), exact(known, v)
        rates = [1 / (1 + np.exp(t[None, :] - t[:, None])) for t in (found, wanted)]
        np.testing.assert_allclose(*rates, atol=1e-3)
        spread.append(rates[0][K - 1, 0])
    assert np.ptp(spread) > 0.01  # the query matters, far beyond the tolerance


def test_a_tier_that_never_lost_has_a_finite_strength() -> None:
    found = fit_strengths(np.array([[0.0, 0.0], [5.0, 0.0]]), np.zeros(2))
    assert np.isfinite(found).all()
    assert found[1] - found[0] > 5.0


@pytest.mark.parametrize("cosine", [[-0.5, -0.1], [0.0, 0.0]])
def test_nothing_alike_weighs_all_alike(cosine: list[float]) -> None:
    assert weights(np.array(cosine, dtype=np.float32)).tolist() == [10.0, 10.0]
