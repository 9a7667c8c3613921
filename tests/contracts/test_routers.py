"""What every router keeps, whatever it learned. A new one gets its tests by adding a line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts
from turnout.artifacts.opening import open_router, trainable
from turnout.errors import UnknownNameError
from turnout.routers.base import Router
from turnout.types import Candidate, Prediction, Query

TRAINED = trainable()
ODD = {
    "empty": "",
    "blank": " \n\t ",
    "lone surrogates": "a \ud83d b \udcff",
    "NUL": "zero\0byte",
    "a megabyte": "lorem ipsum " * 87_000,
    "one long word": "x" * 100_000,
    "emoji": "👩‍👩‍👧‍👦🔥" * 20,
    "Arabic": "اكتب قصيدة قصيرة عن البحر والقمر",
    "marks": "?!…—{}[]();",
}


@pytest.fixture(params=["random", "rules", *TRAINED])
def router(request: pytest.FixtureRequest, artifacts: Path) -> Router:
    name = request.param
    if name in TRAINED:
        return open_router(name, artifact=artifacts / name)
    return open_router(name, options={"seed": 7} if name == "random" else None)


@pytest.fixture(params=TRAINED)
def trained(request: pytest.FixtureRequest, artifacts: Path) -> Router:
    return open_router(request.param, artifact=artifacts / request.param)


def ask(router: Router, texts: Sequence[str], m: int = 3) -> Prediction:
    return router.predict([Query.of(t) for t in texts], CANDIDATES[:m])


def test_it_is_a_router_under_its_own_name(router: Router) -> None:
    assert isinstance(router, Router)
    assert router.name in ("random", "rules", *TRAINED)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_quality_is_a_finite_number_from_0_to_1_for_each_query_and_candidate(
    router: Router, m: int
) -> None:
    found = ask(router, planted_prompts(9, seed=3), m)
    assert found.candidates == tuple(c.name for c in CANDIDATES[:m])
    assert found.quality.shape == (9, m)
    assert found.quality.dtype == np.float32
    assert np.isfinite(found.quality).all()
    assert found.quality.min() >= 0.0
    assert found.quality.max() <= 1.0
    assert len(found.basis) == m
    if found.output_tokens is not None:
        assert found.output_tokens.shape == (9, m)


def test_win_rates_are_finite_numbers_from_0_to_1(router: Router) -> None:
    rate = ask(router, planted_prompts(20, seed=3), 2).win_rate("large", "medium")
    assert rate.shape == (20,)
    assert ((rate >= 0) & (rate <= 1)).all()


def test_a_query_gets_the_same_row_whatever_stands_beside_it(router: Router) -> None:
    texts = [*planted_prompts(12, seed=4), *ODD.values()]
    together = ask(router, texts).quality
    for i, text in enumerate(texts):
        np.testing.assert_allclose(ask(router, [text]).quality[0], together[i], atol=1e-5)


def test_asking_again_gives_the_same_answer(router: Router) -> None:
    texts = planted_prompts(5, seed=5)
    first = ask(router, texts).quality.copy()
    ask(router, ["something else"])
    assert (ask(router, texts).quality == first).all()


def test_no_query_gives_no_row(router: Router) -> None:
    found = ask(router, [])
    assert found.quality.shape == (0, 3)
    assert found.win_rate("large", "small").shape == (0,)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_any_text_is_answered(router: Router, text: str) -> None:
    quality = ask(router, [text]).quality
    assert np.isfinite(quality).all()
    assert ((quality >= 0) & (quality <= 1)).all()


def test_check_passes_for_candidates_that_can_be_predicted(router: Router) -> None:
    router.check(CANDIDATES)
    router.check(CANDIDATES[:2])


def test_columns_follow_the_order_of_the_candidates(trained: Router) -> None:
    queries = [Query.of(t) for t in planted_prompts(8, seed=6)]
    plain = trained.predict(queries, CANDIDATES)
    turned = trained.predict(queries, CANDIDATES[::-1])
    assert turned.candidates == ("small", "medium", "large")
    np.testing.assert_allclose(turned.quality[:, ::-1], plain.quality, atol=1e-6)
    assert turned.basis[::-1] == plain.basis


def test_a_candidate_without_outcomes_is_refused_and_what_is_known_is_listed(
    trained: Router,
) -> None:
    stranger = Candidate(name="mediun")
    calls: list[Callable[[], object]] = [
        lambda: trained.check([CANDIDATES[0], stranger]),
        lambda: trained.predict([Query.of("hi")], [CANDIDATES[0], stranger]),
    ]
    for call in calls:
        with pytest.raises(UnknownNameError, match=r"large, medium, small.*Did you mean 'medium'"):
            call()


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(name="mine", known_as="medium"),
        Candidate(name="mine", upstream_model="medium"),
        Candidate(name="Vendor/MEDIUM"),
    ],
    ids=["known_as", "upstream model", "vendor and case"],
)
def test_a_candidate_is_found_under_its_other_names(trained: Router, candidate: Candidate) -> None:
    queries = [Query.of(t) for t in planted_prompts(3, seed=7)]
    expected = trained.predict(queries, CANDIDATES[1:2]).quality
    assert (trained.predict(queries, [candidate]).quality == expected).all()


def test_a_trained_router_tells_kinds_of_prompts_apart(trained: Router) -> None:
    quality = ask(trained, planted_prompts(40, seed=8)).quality
    medium = quality[:, 1].reshape(10, 4).mean(axis=0)
    assert medium[3] > medium[0] + 0.2  # greetings against proofs


def test_a_trained_router_is_not_edited_by_hand(trained: Router) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        trained.name = "other"  # type: ignore[misc]


def test_what_a_caller_does_with_a_prediction_changes_no_other(router: Router) -> None:
    texts = planted_prompts(4, seed=9)
    first = ask(router, texts)
    kept = first.quality.copy()
    first.quality[:] = 0.0
    assert (ask(router, texts).quality == kept).all()


def test_an_unseeded_coin_is_even_and_falls_afresh() -> None:
    coin = open_router("random")
    draws = ask(coin, ["the same"] * 2_000, 2).win_rate("large", "medium")
    assert len(set(draws.tolist())) > 1_900
    assert abs(float((draws >= 0.3).mean()) - 0.7) < 0.05
