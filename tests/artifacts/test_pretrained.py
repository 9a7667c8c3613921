"""The artifacts that ship: they open with no network, know models by name, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from turnout.artifacts.opening import PRETRAINED, open_router
from turnout.routers.columns import normalise
from turnout.routers.trained import TrainedRouter
from turnout.types import Candidate, Query

NAMES = ("blend", "clusters", "knn", "linear", "mf", "sw_ranking")
MOST_BYTES = 16_000_000
EASY = ("Hi!", "What is the capital of France?", "Say good morning in Spanish.")
HARD = (
    "Let f be a continuous function on the reals with f(x + y) = f(x) + f(y). Determine all such "
    "functions, prove that each of them is linear, and show what changes if f is only measurable.",
    "A train leaves at 3 pm at 60 mph. Another leaves at 4 pm at 75 mph. Each stops twice per hour "
    "for 5 minutes. If both go the same way, when does the second one overtake the first? Find the "
    "distance from the station. Then solve it again, given that the first one stops three times.",
)
KNOWN = (
    "gpt-4",
    "openai/gpt-4o",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini-2024-07-18",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "gpt-4-1106-preview",
    "claude-3-5-sonnet-20241022",
    "anthropic/claude-3-haiku-20240307",
    "meta-llama/Meta-Llama-3.1-8B-Instruct",
    "gpt-3.5-turbo-0125",
)


@pytest.fixture(params=NAMES)
def router(request: pytest.FixtureRequest) -> TrainedRouter:
    opened = open_router(request.param)
    assert isinstance(opened, TrainedRouter)
    return opened


def pool(*names: str) -> list[Candidate]:
    return [Candidate(name=name) for name in names]


def test_a_shipped_router_predicts_qualities(router: TrainedRouter) -> None:
    texts = ("", "\ud800", "a", *EASY, *HARD, "word " * 20_000)
    queries = [Query.of(text) for text in texts]
    made = router.predict(queries, pool("gpt-4", "unheard-of", "gpt-3.5-turbo"))
    assert made.quality.shape == (len(texts), 3)
    assert np.isfinite(made.quality).all()
    assert made.quality.min() >= 0.0
    assert made.quality.max() <= 1.0
    alone = router.predict(queries[4:5], pool("gpt-4", "unheard-of", "gpt-3.5-turbo"))
    np.testing.assert_allclose(alone.quality[0], made.quality[4], atol=1e-6)


@pytest.mark.parametrize("name", KNOWN)
def test_names_that_users_write_are_on_the_ladder(name: str) -> None:
    for router_name in NAMES:
        router = open_router(router_name)
        assert isinstance(router, TrainedRouter)
        made = router.predict([Query.of("Hi")], pool(name))
        assert made.basis[0].startswith("measured outcomes of "), router_name


def test_ladder_keys_are_normal_names(router: TrainedRouter) -> None:
    ladder = router.columns.ladder
    assert ladder is not None
    assert len(ladder) > 150
    assert all(normalise(key) == key for key in ladder)
    assert all(0.0 <= place <= 5.0 for place in ladder.values())


def test_the_basis_tells_measured_from_prior(router: TrainedRouter) -> None:
    made = router.predict([Query.of("Hi")], pool("gpt-4o", "model-of-tomorrow"))
    assert made.basis[0] == "measured outcomes of gpt-4o"
    assert made.basis[1].startswith("prior: ")


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ("gpt-4", "gpt-3.5-turbo"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"),
        ("claude-3-5-sonnet-20241022", "claude-3-haiku-20240307"),
        ("claude-3-opus", "claude-3-haiku"),
        ("llama-3.1-405b-instruct", "llama-3.1-8b-instruct"),
        ("unknown-big", "unknown-small"),
    ],
)
def test_a_strong_model_is_never_expected_to_be_worse(
    router: TrainedRouter, strong: str, weak: str
) -> None:
    made = router.predict([Query.of(text) for text in (*EASY, *HARD)], pool(strong, weak))
    assert (made.quality[:, 0] >= made.quality[:, 1] - 1e-6).all()


@pytest.mark.parametrize("pair", [("gpt-4", "gpt-3.5-turbo"), ("gpt-4o", "gpt-4o-mini")])
def test_blend_asks_for_the_strong_model_on_hard_prompts(pair: tuple[str, str]) -> None:
    made = open_router("blend").predict([Query.of(t) for t in (*EASY, *HARD)], pool(*pair))
    rate = made.win_rate(*pair)
    assert rate[: len(EASY)].max() < rate[len(EASY) :].min()


def test_a_share_can_be_set_without_labels(router: TrainedRouter) -> None:
    candidates = pool("gpt-4", "gpt-3.5-turbo")
    for share in (0.1, 0.5, 0.9):
        threshold = router.threshold_for_share(candidates, share)
        called = float((router.reference_win_rates(candidates) >= threshold).mean())
        assert called == pytest.approx(share, abs=0.03)


def test_the_manifest_states_what_was_measured(router: TrainedRouter) -> None:
    manifest = json.loads((PRETRAINED / router.name / "manifest.json").read_text("utf-8"))
    assert manifest["router"] == router.name
    assert {"source", "fingerprint", "prompts", "groups", "outcomes"} <= manifest["data"].keys()
    assert {"command", "seed", "folds"} <= manifest["recipe"].keys()
    measured = manifest["measured"]
    assert measured["loso_apgr_random"] == 0.5
    assert 0.4 < measured["loso_apgr"] < 0.6
    assert measured["loso_apgr_prompt_length"] > 0.5
    assert measured["loso_squared_error_of_tier_means"] > 0


def test_the_card_names_data_licences_and_limits(router: TrainedRouter) -> None:
    card = (PRETRAINED / router.name / "card.md").read_text("utf-8")
    for word in ("MIT", "Apache-2.0", "no licence", "prompt length", "not good for"):
        assert word in card, word


def test_all_of_it_is_small() -> None:
    files = [file for file in Path(PRETRAINED).rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} == {*NAMES, "bert", "universal"}
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
