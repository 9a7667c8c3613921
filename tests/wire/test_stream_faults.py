"""Streams that are odd, broken or not streams: the rows of the gateway's fault table that reading decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges import anthropic_client, openai_client, replying

from turnout.wire import sse
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.streams import StreamTranslator
from turnout.wire.translate import Client

GOLDEN = Path(__file__).parent / "golden"
STREAMS: dict[Dialect, bytes] = {d: (GOLDEN / f"{d}.sse").read_bytes() for d in DIALECTS}
PAIRS = list(permutations(DIALECTS, 2))
ENDINGS: dict[Dialect, bytes] = {
    "chat": b"data: [DONE]\n\n",
    "responses": b"event: response.completed\n",
    "messages": b"event: message_stop\n",
}
ERRORS: dict[Dialect, bytes] = {
    "chat": b'data: {"error":{"message":',
    "responses": b"event: response.failed\n",
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error",',
}


def translator(source: Dialect, target: Dialect, **changes: Any) -> StreamTranslator:
    return StreamTranslator(source, Client(dialect=target, now=1_764_000_100), **changes)


def whole(source: Dialect, target: Dialect, stream: bytes) -> tuple[bytes, StreamTranslator]:
    made = translator(source, target)
    return made.feed(stream) + made.end(), made


def chunks(*deltas: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """A chat stream of these deltas, without `[DONE]`."""
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}
    made = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    if finish is not None:
        made.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(map(sse.event, made))


def said(stream: bytes) -> str:
    """The text of a chat stream."""
    events = [json.loads(e) for e in sse.read_events(stream) if e != "[DONE]"]
    found = (c["delta"].get("content") for e in events for c in e.get("choices", ()))
    return "".join(filter(None, found))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_stream_that_ends_too_early_ends_in_an_error(source: Dialect, target: Dialect) -> None:
    stream = STREAMS[source]
    for cut in (len(stream) // 3, len(stream) // 2):
        found, made = whole(source, target, stream[:cut])
        assert made.over
        assert made.failed is not None
        assert made.failed.code == "stream_truncated"
        assert ERRORS[target] in found
        assert ENDINGS[target] not in found


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_connection_that_breaks_is_an_error_that_says_so(
    source: Dialect, target: Dialect
) -> None:
    made = translator(source, target)
    found = made.feed(STREAMS[source][:900]) + made.fail("the upstream fell silent", 504)
    assert b"the upstream fell silent" in found
    assert ERRORS[target].partition(b'"error":{"type"')[0] in found
    assert made.end() == b""
    assert made.fail() == b"", "an end is told once"
    assert made.feed(STREAMS[source]) == b""


def test_chat_is_complete_without_its_ending_once_a_finish_reason_was_seen() -> None:
    found, made = whole("chat", "messages", chunks({"content": "x"}, finish="stop"))
    assert found.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert made.failed is None
    assert made.usage is None


def test_messages_is_complete_without_its_last_event_once_a_stop_reason_was_seen() -> None:
    stream = STREAMS["messages"].rpartition(b"event: message_stop")[0]
    found, made = whole("messages", "chat", stream)
    assert found.endswith(sse.DONE)
    assert made.failed is None


def test_a_last_event_without_its_empty_line_counts() -> None:
    found, _ = whole("responses", "chat", STREAMS["responses"].rstrip(b"\n"))
    assert found.endswith(sse.DONE)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_one_malformed_event_is_skipped_and_counted(source: Dialect, target: Dialect) -> None:
    expected, _ = whole(source, target, STREAMS[source])
    events = STREAMS[source].split(b"\n\n")
    for bad in (b'data: {"type":', b"data: 3", b"data: <html>", b"data: \xff\xfe", b"data: null"):
        broken = b"\n\n".join([*events[:3], bad, *events[3:]])
        found, made = whole(source, target, broken)
        assert found == expected
        assert made.malformed == 1


def test_strict_readers_fail_at_a_malformed_event() -> None:
    made = translator("chat", "messages", strict=True)
    found = made.feed(chunks({"content": "x"}) + b"data: {oops\n\n" + chunks({"content": "y"}))
    assert made.failed is not None
    assert b"not a JSON object" in found
    assert b'"y"' not in found


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_line_endings_marks_and_comments_change_nothing(
    source: Dialect, target: Dialect, ending: bytes
) -> None:
    expected, _ = whole(source, target, STREAMS[source])
    odd = b"\xef\xbb\xbf: hello\nretry: 10\n\n" + STREAMS[source].replace(
        b"\n\n", b"\nid: 7\n: x\n\n"
    )
    odd = odd.replace(b"\n", ending)
    assert whole(source, target, odd)[0] == expected
    for cut in range(0, len(odd), 97):
        made = translator(source, target)
        assert made.feed(odd[:cut]) + made.feed(odd[cut:]) + made.end() == expected


def test_data_over_several_lines_is_one_event() -> None:
    pretty = b"".join(
        b"data: "
        + json.dumps(json.loads(e), indent=1).encode().replace(b"\n", b"\ndata: ")
        + b"\n\n"
        for e in sse.read_events(STREAMS["messages"])
    )
    assert whole("messages", "chat", pretty)[0] == whole("messages", "chat", STREAMS["messages"])[0]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_line_without_end_is_given_up_within_bounded_memory(
    source: Dialect, target: Dialect
) -> None:
    made = translator(source, target)
    first = made.feed(STREAMS[source][:1200].rpartition(b"\n\n")[0] + b"\n\n")
    piece, found, fed = b"x" * 65_536, b"", 0
    while not made.over and fed < 16 << 20:
        found += made.feed(b"data: " + piece if not fed else piece)
        fed += len(piece)
    assert made.over
    assert fed <= (9 << 20)
    assert b"bytes" in found
    assert len(first) < 100_000


def test_an_event_of_many_lines_is_bounded_too() -> None:
    made = translator("chat", "messages")
    for _ in range(40):
        made.feed((b"data: " + b"y" * 50_000 + b"\n") * 1)
    assert made.over


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>\n\n<body>Sign in</body>\n\n</html>",
        b'{"error": {"message": "x"}}',
        b"\x00" * 50,
    ],
)
def test_what_is_no_stream_is_a_failure_before_any_answer(
    source: Dialect, target: Dialect, page: bytes
) -> None:
    found, made = whole(source, target, page)
    assert not made.answered
    assert made.failed is not None
    assert b"Sign in" not in found
    assert b"error" in found


ERROR_EVENTS: list[tuple[Dialect, bytes, int]] = [
    (
        "chat",
        b'data: {"error":{"message":"too busy","type":"rate_limit_error","code":"x"}}\n\n',
        429,
    ),
    ("chat", b'data: {"error":"too busy"}\n\n', 502),
    (
        "messages",
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"too busy"}}\n\n',
        529,
    ),
    (
        "responses",
        b'data: {"type":"error","code":"server_error","message":"too busy","param":null}\n\n',
        502,
    ),
    (
        "responses",
        b'data: {"type":"response.failed","response":{"status":"failed","error":'
        b'{"code":"rate_limit_exceeded","message":"too busy"}}}\n\n',
        429,
    ),
]


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize(("source", "event", "status"), ERROR_EVENTS)
def test_an_error_inside_a_stream_is_told_in_the_clients_dialect(
    source: Dialect, event: bytes, status: int, target: Dialect
) -> None:
    start = STREAMS[source][:900].rpartition(b"\n\n")[0] + b"\n\n"
    found, made = whole(source, target, start + event)
    assert made.failed is not None
    assert made.failed.status == status
    assert b"too busy" in found
    assert ENDINGS[target] not in found
    assert ERRORS[target].partition(b'"api_error"')[0] in found


def raised(stream: bytes) -> Exception:
    """What OpenAI's SDK raises while it reads a chat stream."""
    sdk = openai_client(replying(stream, stream=True))
    with pytest.raises(openai.APIError) as caught:
        list(sdk.chat.completions.create(model="m", messages=[], stream=True))
    return caught.value


