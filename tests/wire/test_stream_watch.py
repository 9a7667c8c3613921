"""Streams that pass through: byte for byte, with what the gateway must know read on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.types import Usage
from turnout.wire import sse
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.streams import StreamTranslator
from turnout.wire.streams import watch as watching
from turnout.wire.streams.watch import StreamWatch, ask_for_usage, asks_for_usage
from turnout.wire.translate import Client

GOLDEN = Path(__file__).parent / "golden"
STREAMS: dict[Dialect, bytes] = {d: (GOLDEN / f"{d}.sse").read_bytes() for d in DIALECTS}


def parsed_usage(dialect: Dialect, stream: bytes) -> Usage | None:
    """What reading every event gives."""
    made = StreamTranslator(dialect, Client(dialect="chat", now=1))
    made.feed(stream)
    return made.usage


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_byte_is_changed_and_usage_is_read_at_every_split(dialect: Dialect) -> None:
    stream = STREAMS[dialect]
    expected = parsed_usage(dialect, stream)
    assert expected is not None
    for cut in range(0, len(stream), 5):
        watch = StreamWatch(dialect)
        assert watch.feed(stream[:cut]) + watch.feed(stream[cut:]) + watch.rest() == stream
        assert watch.usage == expected, cut
        assert watch.problems == ()
        assert watch.ended
        assert watch.answered
        assert watch.model is not None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_first_answer_and_the_end_are_seen_when_they_pass(dialect: Dialect) -> None:
    watch, events = StreamWatch(dialect), STREAMS[dialect].split(b"\n\n")
    answered, ended = [], []
    for event in events[:-1]:
        watch.feed(event + b"\n\n")
        answered.append(watch.answered)
        ended.append(watch.ended)
    assert answered.index(True) == {"chat": 1, "responses": 4, "messages": 3}[dialect]
    last = {"chat": 8, "responses": 25, "messages": 19}[dialect]
    assert ended.index(True) == last


def test_a_text_that_quotes_everything_is_only_text() -> None:
    quoted = (
        'data: [DONE]\n"usage": {"prompt_tokens":9,"completion_tokens":9}, "finish_reason":"stop"'
    )
    chunk = {
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": quoted}, "finish_reason": None}],
    }
    watch = StreamWatch("chat")
    watch.feed(sse.event(chunk))
    assert watch.answered
    assert not watch.ended
    assert watch.usage is None
    for dialect in ("responses", "messages"):
        other = StreamWatch(dialect)
        said = '{"type": "message_stop"} {"type":"response.completed","response":{"usage":{}}}'
        other.feed(sse.event({"type": "content_block_delta", "delta": {"text": said}}))
        assert not other.ended
        assert other.usage is None


def chat_stream(*, asked: bool) -> bytes:
    head = {"id": "c", "model": "m"}
    tail = {"usage": None} if asked else {}
    delta = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [sse.event({**head, "choices": [c], **tail}) for c in (delta, stop)]
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return b"".join([*chunks, sse.event({**head, "choices": [], "usage": usage}), sse.DONE])


def test_usage_that_a_client_did_not_ask_for_is_hidden_at_every_split() -> None:
    stream = chat_stream(asked=True)
    last = next(e for e in stream.split(b"\n\n") if b'"choices":[]' in e) + b"\n\n"
    for sent, hidden in (
        (stream, last),
        (stream.replace(b"\n", b"\r\n"), last.replace(b"\n", b"\r\n")),
    ):
        for cut in range(len(sent)):
            watch = StreamWatch("chat", hide_usage=True)
            found = watch.feed(sent[:cut]) + watch.feed(sent[cut:]) + watch.rest()
            assert found == sent.replace(hidden, b"")
            assert watch.usage == Usage(input_tokens=5, output_tokens=2)
    shown = StreamWatch("chat")
    assert shown.feed(stream) == stream


def test_usage_beside_choices_stays() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": usage}
    filters = {"choices": [], "prompt_filter_results": []}
    stream = sse.event(filters) + sse.event(chunk)
    watch = StreamWatch("chat", hide_usage=True)
    assert watch.feed(stream) == stream
    assert watch.usage is not None


def test_a_stream_that_breaks_off_has_no_end() -> None:
    for dialect in DIALECTS:
        watch = StreamWatch(dialect)
        half = STREAMS[dialect][: len(STREAMS[dialect]) // 2]
        watch.feed(half)
        watch.rest()
        assert not watch.ended


def test_lies_about_usage_are_named() -> None:
    watch = StreamWatch("chat")
    watch.feed(
        sse.event(
            {"model": "m", "choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1}}
        )
    )
    assert watch.usage is None
    assert watch.problems == ("prompt_tokens is -1",)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ({}, {}),
        ({"stream": False}, {}),
        ({"stream": True}, {"stream_options": {"include_usage": True}}),
        ({"stream": True, "stream_options": None}, {"stream_options": {"include_usage": True}}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {}),
        (
            {
                "stream": True,
                "stream_options": {"include_usage": False, "include_obfuscation": False},
            },
            {"stream_options": {"include_usage": True, "include_obfuscation": False}},
        ),
    ],
)
def test_usage_is_asked_for_where_the_client_did_not(request_: dict, fields: dict) -> None:
    assert ask_for_usage(request_) == fields
    assert asks_for_usage({**request_, **fields}) == bool(request_.get("stream"))


def test_only_lines_that_count_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = json.loads
    monkeypatch.setattr(json, "loads", lambda data: parsed.append(data) or real(data))
    for dialect, most in (("chat", 2), ("responses", 2), ("messages", 2)):
        parsed.clear()
        watch = StreamWatch(dialect)
        for event in STREAMS[dialect].split(b"\n\n"):
            watch.feed(event + b"\n\n")
        assert len(parsed) == most, dialect


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
def test_whatever_is_to_be_seen_in_a_line_has_a_mark(dialect: Dialect, data: st.DataObject) -> None:
    """Else a line that must be read would pass as one that says nothing."""
    looked_for = (sse._ENDING, watching._ERROR, watching._COUNTED)
    pattern = data.draw(st.sampled_from(looked_for))[dialect]
    line = data.draw(st.from_regex(pattern))
    assert any(mark in line for mark in watching._MARKS[dialect])


@given(line=st.from_regex(watching._EMPTY_CHOICES))
def test_a_line_that_may_be_hidden_has_a_mark(line: bytes) -> None:
    assert any(mark in line for mark in watching._MARKS_OF_HIDDEN)
