"""Laws of request translation: writing what was read says the same, and so does the way there and back."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judges import consumed, request_type

from turnout.errors import RequestError
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.translate import Target, translate_request
from turnout.wire.translate.fields import Notes
from turnout.wire.translate.from_chat import read_chat
from turnout.wire.translate.from_messages import read_messages
from turnout.wire.translate.from_responses import read_responses

READERS = {"chat": read_chat, "responses": read_responses, "messages": read_messages}
LAW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12
)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
ids = st.from_regex(r"call_[A-Za-z0-9]{4,8}", fullmatch=True)
arguments = st.dictionaries(names, words | st.integers(-9, 9) | st.booleans(), max_size=3)
images = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "https://pictures.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
)
pdf = {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}
texts = st.builds(lambda t: {"type": "text", "text": t}, words)
contents = words | st.lists(
    texts | images | st.just({"type": "file", "file": pdf}), min_size=1, max_size=3
)
tools = st.lists(
    st.builds(
        lambda name, description, key: {
            "type": "function",
            "function": {
                "name": name,
                "description": description,
                "parameters": {"type": "object", "properties": {key: {"type": "string"}}},
            },
        },
        names,
        words,
        names,
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool["function"]["name"],
)


@st.composite
def loops(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An assistant's turn with calls, and their results."""
    made = draw(
        st.lists(st.tuples(ids, names, arguments), min_size=1, max_size=3, unique_by=lambda c: c[0])
    )
    calls = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
        for i, n, a in made
    ]
    said = draw(st.none() | words)
    results = [{"role": "tool", "tool_call_id": i, "content": draw(words)} for i, _, _ in made]
    return [{"role": "assistant", "content": said, "tool_calls": calls}, *results]


@st.composite
def chat_requests(draw: st.DrawFn) -> dict[str, Any]:
    """Chat requests that all three dialects can say."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(words)})
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(contents)})
        if draw(st.booleans()):
            messages.extend(draw(loops()))
        messages.append({"role": "assistant", "content": draw(words)})
    messages.append({"role": "user", "content": draw(contents)})
    body: dict[str, Any] = {
        "model": "auto",
        "messages": messages,
        "max_completion_tokens": draw(st.integers(1, 10**6)),
    }
    if draw(st.booleans()):
        body["tools"] = draw(tools)
        named = {"type": "function", "function": {"name": body["tools"][0]["function"]["name"]}}
        body["tool_choice"] = draw(st.sampled_from(["auto", "required", named]))
        if draw(st.booleans()):
            body["parallel_tool_calls"] = False
    if draw(st.booleans()):
        body["reasoning_effort"] = draw(st.sampled_from(["low", "medium", "high", "xhigh", "max"]))
    else:
        body |= draw(
            st.fixed_dictionaries(
                {}, optional={"temperature": st.floats(0, 1), "top_p": st.floats(0, 1)}
            )
        )
    optional = {
        "user": words,
        "stream": st.just(True),
        "service_tier": st.sampled_from(["auto", "default"]),
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


def meaning(value: Any) -> Any:
    """A neutral value without where it stood and how its JSON was spaced."""
    if is_dataclass(value):
        found = {f.name: meaning(getattr(value, f.name)) for f in fields(value)}
        for name in ("field", "include_usage", "openai"):
            found.pop(name, None)
        if "arguments" in found and not found["custom"]:
            found["arguments"] = json.loads(found["arguments"] or "{}")
        if found.get("detail") == "auto":
            found["detail"] = None
        if "strict" in found:
            found["strict"] = found["strict"] or None
        return found
    if isinstance(value, tuple):
        return [meaning(item) for item in value]
    return value


def read(dialect: Dialect, body: dict[str, Any]) -> Any:
    found = meaning(READERS[dialect](body, Notes()))
    found["model"] = "m"
    return found


def write(body: dict[str, Any], source: Dialect, target: Dialect) -> dict[str, Any]:
    return translate_request(body, source, Target(dialect=target, model="m")).body


@given(chat_requests())
@LAW
@pytest.mark.parametrize("dialect", DIALECTS)
def test_writing_what_was_read_says_the_same(dialect: Dialect, body: dict[str, Any]) -> None:
    first = write(body, "chat", dialect)
    assert write(first, dialect, dialect) == first
    assert read(dialect, first) == read("chat", body)


@given(chat_requests())
@LAW
@pytest.mark.parametrize(("first", "second"), list(permutations(DIALECTS, 2)))
def test_the_way_there_and_back_says_the_same(
    first: Dialect, second: Dialect, body: dict[str, Any]
) -> None:
    original = write(body, "chat", first)
    there = write(original, first, second)
    back = write(there, second, first)
    assert read(first, back) == read(first, original)


@given(chat_requests())
@LAW
def test_a_request_is_never_changed_and_always_json(body: dict[str, Any]) -> None:
    before = json.dumps(body)
    for dialect in DIALECTS:
        json.dumps(write(body, "chat", dialect))
    assert json.dumps(body) == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_sdks_own_types_take_what_is_written(dialect: Dialect) -> None:
    adapter = request_type(dialect)

    @given(chat_requests())
    @LAW
    def taken(body: dict[str, Any]) -> None:
        written = write({**body, "stream": False}, "chat", dialect)
        sampling = {"temperature", "top_p"} if dialect == "messages" else set()
        known = {name: value for name, value in written.items() if name not in sampling}
        # The newest Anthropic models take no sampling, so its SDK has no fields for it any more.
        assert consumed(adapter.validate_python(written)) == known

    taken()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "name", "id"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
fields_of = {
    "chat": [
        "messages",
        "tools",
        "tool_choice",
        "response_format",
        "stop",
        "stream_options",
        "metadata",
    ],
    "responses": ["input", "instructions", "tools", "tool_choice", "text", "reasoning", "include"],
    "messages": [
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "metadata",
    ],
}


@pytest.mark.parametrize(("source", "target"), list(permutations(DIALECTS, 2)))
@given(data=st.data())
@LAW
def test_any_json_is_translated_or_refused(
    source: Dialect, target: Dialect, data: st.DataObject
) -> None:
    body = data.draw(
        st.fixed_dictionaries(
            {"model": st.just("m")}, optional=dict.fromkeys(fields_of[source], json_values)
        )
    )
    try:
        found = translate_request(body, source, Target(dialect=target, model="m"))
    except RequestError:
        return
    json.dumps(found.body)
