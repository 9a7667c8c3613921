from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.encoders.opening import open_encoder
from turnout.routers.columns import Columns
from turnout.routers.difficulty import Difficulty
from turnout.routers.ensemble import Blend
from turnout.types import Candidate

D, F = 8, 3


def made(seed: int = 0, centres: int = 4) -> Difficulty:
    rng = np.random.default_rng(seed)
    unit = rng.standard_normal((centres, D)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return Difficulty(
        coef_=rng.standard_normal(F).astype(np.float32),
        prior_=rng.standard_normal(F).astype(np.float32),
        bias_=0.1,
        centres_=unit,
        count_=rng.integers(1, 50, centres).astype(np.float32),
        total_=rng.standard_normal(centres).astype(np.float32),
        temperature=10.0,
        pseudo=5.0,
        level_=np.asarray([-1.0, 0.0, 1.5], dtype=np.float32),
        slope_=1.2,
    )


def rows(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, D + F)).astype(np.float32)


def test_a_stronger_tier_is_never_worse_and_a_harder_prompt_never_easier() -> None:
    head, x = made(), rows(50)
    quality = head.predict(x)
    assert quality.shape == (50, 3)
    assert ((quality >= 0) & (quality <= 1)).all()
    assert (np.diff(quality, axis=1) >= 0).all()
    by_difficulty = quality[np.argsort(head.difficulty(x))]
    assert (np.diff(by_difficulty, axis=0) <= 1e-6).all()


def test_far_from_every_centre_the_features_alone_decide() -> None:
    head, x = made(), rows(5)
    x[:, :D] = 0.0  # a text without known tokens
    plain = np.clip(x[:, D:], -3, 3) @ head.coef_ + head.bias_ + x[:, D:] @ head.prior_
    np.testing.assert_allclose(head.difficulty(x), plain, atol=0.01)


def test_a_head_returns_through_its_arrays_alone_and_in_a_blend() -> None:
    head, x = made(), rows(20)
    back = Difficulty.from_arrays(head.arrays())
    np.testing.assert_allclose(back.predict(x), head.predict(x), atol=1e-6)
    blend = Blend((head,), ("difficulty",), np.ones(1, dtype=np.float32))
    again = Blend.from_arrays(blend.arrays())
    np.testing.assert_allclose(again.predict(x), head.predict(x), atol=1e-6)


def test_each_row_is_its_own_and_none_gives_none() -> None:
    head, x = made(), rows(9)
    together = head.predict(x)
    for i in range(9):
        np.testing.assert_allclose(head.predict(x[i : i + 1])[0], together[i], atol=1e-5)
    assert head.predict(x[:0]).shape == (0, 3)


LADDER = Columns(
    names=("tier-1", "tier-2", "tier-3"),
    ladder={"small": 0.2, "medium": 1.0, "gpt-4": 1.8},
    strong_prior=1.5,
    weak_prior=0.5,
)


def named(*names: str) -> list[Candidate]:
    return [Candidate(name=name) for name in names]


@given(st.permutations(["small", "medium", "gpt-4", "never-heard-of"]))
def test_each_candidate_mixes_tiers_to_one(names: list[str]) -> None:
    weights, basis = LADDER.weights(named(*names))
    assert weights.shape == (3, 4)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-6)
    assert len(basis) == 4


def test_a_known_model_stands_at_its_place_whatever_its_date_and_vendor() -> None:
    plain, _ = LADDER.weights(named("gpt-4", "small"))
    for name in ("openai/gpt-4-0613", "GPT-4", "gpt-4-2024-08-06", "gpt_4-latest"):
        weights, basis = LADDER.weights(named(name, "small"))
        np.testing.assert_allclose(weights, plain)
        assert basis[0].startswith("measured outcomes of gpt-4")
    np.testing.assert_allclose(plain[:, 0], [0.0, 0.2, 0.8], atol=1e-6)


def test_an_unknown_model_takes_the_place_that_the_caller_gave_it() -> None:
    weights, basis = LADDER.weights(named("mine", "yours"))
    np.testing.assert_allclose(weights[:, 0], [0.0, 0.5, 0.5])
    np.testing.assert_allclose(weights[:, 1], [0.5, 0.5, 0.0])
    assert basis == (
        "prior: place 1 of 2 in the pool's order",
        "prior: place 2 of 2 in the pool's order",
    )


def test_of_two_the_callers_order_wins_over_the_ladder() -> None:
    weights, basis = LADDER.weights(named("small", "gpt-4"))
    assert weights[2, 0] > weights[2, 1]
    assert all(text.startswith("prior") for text in basis)


def test_on_a_ladder_a_stronger_tier_is_lifted_to_the_weaker_one() -> None:
    quality = np.asarray([[0.5, 0.4, 0.7]], dtype=np.float32)
    assert LADDER.ordered(quality).tolist() == [[0.5, 0.5, pytest.approx(0.7)]]
    free = Columns(names=("a", "b", "c"))
    assert free.ordered(quality) is quality


def test_rows_of_the_default_encoder_are_of_unit_length() -> None:
    """The head reads cosines of them."""
    vectors = open_encoder().encode(["What is the capital of France?", "def f(x): return x"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)
