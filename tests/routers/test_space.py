"""The space of models: a planted vector is found, the prior holds where nothing was seen."""

from __future__ import annotations

import numpy as np
import pytest

from turnout.errors import InputError
from turnout.routers.arrays import sigmoid
from turnout.routers.space import ModelSpace, fit_vector

K = 4


def empty() -> ModelSpace:
    return ModelSpace(
        names=(),
        basis=(),
        vectors_=np.zeros((0, K), np.float32),
        spread_=np.zeros((0, K), np.float32),
        prior_mean_=np.arange(K, dtype=np.float32),
        prior_cov_=np.eye(K, dtype=np.float32) * 4,
        tokens_=np.zeros(0, np.float32),
        seen_=np.zeros(0, np.float32),
    )


def factors(n: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((n, K))
    x[:, 0] = 1.0
    return x


def test_a_planted_vector_is_found_within_its_own_spread() -> None:
    truth = np.asarray([0.5, -1.0, 2.0, 0.0])
    x = factors(4000)
    score = (np.random.default_rng(1).random(4000) < sigmoid(x @ truth)).astype(float)
    mean, cov = fit_vector(x, score, np.zeros(K), np.eye(K))
    assert (np.abs(mean - truth) < 4 * np.sqrt(np.diag(cov))).all()
    assert np.sqrt(np.diag(cov)).max() < 0.1


def test_more_outcomes_shrink_the_spread() -> None:
    x, score = factors(400), np.tile([0.0, 1.0], 200)
    wide = fit_vector(x[:20], score[:20], np.zeros(K), np.eye(K))[1]
    narrow = fit_vector(x, score, np.zeros(K), np.eye(K))[1]
    assert np.trace(narrow) < np.trace(wide) < K


def test_no_outcome_leaves_the_prior() -> None:
    prior = np.asarray([0.3, 0.1, -2.0, 0.0])
    mean, cov = fit_vector(np.zeros((0, K)), np.zeros(0), prior, 2 * np.eye(K))
    np.testing.assert_allclose(mean, prior, rtol=1e-6)
    np.testing.assert_allclose(cov, 2 * np.eye(K), rtol=1e-6)


def test_fractions_count_as_that_part_of_a_success() -> None:
    x, ones = np.ones((100, 1)), np.ones(100)
    half = fit_vector(x, 0.25 * ones, np.zeros(1), 1e4 * np.eye(1))[0]
    assert sigmoid(half)[0] == pytest.approx(0.25, abs=1e-3)


def test_an_offset_is_not_learned_again() -> None:
    x = np.ones((500, 1))
    score = np.full(500, 0.7)
    logit = np.log(0.7 / 0.3)
    mean, _ = fit_vector(x, score, np.zeros(1), np.eye(1), offset=np.full(500, logit))
    assert abs(mean[0]) < 1e-3


def test_a_far_prior_still_converges() -> None:
    x, score = factors(500), np.zeros(500)
    mean, cov = fit_vector(x, score, np.full(K, 20.0), 100 * np.eye(K))
    assert np.isfinite(mean).all()
    assert np.isfinite(cov).all()
    assert sigmoid(x @ mean).mean() < 0.05


@pytest.mark.parametrize("score", [[1.5], [-0.1], [np.nan]])
def test_a_score_outside_0_and_1_is_refused(score: list[float]) -> None:
    with pytest.raises(InputError, match="score"):
        fit_vector(np.ones((1, K)), np.asarray(score), np.zeros(K), np.eye(K))


def test_factors_of_another_space_are_refused() -> None:
    with pytest.raises(InputError, match="factors"):
        fit_vector(np.ones((3, K + 1)), np.ones(3), np.zeros(K), np.eye(K))


def test_a_model_is_added_and_replaced() -> None:
    space = empty().with_model("a", np.ones(K), np.eye(K), seen=3, tokens=1.0)
    space = space.with_model("b", np.zeros(K), np.full(K, 0.5), seen=0, basis="prior: none")
    again = space.with_model("a", np.full(K, 2.0), 4 * np.eye(K), seen=9)
    assert space.names == ("a", "b")
    assert space.basis == ("outcomes of a", "prior: none")
    assert set(again.names) == {"a", "b"}
    at = again.names.index("a")
    assert (again.vectors_[at] == 2.0).all()
    assert (again.spread_[at] == 2.0).all()
    assert again.seen_[at] == 9
    assert (space.vectors_[0] == 1.0).all(), "the old space is left as it was"


@pytest.mark.parametrize("mean", [np.ones(K + 1), np.full(K, np.nan)])
def test_a_vector_that_does_not_fit_is_refused(mean: np.ndarray) -> None:
    with pytest.raises(InputError, match="mean"):
        empty().with_model("a", mean, np.eye(K), seen=1)


def test_it_comes_back_from_its_arrays() -> None:
    space = empty().with_model("a", np.ones(K), np.eye(K), seen=3)
    back = ModelSpace.from_arrays(space.names, space.basis, space.arrays())
    assert back.names == space.names
    np.testing.assert_array_equal(back.vectors_, space.vectors_)
    with pytest.raises(ValueError, match="vectors_"):
        ModelSpace.from_arrays(("a", "b"), ("", ""), space.arrays())