def test_sdks_raise_the_error() -> None:
    stream = STREAMS["messages"][:900].rpartition(b"\n\n")[0] + b"\n\n"
    overloaded = (
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"too busy"}}\n\n'
    )
    assert "too busy" in str(raised(whole("messages", "chat", stream + overloaded)[0]))
    cut = whole("chat", "messages", chunks({"content": "x"}))[0]
    sdk = anthropic_client(replying(cut, stream=True))
    with pytest.raises(Exception, match="ended before its answer was complete"):
        list(sdk.messages.create(model="m", max_tokens=9, messages=[], stream=True))
    sdk2 = openai_client(
        replying(whole("chat", "responses", chunks({"content": "x"}))[0], stream=True)
    )
    last = list(sdk2.responses.create(model="m", input="x", stream=True))[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"


USAGES: list[tuple[Any, int | None, bool]] = [
    ({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}, 5, False),
    ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, 0, False),
    (None, None, False),
    ({"prompt_tokens": -5, "completion_tokens": 1}, None, True),
    ({"prompt_tokens": "5", "completion_tokens": 1}, None, True),
    ({"prompt_tokens": 10**12, "completion_tokens": 1}, None, True),
    ("lots", None, True),
    ({"completion_tokens": 1}, None, True),
]


@pytest.mark.parametrize(("usage", "tokens", "problem"), USAGES)
def test_usage_that_lies(usage: Any, tokens: int | None, problem: bool) -> None:
    last = sse.event({"id": "c", "choices": [], "usage": usage})
    _, made = whole("chat", "messages", chunks({"content": "x"}, finish="stop") + last + sse.DONE)
    assert (
        (made.usage and made.usage.total_input_tokens) == tokens
        if tokens != 0
        else made.usage is not None
    )
    assert bool(made.usage_problems) == problem
    assert made.failed is None


