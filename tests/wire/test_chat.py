from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout.errors import RequestError
from turnout.types import Query
from turnout.wire.chat import read_query
from turnout.wire.reading import AUDIO_TOKENS, FILE_TOKENS, IMAGE_TOKENS, TEXT_CAP

SECRET = "the prompt that must not be shown"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def read(*messages: Any, **body: Any) -> Query:
    return read_query({"model": "auto", "messages": list(messages), **body})


def test_the_latest_user_message_is_the_text() -> None:
    query = read(
        {"role": "system", "content": "Be brief."},
        user("First question"),
        {"role": "assistant", "content": "First answer"},
        user("Second question"),
    )
    assert query.text == "Second question"
    assert query.system == "Be brief."
    assert query.turns == 2
    assert query.notes == ()


def test_developer_messages_are_system_text() -> None:
    query = read(
        {"role": "system", "content": "One"}, {"role": "developer", "content": "Two"}, user("x")
    )
    assert query.system == "One\nTwo"


@pytest.mark.parametrize("form", ["text", "input_text"])
def test_text_parts_are_joined_by_newlines(form: str) -> None:
    assert read(user([{"type": form, "text": "a"}, {"type": form, "text": "b"}])).text == "a\nb"


@given(
    text=st.text(st.characters(), max_size=40)
    | st.sampled_from(
        ["", "ok, go on", "<system-reminder>x</system-reminder>", "\ud800 x", "x" * (TEXT_CAP + 1)]
    ),
    body=st.fixed_dictionaries(
        {},
        optional={
            "max_tokens": st.sampled_from([5, 0, True, None, "5"]),
            "reasoning_effort": st.just("low"),
            "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
            "tool_choice": st.just("required"),
            "response_format": st.just({"type": "json_schema"}),
        },
    ),
)
def test_a_text_is_read_as_one_part_of_text_is(text: str, body: dict[str, Any]) -> None:
    assert read(user(text), **body) == read(user([{"type": "text", "text": text}]), **body)


def test_an_agent_loop_routes_by_the_latest_user_text() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    query = read(
        user("What is the weather?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12 degrees"},
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    assert query.text == "What is the weather?"
    assert query.turns == 1
    assert query.needs == {"tools"}


def test_a_latest_user_message_of_images_alone_leaves_the_earlier_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    assert read(user("Describe it"), user([image])).text == "Describe it"


@pytest.mark.parametrize("content", [None, "", []])
def test_no_user_text_is_noted(content: Any) -> None:
    query = read(user(content))
    assert query.text == ""
    assert query.notes == ("no user text in the request: routed as empty text",)


@pytest.mark.parametrize(
    ("part", "need", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": "x" * 9999}}, "vision", IMAGE_TOKENS),
        ({"type": "input_image", "image_url": "x" * 9999}, "vision", IMAGE_TOKENS),
        ({"type": "input_audio", "input_audio": {"data": "x" * 9999}}, "audio", AUDIO_TOKENS),
        ({"type": "file", "file": {"file_data": "x" * 9999}}, "files", FILE_TOKENS),
    ],
)
def test_media_are_needs_of_a_fixed_size(part: dict[str, Any], need: str, tokens: int) -> None:
    plain = read(user([{"type": "text", "text": "hello"}]))
    query = read(user([{"type": "text", "text": "hello"}, part]))
    assert query.needs == {need}
    assert query.input_tokens - plain.input_tokens == tokens


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"tools": [{}]}, {"tools"}),
        ({"tools": [{}], "tool_choice": "required"}, {"tools"}),
        ({"tools": [{}], "tool_choice": "none"}, set()),
        ({"tools": []}, set()),
        ({"functions": [{}]}, {"tools"}),
        ({"functions": [{}], "function_call": "none"}, set()),
        ({"response_format": {"type": "json_schema"}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"response_format": {"type": "text"}}, set()),
    ],
)
def test_fields_that_need_a_capability(body: dict[str, Any], needs: set[str]) -> None:
    assert read(user("x"), **body).needs == needs


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 7, "max_completion_tokens": None}, 7),
        ({"max_tokens": True}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": "7"}, None),
        ({"max_tokens": 10**400}, 10**9),
    ],
)
def test_output_limit(body: dict[str, Any], tokens: int | None) -> None:
    assert read(user("x"), **body).max_output_tokens == tokens


def test_input_tokens_count_history_and_tools() -> None:
    short = read(user("x" * 400))
    assert short.input_tokens == 104
    assert read(user("y" * 400), user("x" * 400)).input_tokens == 208
    with_tools = read(user("x" * 400), tools=[{"description": "d" * 4000}])
    assert with_tools.input_tokens > short.input_tokens + 1000


def test_a_long_text_keeps_head_and_tail() -> None:
    query = read(user("a" * 600_000 + "b" * 400_000))
    assert query.text == "a" * (TEXT_CAP // 2) + "b" * (TEXT_CAP // 2)
    assert query.notes == ("the text was cut for routing from 1000000 to 20000 characters",)
    assert query.input_tokens == 250_004, "the estimate is of the whole text"


def test_lone_surrogates_are_replaced() -> None:
    read(user("a\ud800b")).text.encode("utf-8")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "messages: a missing field is not usable: give a list of messages"),
        ({"messages": None}, "messages: null is not usable"),
        ({"messages": SECRET}, "messages: a string is not usable"),
        ({"messages": {}}, "messages: an object is not usable"),
        ({"messages": []}, "messages: an empty list is not usable"),
        ({"messages": [SECRET]}, "messages[0]: a string is not usable"),
        ({"messages": [{"content": SECRET}]}, "messages[0].role: a missing field is not usable"),
        ({"messages": [{"role": None}]}, "messages[0].role: null is not usable"),
        ({"messages": [user("x"), user(1)]}, "messages[1].content: a number is not usable"),
        ({"messages": [user(True)]}, "messages[0].content: a boolean is not usable"),
        ({"messages": [user({"t": SECRET})]}, "messages[0].content: an object is not usable"),
        ({"messages": [user(["a", 1])]}, "messages[0].content[1]: a number is not usable"),
    ],
)
def test_what_no_upstream_could_serve(body: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_query(body)
    assert str(caught.value).startswith(message)
    assert SECRET not in str(caught.value)


words = st.text(alphabet="ab \n\x00\u00e9\ud800\U0001f600", max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "input_text", "image_url", "file"]) | json_values},
    optional={"text": json_values},
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "tool", "assistant"]) | json_values},
    optional={
        "content": st.lists(parts | json_values, max_size=3) | json_values,
        "tool_calls": json_values,
    },
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(messages | json_values, max_size=4) | json_values,
        "tools": json_values,
        "functions": json_values,
        "tool_choice": json_values,
        "response_format": json_values,
        "max_tokens": json_values,
        "max_completion_tokens": json_values,
    },
)


@given(bodies)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_reading_gives_a_query_or_a_request_error(body: dict[str, Any]) -> None:
    try:
        query = read_query(body)
    except RequestError:
        return
    query.text.encode("utf-8")
    assert query.input_tokens > 0
