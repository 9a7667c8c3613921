"""What the arguments of `Controller` mean, and what is refused when it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controller_fakes import EASY, HARD, STRONG, WEAK, Upstream, WordRouter

from turnout.client.controller import Controller
from turnout.client.replies import decision_of
from turnout.errors import SettingsError, TurnoutError, UnknownNameError
from turnout.routers.reference import Reference
from turnout.types import Candidate, Pool, Price

THREE: dict[str, dict[str, Any]] = {
    "large": {"price": (10, 30)},
    "medium": {"price": (1, 3)},
    "small": {"price": (0.1, 0.3)},
}


@dataclass(frozen=True)
class RememberingRouter(WordRouter):
    """A router with outcomes: a larger model is better by as much on every prompt."""

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        scores = np.tile(np.array([0.9, 0.7, 0.2], np.float32), (4, 1))
        tokens = np.full((4, 3), 100, np.float32)
        return Reference(
            predicted=scores,
            score=scores,
            input_tokens=tokens[:, 0],
            output_tokens=tokens,
            cost_usd=np.full((4, 3), np.nan, np.float32),
        )


def test_three_models_strongest_first(upstream: Upstream) -> None:
    with Controller(
        {"best": RememberingRouter()}, models=THREE, api_base=upstream.url, api_key="k"
    ) as client:
        replies = [
            client.completion(model=f"router-best-{t}", messages=EASY) for t in ("0", "0.8", "1.0")
        ]
        assert client.model_pair == ("large", "small")
    assert [r.model for r in replies] == ["large", "medium", "small"]
    assert decision_of(replies[0]).policy == "hull"
    assert set(decision_of(replies[0]).expected_cost_usd) == set(THREE)


def test_three_models_without_operating_points(word: WordRouter) -> None:
    client = Controller({"word": word}, models=THREE)
    assert client.route("hard", "word", 0) == "large"
    assert client.route("hard", "word", 1) == "small"
    assert client.decide(HARD, model="router-word-0.9").policy == "within_price"


def test_three_models_need_prices(word: WordRouter) -> None:
    with pytest.raises(SettingsError, match=r"'my-own'.*give models=.*'price'"):
        Controller({"word": word}, models={**THREE, "my-own": {}})
    listed = Controller(
        {"word": word}, models={"gpt-4o": {}, "gpt-4o-mini": {}, "my": THREE["small"]}
    )
    assert listed.engine.pool["gpt-4o"].price


def test_costs_recorded_with_outcomes_stand_for_prices() -> None:
    class Recorded(RememberingRouter):
        def reference(self, candidates: Sequence[Candidate]) -> Reference:
            costs = np.tile(np.array([0.03, 0.02, 0.01], np.float32), (4, 1))
            return replace(super().reference(candidates), cost_usd=costs)

    own = {"large": {}, "medium": {}, "small": {}}
    client = Controller({"word": Recorded()}, models=own)
    assert client.route(HARD, "word", 1.0) == "small"
    with pytest.raises(SettingsError, match="no list price is known"):
        Controller({"word": RememberingRouter()}, models=own)


def test_a_pool_is_taken_as_it_is(upstream: Upstream, word: WordRouter) -> None:
    price = Price.per_million(1, 2)
    pool = Pool(
        candidates=(Candidate(name="a", price=price), Candidate(name="b", upstream_model="b-1")),
        default="b",
    )
    models = {"b": {"base_url": upstream.url}}
    with Controller({"word": word}, pool=pool, models=models) as client:
        reply = client.completion(
            model="router-word-0.5", messages=[{"role": "user", "content": "broken"}]
        )
        assert client.engine.pool["a"].price is price
    assert (reply.model, decision_of(reply).model) == ("b-1", "b")
    assert decision_of(reply).fallback
    with pytest.raises(SettingsError, match="beside pool="):
        Controller({"word": word}, STRONG, WEAK, pool=pool)
    with pytest.raises(SettingsError, match=r"models\['b'\]: 'price'.*in the pool"):
        Controller({"word": word}, pool=pool, models={"b": {"price": (1, 2)}})


def test_a_price_that_is_unknown_stays_unknown(word: WordRouter) -> None:
    client = Controller({"word": word}, STRONG, "my-own")
    costs = client.decide(EASY, model="router-word-0.5").expected_cost_usd
    assert costs["my-own"] is None
    assert costs[STRONG]


def test_the_list_knows_windows(word: WordRouter) -> None:
    client = Controller({"word": word}, STRONG, "gpt-4o", models={"gpt-4o": {"context_tokens": 9}})
    windows = [c.context_tokens for c in client.engine.pool.candidates]
    assert windows == [8192, 9]


def test_an_upstreams_name_finds_the_price(word: WordRouter) -> None:
    client = Controller({"word": word}, "best", WEAK, models={"best": {"model": "gpt-4"}})
    price = client.engine.pool["best"].price
    assert price is not None
    assert (price.input_picousd, price.output_picousd) == (30_000_000, 60_000_000)


def test_a_router_is_asked_whether_it_knows_the_models() -> None:
    router = WordRouter(knows=("gpt-4", "mixtral"))
    with pytest.raises(UnknownNameError, match=r"no model named 'gpt-3\.5-turbo'"):
        Controller({"word": router}, STRONG, WEAK)
    Controller({"word": router}, STRONG, WEAK, models={WEAK: {"known_as": "mixtral"}})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "give strong_model and weak_model"),
        ({"strong_model": STRONG}, "give strong_model and weak_model"),
        ({"strong_model": STRONG, "weak_model": STRONG}, "two different models"),
        ({"models": {"a": {"base-url": "x"}, "b": {}}}, "Did you mean 'base_url'?"),
        ({"models": {"a": {"price": "cheap"}, "b": {}}}, "price of a: 'cheap'"),
        ({"models": {"a": {"capabilities": "vision"}, "b": {}}}, "give a list of: tools"),
        ({"models": {"a": {"capabilities": ["sight"]}, "b": {}}}, "capabilities of a: 'sight'"),
        ({"models": {"a": {"price": (1, -1)}, "b": {}}}, "USD per million"),
        ({"models": {"a": {"price": (1, float("nan"))}, "b": {}}}, "USD per million"),
        (
            {"strong_model": STRONG, "weak_model": WEAK, "models": {"gpt4": {}}},
            "candidates, which are gpt-4, gpt-3.5-turbo",
        ),
    ],
)
def test_arguments_that_cannot_be_used(
    word: WordRouter, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Controller({"word": word}, **arguments)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("routers", "says"), [("mf", "such as ['mf']"), ([], "at least one router"), ({}, "at least")]
)
def test_routers_that_cannot_be_used(routers: Any, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Controller(routers, STRONG, WEAK)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"checkpoint_path": "routellm/mf_gpt4_augmented"}, {"arena_battle_datasets": ["lmsys/x"]}],
)
def test_routellms_own_options_say_what_to_give_instead(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"give 'artifact': a folder made by `turnout train`"):
        Controller(["mf"], STRONG, WEAK, config={"mf": options})


def test_options_of_routers_that_are_not_opened_are_left_alone() -> None:
    config = {"bert": {"checkpoint_path": "routellm/bert_gpt4_augmented"}, "random": {"seed": 3}}
    one = Controller(["random"], STRONG, WEAK, config, None, None, False)
    two = Controller(["random"], STRONG, WEAK, config, progress_bar=True)
    prompts = [f"prompt {i}" for i in range(50)]
    rates = [c.batch_calculate_win_rate(prompts, "random") for c in (one, two)]
    assert (rates[0] == rates[1]).all()


def test_a_file_of_rules(tmp_path: Path) -> None:
    with pytest.raises(TurnoutError):
        Controller(["rules"], STRONG, WEAK, config={"rules": {"file": tmp_path / "absent.yaml"}})


def test_a_router_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="sw_rankings"):
        Controller(["sw_rankings"], STRONG, WEAK)


def test_keys_are_not_shown(word: WordRouter) -> None:
    models = {WEAK: {"base_url": "http://127.0.0.1:9/v1", "api_key": "sk-weak"}}
    client = Controller({"word": word}, STRONG, WEAK, api_key="sk-all", models=models)
    upstreams = client.chat.completions._targets.upstreams
    assert "sk-" not in repr(upstreams)