def test_a_usage_chunk_that_comes_twice_counts_once() -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    last = sse.event({"id": "c", "choices": [], "usage": counts})
    stream = chunks({"content": "x"}, finish="stop") + last + last + sse.DONE
    found, made = whole("chat", "responses", stream)
    assert made.usage is not None
    assert made.usage.total_tokens == 7
    assert found.count(b"event: response.completed") == 1


def test_usage_null_in_every_chunk_and_no_last_chunk() -> None:
    stream = chunks({"content": "x"}, finish="stop", usage=None) + sse.DONE
    found, made = whole("chat", "responses", stream)
    assert made.usage is None
    assert b'"usage":null' in found


def call(index: int | None, **more: Any) -> dict[str, Any]:
    at = {} if index is None else {"index": index}
    return {"tool_calls": [{**at, **more}]}


def named(name: str, arguments: str = "", **more: Any) -> dict[str, Any]:
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


def args(text: str) -> dict[str, Any]:
    return {"function": {"arguments": text}}


ODD_CALLS: dict[str, list[dict[str, Any]]] = {
    "as OpenAI does": [
        call(0, id="a", **named("f")),
        call(0, **args('{"x"')),
        call(0, **args(":1}")),
        call(1, id="b", **named("g")),
        call(1, **args('{"y":2}')),
    ],
    "whole in one delta": [
        call(0, id="a", **named("f", '{"x":1}')),
        call(1, id="b", **named("g", '{"y":2}')),
    ],
    "both in one delta": [
        {
            "tool_calls": [
                {"index": 0, **named("f", '{"x":1}', id="a")},
                {"index": 1, **named("g", '{"y":2}', id="b")},
            ]
        }
    ],
    "without an index": [
        call(None, id="a", **named("f", '{"x":1}')),
        call(None, id="b", **named("g", '{"y"')),
        call(None, **args(":2}")),
    ],
    "every index 0": [
        call(0, id="a", **named("f", '{"x":1}')),
        call(0, id="b", **named("g", '{"y":2}')),
    ],
    "side by side": [
        call(0, id="a", **named("f")),
        call(1, id="b", **named("g")),
        call(0, **args('{"x"')),
        call(1, **args('{"y"')),
        call(0, **args(":1}")),
        call(1, **args(":2}")),
    ],
    "an id in every delta": [
        call(0, id="a", **named("f", '{"x"')),
        call(0, id="a", **args(":1}")),
        call(1, id="b", **named("g", '{"y":2}')),
    ],
}


@pytest.mark.parametrize("way", ODD_CALLS)
def test_tool_calls_however_a_provider_streams_them(way: str) -> None:
    stream = chunks(*ODD_CALLS[way], finish="tool_calls") + sse.DONE
    sdk = anthropic_client(replying(whole("chat", "messages", stream)[0], stream=True))
    with sdk.messages.stream(model="m", max_tokens=9, messages=[]) as events:
        made = events.get_final_message().content
    assert [(b.id, b.name, b.input) for b in made] == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]
    sdk2 = openai_client(replying(whole("chat", "responses", stream)[0], stream=True))
    with sdk2.responses.stream(model="m", input="x") as found:
        output = found.get_final_response().output
    assert [(i.call_id, i.name, i.arguments) for i in output] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", '{"y":2}'),
    ]


def test_openrouters_and_vllms_names_for_reasoning() -> None:
    for name in ("reasoning_content", "reasoning"):
        found, _ = whole("chat", "messages", chunks({name: "hm"}, {"content": "x"}, finish="stop"))
        assert b'{"type":"thinking_delta","thinking":"hm"}' in found


