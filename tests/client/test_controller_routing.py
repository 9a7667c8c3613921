"""Routing without sending: `route`, `decide`, win rates, counts, names; no key, no SDK."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from controller_fakes import EASY, HARD, STRONG, WEAK, Upstream, WordRouter

from turnout.client.controller import Controller, RoutingError
from turnout.errors import (
    InputError,
    NoCandidateError,
    RouteNameError,
    RouterError,
    TurnoutError,
    UnknownNameError,
)


@pytest.fixture
def client(word: WordRouter) -> Iterator[Controller]:
    with Controller({"word": word}, strong_model=STRONG, weak_model=WEAK) as client:
        yield client


def test_route_names_a_model_and_counts_nothing(client: Controller) -> None:
    assert client.route(prompt="a hard one", router="word", threshold=0.5) == STRONG
    assert client.route("an easy one", "word", 0.5) == WEAK
    assert client.route("an easy one", "word", 0.25) == STRONG  # a win rate at the threshold
    assert client.model_counts == {}


def test_decide_takes_a_prompt_or_messages(client: Controller) -> None:
    by_model = client.decide("a hard one", model="router-word-0.5")
    by_parts = client.decide(HARD, router="word", threshold=0.5)
    by_name = client.decide(prompt="a hard one", model=STRONG)
    assert [d.model for d in (by_model, by_parts, by_name)] == [STRONG] * 3
    assert (by_model.win_rate, by_name.win_rate) == (0.75, None)
    assert by_model.artifact == "fp_word"
    with pytest.raises(InputError, match="either messages or a prompt"):
        client.decide(model=STRONG)
    with pytest.raises(InputError) as caught:
        client.decide(EASY, prompt="my secret", model=STRONG)
    assert "secret" not in str(caught.value)


def test_what_a_request_needs_puts_candidates_out(word: WordRouter) -> None:
    models: dict[str, dict[str, Any]] = {
        STRONG: {"capabilities": ["tools"], "context_tokens": 100},
        WEAK: {"capabilities": []},
    }
    client = Controller({"word": word}, STRONG, WEAK, models=models)
    tools = [{"type": "function", "function": {"name": "f"}}]
    decision = client.decide(EASY, model="router-word-0.5", tools=tools)
    assert (decision.model, decision.code) == (STRONG, "only_candidate")
    assert decision.excluded == {WEAK: "cannot do tools"}
    with pytest.raises(NoCandidateError, match="does not hold"):
        client.decide(EASY, model="router-word-0.5", tools=tools, max_tokens=200)


@pytest.mark.parametrize(
    ("model", "kind", "says"),
    [
        ("gpt-4o", UnknownNameError, "known: gpt-3.5-turbo, gpt-4"),
        ("gpt-4-turbo", UnknownNameError, "Did you mean 'gpt-3.5-turbo'"),
        ("router-word", RouteNameError, "the threshold is missing"),
        ("router-word-nan", RouteNameError, "a decimal number from 0 to 1, not 'nan'"),
        ("router-word-1.5", RouteNameError, "a decimal number from 0 to 1, not '1.5'"),
        ("router-word-x", RouteNameError, "a decimal number"),
        ("router-zzz-0.5", UnknownNameError, "no router named 'zzz'; known: word"),
        ("", UnknownNameError, "no model named ''"),
        (7, RouteNameError, "routers here: word"),
    ],
)
def test_bad_names_say_what_exists(
    client: Controller, model: Any, kind: type[TurnoutError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        client.completion(model=model, messages=EASY)
    assert says in str(caught.value)
    with pytest.raises(RoutingError):  # RouteLLM's name still catches it
        client.decide(EASY, model=model)
    assert client.model_counts == {}


@pytest.mark.parametrize(
    ("router", "threshold"),
    [("word", None), (None, 0.5), (None, None), ("word", 1.5), ("word", float("nan")), ("zz", 0.5)],
)
def test_bad_router_and_threshold(
    client: Controller, router: str | None, threshold: float | None
) -> None:
    with pytest.raises(RoutingError):
        client.completion(router=router, threshold=threshold, messages=EASY)
    with pytest.raises(RoutingError):
        client.decide(EASY, router=router, threshold=threshold)


def test_win_rates_of_any_sequence(client: Controller) -> None:
    prompts = ["hard", "easy", "hard"]
    for given in (prompts, tuple(prompts), np.array(prompts), np.array(prompts, dtype=object)):
        rates = client.batch_calculate_win_rate(given, "word")
        assert isinstance(rates, np.ndarray)
        assert (rates.dtype, rates.tolist()) == (np.float64, [0.75, 0.25, 0.75])
    assert client.batch_calculate_win_rate([], router="word").shape == (0,)


class Series:
    """What is looked at of a pandas Series: its values, its index and its constructor."""

    def __init__(self, data: Sequence[Any], index: Sequence[Any]) -> None:
        self.data, self.index = data, index

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)


def test_win_rates_of_a_series_are_a_series_with_its_index(client: Controller) -> None:
    rates = client.batch_calculate_win_rate(Series(["hard", "easy"], [10, 20]), router="word")
    assert isinstance(rates, Series)
    assert (list(rates), rates.index) == ([0.75, 0.25], [10, 20])


def test_win_rates_of_a_pandas_series(client: Controller) -> None:
    pandas = pytest.importorskip("pandas")
    rates = client.batch_calculate_win_rate(pandas.Series(["hard", "easy"], index=[10, 20]), "word")
    assert isinstance(rates, pandas.Series)
    assert rates.to_dict() == {10: 0.75, 20: 0.25}


def test_win_rates_have_no_default(client: Controller) -> None:
    with pytest.raises(RouterError, match="the encoder is gone"):
        client.batch_calculate_win_rate(["broken"], "word")
    with pytest.raises(UnknownNameError, match="known: word"):
        client.batch_calculate_win_rate(["x"], "zzz")
    with pytest.raises(InputError, match="a list of prompts"):
        client.batch_calculate_win_rate("one prompt", "word")
    with pytest.raises(InputError, match=r"prompts\[1\]: null"):
        client.batch_calculate_win_rate(["x", None], "word")


def test_the_model_pair_is_routellms(client: Controller) -> None:
    assert (client.model_pair.strong, client.model_pair.weak) == (STRONG, WEAK)


def test_counts_are_right_under_threads(upstream: Upstream, word: WordRouter) -> None:
    calls, threads = 10, 8
    with Controller({"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k") as client:

        def work() -> None:
            for i in range(calls):
                client.completion(model="router-word-0.5", messages=HARD if i % 2 else EASY)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert client.model_counts == {"word": {STRONG: 40, WEAK: 40}}
    assert client.model_counts["word"]["other"] == 0
    assert len(upstream.bodies) == calls * threads


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={}
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_turnout_is_light() -> None:
    assert not _modules_after("import turnout") & {"numpy", "openai", "pandas", "pydantic"}


def test_building_and_routing_import_neither_sdk_nor_pandas() -> None:
    build = """
from turnout import Controller
client = Controller(["random"], "gpt-4", "gpt-3.5-turbo")
"""
    heavy = {"openai", "pandas", "httpx2", "pydantic", "genai_prices"}
    assert not _modules_after(build) & heavy
    route = build + 'client.route("hi", "random", 0.5)'
    assert not _modules_after(route) & {"openai", "pandas"}
