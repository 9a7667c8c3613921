from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.wire import sse

STREAM = (
    b"\xef\xbb\xbf: a comment\r\nretry: 10\r\nevent: x\r\n"
    b'data: {"text": "\xc3\xa9\xf0\x9f\x98\x80"}\r\n\r\n'
    b"data: one\ndata:two\rdata\n\n"
    b"id: 7\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = ['{"text": "é😀"}', "one\ntwo\n", "[DONE]"]


def test_data_of_events() -> None:
    assert sse.read_events(STREAM) == EVENTS


def test_an_event_is_read_back() -> None:
    assert [json.loads(e) for e in sse.read_events(sse.event({"a": "x\n\ny"}))] == [{"a": "x\n\ny"}]


def test_an_event_that_is_not_complete_is_not_given() -> None:
    assert sse.read_events(b"data: x\n") == []


def test_every_split_reads_the_same() -> None:
    for cut in range(len(STREAM)):
        reader = sse.EventReader()
        assert [*reader.feed(STREAM[:cut]), *reader.feed(STREAM[cut:])] == EVENTS, cut


@given(st.lists(st.sampled_from([STREAM, b"a", b"\r", b"\n", b"data: x", b""]), max_size=8))
@settings(deadline=None)
def test_whole_lines_change_no_byte_and_give_no_half_line(chunks: list[bytes]) -> None:
    lines = sse.WholeLines()
    given = [lines.feed(chunk) for chunk in chunks]
    assert all(not g or g[-1:] in (b"\r", b"\n") for g in given)
    assert b"".join([*given, lines.rest()]) == b"".join(chunks)


def test_the_end_is_seen_at_every_split() -> None:
    for ending in (b"data: [DONE]\n", b'data: {"finish_reason":"stop"}\n', b'data: {"error":{}}\n'):
        stream = b'data: {"finish_reason":null}\n\n' + ending
        for cut in range(len(stream)):
            lines = sse.WholeLines()
            lines.feed(stream[:cut])
            lines.feed(stream[cut:])
            assert lines.ended, (ending, cut)


def test_text_that_quotes_an_ending_is_no_ending() -> None:
    lines = sse.WholeLines()
    lines.feed(
        sse.event({"content": 'data: [DONE]\n"finish_reason":"stop"', "finish_reason": None})
    )
    assert not lines.ended


def test_a_line_without_end_is_not_held_back_for_ever() -> None:
    lines = sse.WholeLines()
    chunk = b"x" * (sse.LINE_CAP // 2 + 1)
    assert lines.feed(chunk) == b""
    assert lines.feed(chunk) == chunk * 2