def test_azures_first_chunk_without_choices_is_no_start() -> None:
    first = sse.event({"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]})
    found, made = whole("chat", "messages", first + chunks({"content": "x"}, finish="stop"))
    assert made.model == "m"
    assert found.count(b"message_start") == 2  # its name and its type


def test_choices_after_the_first_are_named() -> None:
    second = sse.event({"id": "c", "choices": [{"index": 1, "delta": {"content": "z"}}]})
    found, made = whole(
        "chat", "messages", chunks({"content": "x"}) + second + chunks(finish="stop")
    )
    assert made.dropped == ("choices after the first",)
    assert b'"z"' not in found


def responses_events(*events: dict[str, Any]) -> bytes:
    start = {"type": "response.created", "response": {"id": "resp_1", "model": "m"}}
    return b"".join(sse.event(e, e["type"]) for e in (start, *events))


COMPLETED = {
    "type": "response.completed",
    "response": {"id": "resp_1", "model": "m", "status": "completed"},
}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}


@pytest.mark.parametrize(
    "events",
    [
        [
            {
                "type": "response.output_text.delta",
                "output_index": 0,
                "content_index": 0,
                "delta": "Hello",
            },
            COMPLETED,
        ],
        [
            {
                "type": "response.output_text.done",
                "output_index": 0,
                "content_index": 0,
                "text": "Hello",
            },
            COMPLETED,
        ],
        [
            {
                "type": "response.output_text.delta",
                "output_index": 0,
                "content_index": 0,
                "delta": "Hel",
            },
            {
                "type": "response.output_text.done",
                "output_index": 0,
                "content_index": 0,
                "text": "Hello",
            },
            COMPLETED,
        ],
        [{"type": "response.output_item.done", "output_index": 0, "item": MESSAGE}, COMPLETED],
        [{**COMPLETED, "response": {**COMPLETED["response"], "output": [MESSAGE]}}],
    ],
)
def test_responses_servers_that_leave_events_out(events: list[dict[str, Any]]) -> None:
    found, made = whole("responses", "chat", responses_events(*events))
    assert said(found) == "Hello"
    assert made.failed is None


def test_a_response_cut_by_its_limit_is_incomplete() -> None:
    details = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    last = {"type": "response.incomplete", "response": {"id": "resp_1", "model": "m", **details}}
    found, _ = whole("responses", "chat", responses_events(last))
    assert b'"finish_reason":"length"' in found


def test_anthropics_refusal_reaches_openais_clients() -> None:
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "model": "m",
                "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        },
        {
            "type": "message_delta",
            "delta": {
                "stop_reason": "refusal",
                "stop_details": {"type": "refusal", "explanation": "I will not."},
            },
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
    ]
    stream = b"".join(sse.event(e, e["type"]) for e in events)
    found, _ = whole("messages", "chat", stream)
    assert b'"refusal":"I will not."' in found
    assert b'"finish_reason":"content_filter"' in found
    found, _ = whole("messages", "responses", stream)
    assert b'"response.refusal.delta"' in found
    assert b'"incomplete_details":{"reason":"content_filter"}' in found


def test_a_tool_use_whose_input_comes_with_its_start() -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m"}},
        start,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    ]
    found, _ = whole("messages", "chat", b"".join(sse.event(e, e["type"]) for e in events))
    assert rb'"arguments":"{\"a\": 1}"' in found


def test_a_chat_client_that_did_not_ask_gets_no_usage() -> None:
    made = StreamTranslator("messages", Client(dialect="chat", now=1, include_usage=False))
    found = made.feed(STREAMS["messages"]) + made.end()
    assert b"usage" not in found
    assert made.usage is not None


def test_the_first_answer_is_seen() -> None:
    made = translator("messages", "chat")
    made.feed(STREAMS["messages"].partition(b"event: content_block_delta")[0])
    assert made.started
    assert not made.answered
    made.feed(
        STREAMS["messages"].partition(b"event: content_block_delta")[2].partition(b"\n\n")[0]
        + b"\n\n"
    )
    assert made.answered


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
PLAIN: dict[Dialect, Callable[[Any], Any]] = {
    "chat": lambda v: {"choices": [{"delta": v, "index": 0}], "usage": v},
    "responses": lambda v: {
        "type": "response.output_item.done",
        "item": v,
        "output_index": v,
        "response": v,
    },
    "messages": lambda v: {
        "type": "content_block_start",
        "index": v,
        "content_block": v,
        "message": v,
    },
}


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(
    values=st.lists(
        json_values
        | st.dictionaries(
            st.sampled_from(["type", "tool_calls", "content", "id", "text", "function", "summary"]),
            json_values,
            max_size=4,
        ),
        max_size=4,
    )
)
@settings(deadline=None, max_examples=20)
def test_any_json_in_a_stream_never_raises(
    source: Dialect, target: Dialect, values: list[Any]
) -> None:
    events = b"".join(sse.event(PLAIN[source](v)) + sse.event(v) for v in values)
    made = translator(source, target)
    made.feed(STREAMS[source][:900].rpartition(b"\n\n")[0] + b"\n\n" + events)
    made.end()
    assert made.over
