"""Calls through a `Controller`: what is sent, what comes back, and the decision that it carries."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from controller_fakes import EASY, ERROR, HARD, STRONG, WEAK, Upstream, WordRouter
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from turnout.client.controller import Controller
from turnout.client.replies import decision_of
from turnout.errors import InputError, SettingsError, UnknownNameError
from turnout.providers.fake import Fault, completion

ROUTE = "router-word-0.5"
STRONG_SAYS = "[simulated answer of gpt-4] You said: a hard question"
WEAK_SAYS = "[simulated answer of gpt-3.5-turbo] You said: an easy question"
JSON = {"content-type": "application/json"}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


class Weather(BaseModel):
    city: str
    celsius: int


@pytest.fixture
def client(upstream: Upstream, word: WordRouter) -> Iterator[Controller]:
    with Controller({"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k1") as client:
        yield client


def test_a_hard_question_goes_to_the_strong_model(client: Controller, upstream: Upstream) -> None:
    reply = client.chat.completions.create(model=ROUTE, messages=HARD)
    assert type(reply) is ChatCompletion
    assert reply.choices[0].message.content == STRONG_SAYS
    assert upstream.bodies == [{"model": STRONG, "messages": HARD}]
    assert upstream.headers[0]["authorization"] == "Bearer k1"


def test_the_reply_carries_the_decision(client: Controller) -> None:
    reply = client.completion(model=ROUTE, messages=EASY)
    decision = decision_of(reply)
    assert reply.turnout is decision  # type: ignore[attr-defined]
    assert (decision.model, decision.win_rate, decision.threshold) == (WEAK, 0.25, 0.5)
    assert decision.reason == "gpt-4 wins over gpt-3.5-turbo at a rate of 0.250 only, below 0.5"
    costs = decision.expected_cost_usd
    assert costs[STRONG] > costs[WEAK] > 0  # type: ignore[operator]


def test_the_decision_is_not_in_the_replys_json(client: Controller, upstream: Upstream) -> None:
    unknown = {**completion({"model": WEAK, "messages": EASY}), "x_new_field": {"kept": True}}
    upstream.app.script.append(Fault(body=json.dumps(unknown).encode(), headers=JSON))
    reply = client.completion(model=ROUTE, messages=EASY)
    assert "turnout" not in reply.model_dump()
    assert "turnout" not in json.loads(reply.to_json())
    assert "turnout" not in json.loads(reply.model_dump_json())
    assert reply.model_dump()["x_new_field"] == {"kept": True}
    assert decision_of(reply.model_copy()) == decision_of(reply)
    with pytest.raises(InputError, match="a Controller returned"):
        decision_of(ChatCompletion.model_validate(reply.model_dump()))


def test_router_and_threshold_stand_in_for_a_model(client: Controller) -> None:
    assert client.completion(router="word", threshold=0.2, messages=EASY).model == STRONG
    assert client.completion(router="word", threshold=0.8, messages=HARD).model == WEAK


def test_a_model_goes_before_router_and_threshold(client: Controller) -> None:
    reply = client.completion(model=ROUTE, router="word", threshold=0.0, messages=EASY)
    assert reply.model == WEAK


def test_a_candidates_own_name_is_not_routed(client: Controller) -> None:
    reply = client.chat.completions.create(model=STRONG, messages=EASY)
    assert (reply.model, decision_of(reply).code) == (STRONG, "asked_for_by_name")
    assert decision_of(reply).expected_cost_usd[STRONG]
    assert client.model_counts == {}


def test_other_arguments_pass_as_they_are_and_none_are_added(
    client: Controller, upstream: Upstream
) -> None:
    given: dict[str, Any] = {
        "messages": EASY,
        "temperature": 0.3,
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
        "seed": 7,
        "logit_bias": {"50256": -100},
    }
    client.completion(
        model=ROUTE, **given, extra_body={"top_k": 4}, extra_headers={"x-tenant": "t1"}
    )
    assert upstream.bodies == [{**given, "model": WEAK, "top_k": 4}]
    assert upstream.headers[0]["x-tenant"] == "t1"


def test_not_given_arguments_are_as_absent(client: Controller, upstream: Upstream) -> None:
    client.completion(model=ROUTE, messages=EASY, tools=openai.omit, stop=openai.NOT_GIVEN)
    assert upstream.bodies == [{"model": WEAK, "messages": EASY}]


def test_a_stream_has_its_decision_before_the_first_chunk(client: Controller) -> None:
    with client.chat.completions.create(model=ROUTE, messages=HARD, stream=True) as stream:
        assert isinstance(stream, openai.Stream)
        assert decision_of(stream).model == STRONG
        chunks = list(stream)
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == STRONG_SAYS


def test_tools_and_a_second_turn_with_the_replys_own_message(
    client: Controller, upstream: Upstream
) -> None:
    first = client.completion(model=ROUTE, messages=HARD, tools=[TOOL], tool_choice="required")
    asked = first.choices[0].message
    assert asked.tool_calls is not None
    answer = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "4 degrees"}
    second = client.completion(model=ROUTE, messages=[*HARD, asked, answer], tools=[TOOL])
    assert decision_of(second).model == STRONG  # the user's text, not the tool's
    assert upstream.bodies[0]["tool_choice"] == "required"
    assert upstream.bodies[1]["messages"][1]["tool_calls"][0]["id"] == asked.tool_calls[0].id
    assert upstream.bodies[1]["tools"] == [TOOL]


def test_messages_may_be_an_iterator(client: Controller, upstream: Upstream) -> None:
    client.completion(model=ROUTE, messages=iter(HARD))
    assert upstream.bodies == [{"model": STRONG, "messages": HARD}]


def test_structured_output(client: Controller, upstream: Upstream) -> None:
    schema = {"name": "weather", "schema": {"type": "object"}}
    form = {"type": "json_schema", "json_schema": schema}
    client.completion(model=ROUTE, messages=EASY, response_format=form)
    assert upstream.bodies[0]["response_format"] == form


def test_parse_gives_objects(client: Controller) -> None:
    reply = client.chat.completions.parse(model=ROUTE, messages=EASY, response_format=Weather)
    assert reply.choices[0].message.parsed == Weather(city="[simulated]", celsius=0)
    assert decision_of(reply).model == WEAK


def test_a_stream_of_events(client: Controller) -> None:
    with client.chat.completions.stream(model=ROUTE, messages=EASY) as events:
        assert decision_of(events).model == WEAK
        deltas = [e.delta for e in events if e.type == "content.delta"]
        assert "".join(deltas) == WEAK_SAYS
        assert events.get_final_completion().choices[0].message.content == "".join(deltas)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_upstream_errors_are_the_sdks_own(
    upstream: Upstream,
    word: WordRouter,
    status: int,
    kind: type[openai.APIStatusError],
    stream: bool,
) -> None:
    upstream.fails(status)
    with (
        Controller(
            {"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k", max_retries=0
        ) as client,
        pytest.raises(kind) as caught,
    ):
        client.completion(model=ROUTE, messages=EASY, stream=stream)
    error = caught.value
    assert (error.status_code, error.code, error.request_id) == (status, "scripted", "req_1")
    assert error.response.headers["retry-after"] == "7"
    assert error.body == ERROR
    assert decision_of(error).model == WEAK
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert len(upstream.bodies) == 1


def test_an_error_in_mid_stream_is_the_sdks_own(client: Controller, upstream: Upstream) -> None:
    upstream.app.script.append(Fault(error_after=2))
    stream = client.completion(model=ROUTE, messages=HARD, stream=True)
    with pytest.raises(openai.APIError, match="scripted: an error in mid-stream"):
        list(stream)
    assert decision_of(stream).model == STRONG


def test_an_upstream_that_is_not_there(word: WordRouter) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    with (
        Controller(
            {"word": word}, STRONG, WEAK, api_base=nowhere, api_key="k", max_retries=0
        ) as client,
        pytest.raises(openai.APIConnectionError) as caught,
    ):
        client.completion(model=ROUTE, messages=EASY)
    assert caught.value.__cause__ is not None  # the transport's own reason


def test_a_lone_surrogate_is_refused_in_our_words(client: Controller, upstream: Upstream) -> None:
    with pytest.raises(InputError, match="messages: a lone surrogate is not usable: UTF-8"):
        client.completion(model=ROUTE, messages=[{"role": "user", "content": "\ud800"}])
    assert upstream.bodies == []


def test_an_unknown_argument_is_a_type_error_as_in_the_sdk(client: Controller) -> None:
    with pytest.raises(TypeError, match="temprature"):
        client.completion(model=ROUTE, messages=EASY, temprature=0)


def test_a_failing_router_serves_the_strong_model_and_says_so(
    client: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    reply = client.completion(model=ROUTE, messages=[{"role": "user", "content": "broken"}])
    assert reply.model == STRONG
    assert decision_of(reply).fallback
    assert "the encoder is gone" in decision_of(reply).reason
    assert "router word failed" in caplog.text


def test_asynchronous_calls(upstream: Upstream, word: WordRouter) -> None:
    async def main() -> None:
        async with Controller(
            {"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k"
        ) as client:
            replies = await asyncio.gather(
                client.acompletion(model=ROUTE, messages=HARD),
                client.acreate(model=ROUTE, messages=EASY),
                client.chat.completions.acreate(model=ROUTE, messages=EASY),
            )
            assert [r.model for r in replies] == [STRONG, WEAK, WEAK]
            assert decision_of(replies[0]).win_rate == 0.75
            stream = await client.acompletion(model=ROUTE, messages=HARD, stream=True)
            assert isinstance(stream, openai.AsyncStream)
            assert decision_of(stream).model == STRONG
            parts = [c.choices[0].delta.content or "" async for c in stream]
            assert "".join(parts) == STRONG_SAYS
            parsed = await client.chat.completions.aparse(
                model=ROUTE, messages=EASY, response_format=Weather
            )
            assert parsed.choices[0].message.parsed == Weather(city="[simulated]", celsius=0)
            async with client.chat.completions.astream(model=ROUTE, messages=HARD) as events:
                assert decision_of(events).model == STRONG
                final = await events.get_final_completion()
            assert final.choices[0].message.content == STRONG_SAYS

    asyncio.run(main())


def test_asynchronous_errors_are_the_sdks_own(upstream: Upstream, word: WordRouter) -> None:
    async def main() -> None:
        async with Controller(
            {"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k", max_retries=0
        ) as client:
            await client.acompletion(model=ROUTE, messages=EASY)

    upstream.fails(429)
    with pytest.raises(openai.RateLimitError) as caught:
        asyncio.run(main())
    assert caught.value.response.headers["retry-after"] == "7"


def test_one_controller_serves_several_event_loops_at_once(
    upstream: Upstream, word: WordRouter
) -> None:
    client = Controller({"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k")
    meet = threading.Barrier(2)
    models: list[str] = []

    async def call_twice() -> None:
        for _ in range(2):
            models.append((await client.acompletion(model=ROUTE, messages=EASY)).model)
            meet.wait(timeout=10)
        await client.aclose()

    threads = [threading.Thread(target=asyncio.run, args=(call_twice(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert models == [WEAK] * 4


def test_each_model_has_its_own_place_key_and_name(
    upstream: Upstream, second_upstream: Upstream, word: WordRouter
) -> None:
    models = {
        STRONG: {"base_url": upstream.url, "api_key": "k-strong", "headers": {"x-team": "one"}},
        WEAK: {"base_url": second_upstream.url, "api_key": "k-weak", "model": "llama3.2"},
    }
    with Controller({"word": word}, STRONG, WEAK, models=models) as client:
        client.completion(model=ROUTE, messages=HARD)
        reply = client.completion(model=ROUTE, messages=EASY)
    assert (upstream.bodies[0]["model"], second_upstream.bodies[0]["model"]) == (
        STRONG,
        "llama3.2",
    )
    assert upstream.headers[0]["authorization"] == "Bearer k-strong"
    assert upstream.headers[0]["x-team"] == "one"
    assert second_upstream.headers[0]["authorization"] == "Bearer k-weak"
    assert "x-team" not in second_upstream.headers[0]
    assert decision_of(reply).model == WEAK


def test_a_key_goes_only_to_the_place_it_was_given_for(
    upstream: Upstream,
    second_upstream: Upstream,
    word: WordRouter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k-environment")
    models = {WEAK: {"base_url": second_upstream.url}}
    with Controller({"word": word}, STRONG, WEAK, api_base=upstream.url, models=models) as client:
        client.completion(model=ROUTE, messages=HARD)
        client.completion(model=ROUTE, messages=EASY)
    assert upstream.headers[0]["authorization"] == "Bearer k-environment"
    assert second_upstream.headers[0]["authorization"] == "Bearer no-key"


def test_the_sdks_base_url_and_key_are_read_at_the_first_call(
    upstream: Upstream, word: WordRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Controller({"word": word}, STRONG, WEAK) as client:
        monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
        monkeypatch.setenv("OPENAI_API_KEY", "k-late")
        assert client.completion(model=ROUTE, messages=HARD).model == STRONG
    assert upstream.headers[0]["authorization"] == "Bearer k-late"


def test_a_missing_key_names_the_model_and_the_remedy(word: WordRouter) -> None:
    with Controller({"word": word}, STRONG, WEAK) as client:
        assert client.route("a hard one", "word", 0.5) == STRONG
        with pytest.raises(SettingsError, match=r"'gpt-4'.*OPENAI_API_KEY.*api_key=.*models="):
            client.completion(model=ROUTE, messages=HARD)
        with pytest.raises(SettingsError, match=r"gpt-3\.5-turbo"):
            asyncio.run(client.acompletion(model=ROUTE, messages=EASY))


def test_http_clients_come_from_the_callers_factories(upstream: Upstream, word: WordRouter) -> None:
    made: list[openai.DefaultHttpxClient] = []

    def make() -> openai.DefaultHttpxClient:
        made.append(openai.DefaultHttpxClient(headers={"x-mine": "yes"}))
        return made[-1]

    with Controller(
        {"word": word}, STRONG, WEAK, api_base=upstream.url, api_key="k", http_client=make
    ) as client:
        client.completion(model=ROUTE, messages=HARD)
        client.completion(model=ROUTE, messages=EASY)
    assert len(made) == 1  # both models are served by one upstream
    assert made[0].is_closed
    assert upstream.headers[0]["x-mine"] == "yes"


@pytest.mark.parametrize("messages", [[], None, "text", [{"content": "x"}], [3]])
def test_messages_that_no_upstream_could_serve(
    client: Controller, upstream: Upstream, messages: Any
) -> None:
    with pytest.raises(InputError, match="messages"):
        client.completion(model=ROUTE, messages=messages)
    assert upstream.bodies == []
    assert client.model_counts == {}


def test_content_parts_and_null_content(client: Controller, upstream: Upstream) -> None:
    parts = [
        {"type": "text", "text": "a hard picture"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    reply = client.completion(model=ROUTE, messages=messages)
    assert reply.model == STRONG
    assert upstream.bodies[0]["messages"] == messages


def test_an_unknown_model_is_named_with_what_exists(client: Controller) -> None:
    with pytest.raises(UnknownNameError) as caught:
        client.completion(model="gpt-4o", messages=EASY)
    said = str(caught.value)
    assert said.startswith("no model named 'gpt-4o'; known: gpt-3.5-turbo, gpt-4.")
    assert "router-word-THRESHOLD" in said


def test_an_arms_effort_and_limit_are_sent_unless_the_caller_sets_them(
    upstream: Upstream, word: WordRouter
) -> None:
    async def last(controller: Controller) -> None:
        async with controller:
            await controller.acompletion(model=ROUTE, messages=HARD)

    models: dict[str, Any] = {STRONG: {"effort": "high", "arm_output_tokens": 700}, WEAK: {}}
    with Controller(
        {"word": word}, models=models, api_base=upstream.url, api_key="k1"
    ) as controller:
        controller.completion(model=ROUTE, messages=HARD)
        controller.completion(model=ROUTE, messages=HARD, reasoning_effort="low", max_tokens=5)
        controller.completion(model=ROUTE, messages=EASY)
        asyncio.run(last(controller))
    arm = {"reasoning_effort": "high", "max_completion_tokens": 700}
    own = {"reasoning_effort": "low", "max_tokens": 5}
    said = [
        {k: v for k, v in body.items() if k not in ("model", "messages")}
        for body in upstream.bodies
    ]
    assert said == [arm, own, {}, arm]


@pytest.mark.parametrize(("key", "value"), [("effort", "extreme"), ("arm_output_tokens", 0)])
def test_an_arm_that_means_nothing_is_refused(
    upstream: Upstream, word: WordRouter, key: str, value: object
) -> None:
    with pytest.raises(SettingsError, match=f"{key} of {STRONG}"):
        Controller({"word": word}, models={STRONG: {key: value}, WEAK: {}}, api_base=upstream.url)
