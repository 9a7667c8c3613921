"""A judge over a real socket: shapes of several servers, and every way it can fail."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.responses import Response
from starlette.testclient import TestClient

from json_fakes import (
    Answer,
    endpoint,
    legacy,
    llama_chat,
    openai_chat,
    slow,
    text_answer,
    vllm_chat,
)
from turnout.artifacts.opening import open_router
from turnout.engine import Engine
from turnout.errors import InputError, RouterError, SettingsError
from turnout.gateway.app import create_app
from turnout.names import RouteSpec
from turnout.routers.causal_llm import CausalLlmRouter, open_causal_llm
from turnout.routers.judging import read_prompt, win_rate
from turnout.settings import parse_settings
from turnout.types import Candidate, Decision, Pool, Query

POOL = Pool(candidates=(Candidate(name="big"), Candidate(name="small")), default="big")
SECRET = "sk-secret-1234"
PROMPT = "a prompt that must not leak"
FIVE = {"1": 0.1, "2": 0.1, "3": 0.2, "4": 0.4, "5": 0.2}
GOOD = openai_chat(FIVE)


def decide(router: CausalLlmRouter, text: str = PROMPT) -> Decision:
    engine = Engine(
        POOL,
        {"causal_llm": router, "rules": open_router("rules")},
        fallbacks={"causal_llm": RouteSpec("rules", 0.5)},
    )
    return engine.decide(Query.of(text), RouteSpec("causal_llm", 0.5))


def rate(router: CausalLlmRouter, text: str, m: int = 2) -> list[float]:
    candidates = [Candidate(name=str(i)) for i in range(m)]
    found: list[float] = router.predict([Query.of(text)], candidates).quality[0].tolist()
    return found


@pytest.mark.parametrize("shape", [openai_chat, llama_chat, vllm_chat, legacy])
def test_the_win_rate_is_one_minus_the_good_labels_share(shape: Any) -> None:
    prompt = read_prompt("five", None)
    assert win_rate(shape(FIVE), prompt) == pytest.approx(0.4)
    # Of the labels alone: half of the mass is on other tokens.
    halved = {**{t: p / 2 for t, p in FIVE.items()}, "The": 0.5}
    assert win_rate(shape(halved), prompt) == pytest.approx(0.4)


@pytest.mark.parametrize("shape", [openai_chat, vllm_chat, llama_chat, legacy])
def test_labels_are_read_through_case_blanks_and_token_marks(shape: Any) -> None:
    prompt = read_prompt("two", None)
    tokens = {" Yes": 0.3, "yes": 0.2, "▁no": 0.1, "Ġ\nNO": 0.1, "Maybe": 0.3}
    assert win_rate(shape(tokens), prompt) == pytest.approx(1 - 0.5 / 0.7)
    special = {f"[[{label}]]": p for label, p in FIVE.items()}
    assert win_rate(shape(special), read_prompt("five", None)) == pytest.approx(0.4)


def test_a_label_that_is_not_listed_gets_at_most_the_mass_that_is_left() -> None:
    prompt = read_prompt("two", None)
    assert win_rate(openai_chat({"yes": 1.0}), prompt) == pytest.approx(0.0)
    assert win_rate(openai_chat({"yes": 0.9}), prompt) == pytest.approx(0.1)
    found = win_rate(openai_chat({"yes": 0.5, "x": 0.05}), prompt)
    assert found == pytest.approx(0.05 / 0.55)


def _replaced(**changes: Any) -> dict[str, Any]:
    choice = {**GOOD["choices"][0], **changes}
    return {"choices": [choice]}


def _logprob(value: Any) -> dict[str, Any]:
    place = {"token": "4", "logprob": value, "top_logprobs": [{"token": "4", "logprob": value}]}
    return _replaced(logprobs={"content": [place]})


FAULTS: dict[str, tuple[Answer, str]] = {
    "null": (lambda _: _replaced(logprobs=None), "gave no log-probabilities"),
    "absent": (lambda _: {"choices": [{"message": {}}]}, "known shape"),
    "no labels": (lambda _: openai_chat({"I": 0.9, "The": 0.1}), "no label"),
    "faint labels": (lambda _: openai_chat({"I": 0.99, "4": 0.001}), "no label"),
    "blank": (lambda _: openai_chat({"\n": 1.0}), "no token"),
    "empty top": (
        lambda _: _replaced(
            logprobs={"content": [{"token": "4", "logprob": 0, "top_logprobs": []}]}
        ),
        "likely tokens",
    ),
    "no content": (lambda _: _replaced(logprobs={"content": []}), "no token"),
    "NaN": (lambda _: _logprob(float("nan")), "cannot be one"),
    "above one": (lambda _: _logprob(2.0), "cannot be one"),
    "text": (lambda _: _logprob("-0.1"), "not a number"),
    "HTML": (text_answer(f"<html>{SECRET} {PROMPT}</html>"), "with JSON"),
    "cut JSON": (text_answer(json.dumps(GOOD)[:80]), "with JSON"),
    "a list": (lambda _: [1, 2], "known shape"),
    "a number": (lambda _: 7, "known shape"),
    "500": (text_answer(f"{SECRET} {PROMPT}", 500), "status 500"),
    "401": (text_answer(f"{SECRET} {PROMPT}", 401), "status 401"),
    "redirect": (
        lambda _: Response(status_code=302, headers={"location": "http://10.0.0.1/"}),
        "status 302",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_judge_that_lies_or_fails_leaves_the_choice_to_the_fallback(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    answer, why = FAULTS[fault]
    with endpoint(answer) as (url, script):
        router = open_causal_llm(url, "j", api_key_env="JUDGE_KEY")
        decision = decide(router)
        assert script.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert decision.fallback
    assert decision.router == "rules"
    assert why in decision.notes[-1]
    for text in (str(decision.to_dict()), caplog.text, repr(router), str(vars(router))):
        assert SECRET not in text
        assert PROMPT not in text


@pytest.mark.parametrize("drips", [False, True])
def test_a_slow_judge_is_given_up_at_the_deadline(drips: bool) -> None:
    from starlette.responses import StreamingResponse

    async def drops() -> Any:
        import asyncio

        for _ in range(12):
            yield b" "
            await asyncio.sleep(0.1)

    answer = (lambda _: StreamingResponse(drops())) if drips else slow(lambda _: GOOD, 1.2)
    with endpoint(answer) as (url, _):
        router = open_causal_llm(url, "j", timeout_s=0.3)
        started = time.monotonic()
        decision = decide(router)
        assert time.monotonic() - started < 0.8
    assert decision.fallback
    assert "within 0.3 s" in decision.notes[-1]


def test_a_judge_that_is_gone_leaves_the_choice_to_the_fallback() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    decision = decide(open_causal_llm(f"http://127.0.0.1:{port}/v1", "j"))
    assert decision.fallback
    assert "could not be reached" in decision.notes[-1]


def test_a_good_judge_decides_and_says_who_it_is() -> None:
    with endpoint(lambda _: GOOD) as (url, script):
        router = open_causal_llm(url, "j", extra_body={"seed": 3})
        decision = decide(router, "2 {question} {} %s")
        assert rate(router, "x", m=3) == pytest.approx([1.0, 0.8, 0.6])
    assert (decision.model, decision.router, decision.fallback) == ("small", "causal_llm", False)
    assert decision.win_rate == pytest.approx(0.4)
    assert decision.basis["small"] == "judge j (five-1)"
    body = script.bodies[0]
    assert script.paths[0] == "/v1/chat/completions"
    assert (body["logprobs"], body["top_logprobs"], body["seed"]) == (True, 20, 3)
    assert "2 {question} {} %s\n" in body["messages"][1]["content"]
    assert "authorization" not in script.headers[0]


def test_answers_are_cached_within_bounds_and_spend_is_counted() -> None:
    with endpoint(lambda _: GOOD) as (url, script):
        router = open_causal_llm(url, "j", cache=2)
        queries = [Query.of(t) for t in ("a", "b", "a", "b")]
        router.predict(queries, POOL.candidates)
        router.predict(queries, POOL.candidates)
        assert (router.spend.calls, router.spend.cached) == (2, 2)
        assert (router.spend.input_tokens, router.spend.output_tokens) == (180, 2)
        rate(router, "c")
        rate(router, "a")
        assert len(script.bodies) == 4
        assert router.predict([], POOL.candidates).quality.shape == (0, 2)


def test_what_was_paid_for_is_kept_where_another_query_fails() -> None:
    def answer(body: Mapping[str, Any]) -> Any:
        bad = "BAD" in body["messages"][1]["content"]
        return Response("no", status_code=500) if bad else GOOD

    with endpoint(answer) as (url, script):
        router = open_causal_llm(url, "j")
        with pytest.raises(RouterError, match="500"):
            router.predict([Query.of("fine"), Query.of("BAD")], POOL.candidates)
        assert rate(router, "fine") == pytest.approx([1.0, 0.6])
        assert len(script.bodies) == 2


def test_long_and_odd_texts_are_cut_and_sent() -> None:
    with endpoint(lambda _: GOOD) as (url, script):
        router = open_causal_llm(url, "j", max_characters=400)
        for text in ("", "a \ud83d b", "x" * 100_000 + "END", "zero\0byte"):
            assert rate(router, text) == pytest.approx([1.0, 0.6])
    assert max(len(b["messages"][1]["content"]) for b in script.bodies) < 600
    assert "END" in script.bodies[2]["messages"][1]["content"]


def test_legacy_completions() -> None:
    with endpoint(lambda _: legacy(FIVE)) as (url, script):
        router = open_causal_llm(url, "j", api="completions", top_logprobs=5)
        assert rate(router, "x") == pytest.approx([1.0, 0.6])
    assert script.paths == ["/v1/completions"]
    assert script.bodies[0]["logprobs"] == 5
    assert "[Question]\nx\n" in script.bodies[0]["prompt"]


def test_a_check_at_opening_asks_the_judge_and_no_other_opening_does() -> None:
    with endpoint(lambda _: _replaced(logprobs=None)) as (url, script):
        open_causal_llm(url, "j")
        assert not script.bodies
        with pytest.raises(SettingsError, match=r"log-probabilities.*leave `check` out"):
            open_causal_llm(url, "j", check=True)


URL = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "base_url"),
        ({"base_url": URL}, "model"),
        ({"base_url": "ftp://x", "model": "j"}, "base_url"),
        ({"base_url": f"http://me:{SECRET}@h/v1", "model": "j"}, "api_key_env"),
        ({"base_url": URL, "model": "j", "api_key_env": "NOT_SET"}, "environment variable"),
        ({"base_url": URL, "model": "j", "scheme": "six"}, "five, two"),
        ({"base_url": URL, "model": "j", "api": "grpc"}, "chat, completions"),
        ({"base_url": URL, "model": "j", "timeout_s": 0}, "timeout_s"),
        ({"base_url": URL, "model": "j", "top_logprobs": True}, "top_logprobs"),
        ({"base_url": URL, "model": "j", "file": "/no/such.yaml"}, "cannot read"),
        ({"base_url": URL, "modle": "j"}, "Did you mean 'model'"),
    ],
)
def test_bad_options_are_refused_when_opened(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_router("causal_llm", options=options)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": "no place"}, "exactly once"),
        ({"labels": {"yes": "yes"}}, "token texts"),
        ({"labels": {"yes": ["a"], "no": [" A"]}}, "differ"),
        ({"good": ["yes", "no"]}, "not all"),
        ({"more": 1}, "give exactly"),
    ],
)
def test_a_bad_prompt_file_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    stated = {
        "version": "mine",
        "system": "s",
        "user": "{question}",
        "labels": {"yes": ["yes"], "no": ["no"]},
        "good": ["yes"],
    }
    file = tmp_path / "judge.yaml"
    file.write_text(json.dumps(stated), encoding="utf-8")
    assert read_prompt("two", file).labels == {"yes", "no"}
    file.write_text(json.dumps({**stated, **change}), encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        read_prompt("two", file)


def test_the_configuration_of_the_guide_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "causal-llm.md"
    block = guide.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    options = yaml.safe_load(block)["routers"]["causal_llm"]
    assert options.pop("fallback") == "router-rules-0.5"
    monkeypatch.setenv(options["api_key_env"], SECRET)
    assert open_router("causal_llm", options=options).name == "causal_llm"


def test_what_the_judge_cost_stands_in_the_decision_and_in_readyz() -> None:
    with endpoint(lambda _: GOOD) as (url, _):
        router = open_causal_llm(url, "j")
        decide(router)
        told = decide(router, "another prompt")
        assert told.notes == (
            "judge j: 2 calls so far, 0 answers from the cache, 180 tokens in, 2 out",
        )
        engine = Engine(POOL, {"causal_llm": router})
        settings = parse_settings(
            "providers: {up: {base_url: 'http://127.0.0.1:9/v1'}}\n"
            "candidates: [{name: big}, {name: small}]\nrouters: {causal_llm: }\n",
            {},
        )
        with TestClient(create_app(settings, engine=engine)) as client:
            ready = client.get("/readyz").json()
    spent = {"calls": 2, "cached": 0, "input_tokens": 180, "output_tokens": 2}
    assert ready["judges"] == {"causal_llm": spent}
