"""Reading Responses and Messages requests for routing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout.errors import RequestError
from turnout.types import Query
from turnout.wire import chat, messages, responses
from turnout.wire.reading import FILE_TOKENS, IMAGE_TOKENS, TEXT_CAP
from turnout.wire.translate import Target, translate_request

SECRET = "the prompt that must not be shown"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def response(given: Any, **body: Any) -> Query:
    return responses.read_query({"model": "auto", "input": given, **body})


def message(*given: Any, **body: Any) -> Query:
    return messages.read_query({"model": "auto", "messages": list(given), **body})


def test_a_text_is_one_user_message() -> None:
    query = response("Hello there", instructions="Be brief")
    assert (query.text, query.system, query.turns) == ("Hello there", "Be brief", 1)
    assert query.input_tokens > 4


def test_the_latest_user_message_is_the_text() -> None:
    items = [
        {"role": "developer", "content": "A"},
        user("First"),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Second"}]},
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c", "output": "12 degrees"},
    ]
    query = response(items)
    assert (query.text, query.system, query.turns) == ("Second", "A", 2)
    less = response(items[:-1])
    assert query.input_tokens > less.input_tokens
    query = message(
        user("First"),
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
        },
        user([{"type": "tool_result", "tool_use_id": "t", "content": "12"}]),
        {"role": "system", "content": "Later"},
        system=[{"type": "text", "text": "A"}],
    )
    assert (query.text, query.system, query.turns) == ("First", "A\nLater", 1)


@pytest.mark.parametrize("nothing", ["", {}, None, False])
@pytest.mark.parametrize("kept", ["previous_response_id", "conversation", "prompt"])
def test_what_names_nothing_is_no_input(kept: str, nothing: Any) -> None:
    with pytest.raises(RequestError, match="input: a missing field"):
        responses.read_query({"model": "auto", kept: nothing})


@pytest.mark.parametrize("kept", ["previous_response_id", "conversation", "prompt"])
def test_what_the_provider_keeps_is_noted(kept: str) -> None:
    query = responses.read_query({"model": "auto", kept: "x"})
    assert query.text == ""
    assert any(note.startswith(kept) for note in query.notes)


@pytest.mark.parametrize(
    ("body", "needs", "forced", "effort"),
    [
        ({"tools": [{}]}, {"tools"}, False, None),
        ({"tools": [{}], "tool_choice": "none"}, set(), False, None),
        ({"tools": [{}], "tool_choice": "required"}, {"tools"}, True, None),
        ({"tools": [{}], "tool_choice": {"type": "function", "name": "f"}}, {"tools"}, True, None),
        (
            {"tools": [{}], "tool_choice": {"type": "allowed_tools", "mode": "auto"}},
            {"tools"},
            False,
            None,
        ),
        ({"text": {"format": {"type": "json_schema"}}}, {"json_schema"}, False, None),
        ({"reasoning": {"effort": "max"}}, set(), False, "max"),
        ({"reasoning": {"effort": "endless"}}, set(), False, None),
    ],
)
def test_what_a_response_needs(
    body: dict[str, Any], needs: set[str], forced: bool, effort: str | None
) -> None:
    query = response("x", **body)
    assert (query.needs, query.forced_tool, query.effort) == (needs, forced, effort)


@pytest.mark.parametrize(
    ("body", "needs", "forced", "effort"),
    [
        ({"tools": [{}]}, {"tools"}, False, None),
        ({"tools": [{}], "tool_choice": {"type": "none"}}, set(), False, None),
        ({"tools": [{}], "tool_choice": {"type": "any"}}, {"tools"}, True, None),
        ({"tools": [{}], "tool_choice": {"type": "tool", "name": "f"}}, {"tools"}, True, None),
        ({"output_config": {"format": {"type": "json_schema"}}}, {"json_schema"}, False, None),
        ({"output_config": {"effort": "high"}}, set(), False, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, set(), False, "high"),
        ({"thinking": {"type": "disabled"}}, set(), False, "none"),
        ({"thinking": {"type": "adaptive"}}, set(), False, None),
    ],
)
def test_what_a_message_needs(
    body: dict[str, Any], needs: set[str], forced: bool, effort: str | None
) -> None:
    query = message(user("x"), **body)
    assert (query.needs, query.forced_tool, query.effort) == (needs, forced, effort)


def test_media_are_needs_of_a_fixed_size_wherever_they_stand() -> None:
    plain = message(user([{"type": "text", "text": "hello"}]))
    image = {"type": "image", "source": {"type": "base64", "data": "x" * 9999}}
    query = message(user([{"type": "text", "text": "hello"}, image]))
    assert query.needs == {"vision"}
    assert query.input_tokens - plain.input_tokens == IMAGE_TOKENS
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, {"type": "document"}]}
    assert message(user([result])).needs == {"vision", "files", "tools"}
    item = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file"}]}
    query = response([user("hello"), item])
    assert query.needs == {"files", "tools"}
    assert query.input_tokens >= FILE_TOKENS
    audio = user([{"type": "input_audio", "input_audio": {}}])
    assert response([audio]).needs == {"audio"}


def test_output_limits_and_long_texts() -> None:
    assert response("x", max_output_tokens=7).max_output_tokens == 7
    assert message(user("x"), max_tokens=7).max_output_tokens == 7
    assert len(response("a" * 30_000).text) == TEXT_CAP
    assert len(message(user("a" * 30_000)).text) == TEXT_CAP


def test_all_dialects_read_one_request_alike() -> None:
    body = {
        "model": "auto",
        "messages": [{"role": "system", "content": "Be brief"}, user("What is it?")],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d" * 40}}],
        "tool_choice": "required",
        "max_completion_tokens": 50,
        "reasoning_effort": "high",
    }
    query = chat.read_query(body)
    readers = {"responses": responses, "messages": messages}
    for dialect in ("responses", "messages"):
        other = translate_request(body, "chat", Target(dialect=dialect, model="m")).body
        found = readers[dialect].read_query(other)
        for name in (
            "text",
            "system",
            "turns",
            "needs",
            "forced_tool",
            "effort",
            "max_output_tokens",
        ):
            assert getattr(found, name) == getattr(query, name), name
        assert found.input_tokens == pytest.approx(query.input_tokens, abs=8)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": [SECRET]}, "input[0]"),
        ({"input": [user({"x": SECRET})]}, "input[0].content"),
        ({"input": [user([3])]}, "input[0].content[0]"),
        ({"input": [user("Hi"), {"content": SECRET}]}, "input[1].role"),
        ({"input": [{"role": [SECRET], "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"type": "message", "id": SECRET, "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "type": [SECRET]}]}, "input[0].type"),
    ],
)
def test_what_is_no_response_request(body: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        responses.read_query(body)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [SECRET]}, "messages[0]"),
        ({"messages": [{"content": SECRET}]}, "messages[0].role"),
        ({"messages": [user({"x": SECRET})]}, "messages[0].content"),
    ],
)
def test_what_is_no_message_request(body: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        messages.read_query(body)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "output", "input", "name"]), inner
        )
    ),
    max_leaves=8,
)


FIELDS = (
    "input",
    "messages",
    "system",
    "instructions",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
    "thinking",
    "output_config",
    "max_tokens",
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(FIELDS, json_values),
    )
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_reading_gives_a_query_or_a_request_error(body: dict[str, Any]) -> None:
    for reader in (responses, messages):
        try:
            query = reader.read_query(body)
        except RequestError:
            continue
        query.text.encode("utf-8")
        assert query.input_tokens >= 0
