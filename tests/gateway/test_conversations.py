"""Conversations over the gateway: who serves the later requests, and why."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from caching_upstream import BULK, EASY, HARD, answer, called, code, served, site, user


def test_a_tool_loop_keeps_its_model_and_asks_no_router() -> None:
    with site() as here:
        assert served(here.chat(user(HARD))) == "strong"
        reply = here.chat(user(HARD), *called(), *called())
        assert (served(reply), code(reply)) == ("strong", "kept_for_conversation")
        assert "2 calls" in reply.headers["x-turnout-reason"]
        assert "x-turnout-score" not in reply.headers


def test_a_word_to_go_on_keeps_the_model_and_its_window_is_that_of_the_conversation() -> None:
    with site(cheap_window=16_000) as here:
        assert served(here.chat(user(EASY))) == "cheap"
        reply = here.chat(user(EASY), answer(), user("ok continue"))
        assert (served(reply), code(reply)) == ("cheap", "kept_for_conversation")
        reply = here.chat(user(EASY), answer(BULK + BULK), user("ok continue"))
        assert (served(reply), code(reply)) == ("strong", "released_from_conversation")
        assert "window of 16000 tokens" in reply.headers["x-turnout-reason"]


def test_a_harder_task_goes_to_the_stronger_model() -> None:
    with site() as here:
        assert served(here.chat(user(EASY))) == "cheap"
        reply = here.chat(user(EASY), answer(), user(HARD))
        assert (served(reply), code(reply)) == ("strong", "switched_for_quality")
        assert "USD more" in reply.headers["x-turnout-reason"]


def test_an_easier_task_moves_only_where_that_pays() -> None:
    talk = [user(HARD + BULK), answer()]
    with site(cheap=9, cheap_read=2) as here:  # it reads from its cache dearer than the strong one
        assert served(here.chat(talk[0])) == "strong"
        reply = here.chat(*talk, user(EASY))
        assert (served(reply), code(reply)) == ("strong", "kept_for_conversation")
        assert "cheap would cost" in reply.headers["x-turnout-reason"]
    with site() as here:  # a tenth of the price: reading all once costs what reading cached costs
        assert served(here.chat(talk[0])) == "strong"
        reply = here.chat(*talk, user(EASY))
        assert (served(reply), code(reply)) == ("cheap", "switched_at_boundary")
        assert "saves about" in reply.headers["x-turnout-reason"]


def test_nothing_sticks_where_that_is_turned_off() -> None:
    with site(cheap=9, cheap_read=2, conversations="sticky: false") as here:
        here.chat(user(HARD + BULK))
        reply = here.chat(user(HARD + BULK), answer(), user(EASY))
        assert (served(reply), code(reply)) == ("cheap", "win_rate_below_threshold")


def test_conversations_that_begin_alike_are_told_apart_by_the_header() -> None:
    with site(cheap=9, cheap_read=2) as here:
        here.chat(user(HARD + BULK), headers={"x-turnout-session": "one"})
        talk = [user(HARD + BULK), answer(), user(EASY)]
        assert served(here.chat(*talk, headers={"x-turnout-session": "one"})) == "strong"
        assert served(here.chat(*talk, headers={"x-turnout-session": "two"})) == "cheap"


def test_a_first_message_is_a_conversation_of_its_own() -> None:
    with site(cheap=9, cheap_read=2) as here:
        for _ in range(3):
            assert code(here.chat(user(EASY))) == "win_rate_below_threshold"


def test_another_route_is_another_choice() -> None:
    with site(cheap=9, cheap_read=2) as here:
        here.chat(user(HARD + BULK))
        reply = here.chat(user(HARD + BULK), answer(), user(EASY), model="router-length-0.6")
        assert (served(reply), code(reply)) == ("cheap", "win_rate_below_threshold")


def test_tools_that_keep_failing_bring_a_stronger_model_once() -> None:
    with site() as here:
        talk = [user(EASY)]
        here.chat(*talk)
        for n in range(1, 4):
            talk += called("Error: no such file")
            assert code(here.chat(*talk)) == "kept_for_conversation", n
        talk += called("Error: no such file")
        reply = here.chat(*talk)
        assert (served(reply), code(reply)) == ("strong", "switched_after_errors")
        for _ in range(5):
            talk += called("Error: no such file")
            reply = here.chat(*talk)
            assert (served(reply), code(reply)) == ("strong", "kept_for_conversation")


def test_a_history_that_was_cut_is_a_boundary() -> None:
    headers = {"x-turnout-session": "one"}
    with site(cheap=9, cheap_read=0.9) as here:
        talk = [user(HARD + BULK), answer(), user("ok"), answer()]
        here.chat(talk[0], headers=headers)
        assert code(here.chat(*talk, user("ok"), headers=headers)) == "kept_for_conversation"
        reply = here.chat(user(EASY), headers=headers)
        assert (served(reply), code(reply)) == ("cheap", "switched_at_boundary")
        assert "history was cut" in reply.headers["x-turnout-reason"]


def test_a_model_whose_endpoint_is_out_is_let_go_and_its_spare_keeps_the_conversation() -> None:
    with site(spares=1, cheap_provider="other", cheap=9, cheap_read=2) as here:
        assert served(here.chat(user(HARD))) == "strong"
        here.up.statuses.append(500)
        assert served(here.chat(user(HARD), *called())) == "cheap"  # it failed: the spare answers
        reply = here.chat(user(HARD), *called(), *called())
        assert (served(reply), code(reply)) == ("cheap", "kept_for_conversation")


def test_a_conversation_stays_with_the_replica_that_has_its_cache() -> None:
    with site() as here:
        resilience = here.app.opened().resilience
        own = resilience.targets["strong"][0]
        resilience.targets["strong"] = [own, type(own)("strong", "other", "strong")]  # type: ignore[index]
        resilience.forget()
        here.chat(user(HARD))
        first = [len(here.up.seen), len(here.other.seen)]
        for _ in range(10):
            here.chat(user(HARD), *called())
        assert [len(here.up.seen), len(here.other.seen)] == [11 * n for n in first]


def test_responses_that_a_provider_keeps_stay_with_it() -> None:
    with (
        site(api="responses", other_api="responses", cheap_provider="other") as here,
        openai.OpenAI(base_url=f"{here.url}/v1", api_key="k", max_retries=0, timeout=10) as client,
    ):
        first = client.responses.create(model="auto", input=HARD)
        reply = client.responses.with_raw_response.create(
            model="auto", input=EASY, previous_response_id=first.id
        )
        assert served(reply.http_response) == "strong"
        second = reply.parse()
        reply = client.responses.with_raw_response.create(
            model="auto", input="ok", previous_response_id=second.id
        )
        assert (served(reply.http_response), code(reply.http_response)) == (
            "strong",
            "kept_for_conversation",
        )
        body = {"model": "auto", "input": HARD, "previous_response_id": second.id}
        here.up.statuses.append(500)
        assert here.post("/v1/responses", body).status_code == 500
        assert here.post("/v1/responses", body).status_code == 200  # probed: nobody else can go on
        assert not here.other.seen


def test_signed_thinking_goes_to_its_maker_alone() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "made by strong"}
    talk = [user(HARD), {"role": "assistant", "content": [thought, {"type": "text", "text": "x"}]}]
    for other_api, expected in (("messages", "strong"), ("chat", "cheap")):
        with site(api="messages", other_api=other_api, cheap_provider="other") as here:
            body: dict[str, Any] = {"model": "auto", "max_tokens": 50, "messages": talk[:1]}
            assert served(here.post("/v1/messages", body)) == "strong"
            reply = here.post("/v1/messages", {**body, "messages": [*talk, user(EASY)]})
            assert served(reply) == expected, other_api
            if expected == "cheap":
                assert "only its maker" in reply.headers["x-turnout-translation"]


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_agents_of_official_sdks_keep_their_model_over_any_candidate(api: str) -> None:
    with site(api=api, cheap=9, cheap_read=2) as here:
        here.up.calls_tools = True
        with openai.OpenAI(base_url=f"{here.url}/v1", api_key="k", max_retries=0) as client:
            _chat_agent(client)
            _responses_agent(client)
        _messages_agent(here.url)
        assert here.up.models == ["strong"] * 9


def _chat_agent(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    messages: list[Any] = [user(HARD)]
    for _ in range(3):
        reply = client.chat.completions.create(model="auto", messages=messages, tools=tools)
        said = reply.choices[0].message
        assert said.tool_calls
        messages += [said, {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "4"}]


def _responses_agent(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "name": "look", "parameters": {}}]
    items: list[Any] = [user(HARD)]
    for _ in range(3):
        reply = client.responses.create(model="auto", input=items, tools=tools)
        call: Any = next(item for item in reply.output if item.type == "function_call")
        items += [
            {"type": "function_call", "call_id": call.call_id, "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": call.call_id, "output": "4"},
        ]


def _messages_agent(url: str) -> None:
    anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK")
    tools: Any = [{"name": "look", "input_schema": {"type": "object"}}]
    messages: list[Any] = [user(HARD)]
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=10) as client:
        for _ in range(3):
            reply = client.messages.create(
                model="auto", max_tokens=50, messages=messages, tools=tools
            )
            call = next(block for block in reply.content if block.type == "tool_use")
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "4"}
            messages += [{"role": "assistant", "content": reply.content}, user([result])]  # type: ignore[arg-type]
