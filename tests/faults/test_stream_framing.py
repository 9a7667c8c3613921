"""A stream on the wire: its head, pieces and end are framed as they must be, however they are written."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import httptools
import pytest
from fault_site import ASK, Site, site

from scripted import chunked

WORD = b'data: {"model":"m","choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
BODY = json.dumps({"model": "cheap", "messages": ASK, "stream": True}).encode()


class Reading:
    """Answers as a strict parser reads them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.whole = 0
        self.headers: list[dict[bytes, bytes]] = []
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.bodies.append(b"")
        self.headers.append({})

    def on_header(self, name: bytes, value: bytes) -> None:
        assert name.lower() not in self.headers[-1]
        self.headers[-1][name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body

    def on_message_complete(self) -> None:
        self.whole += 1


def asking(version: bytes) -> bytes:
    head = b"POST /v1/chat/completions HTTP/%b\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    return head % (version, len(BODY)) + BODY


def read(here: Site, sent: bytes, answers: int) -> tuple[Reading, bool]:
    """So many answers to what is sent, and whether the connection was closed behind them."""
    host, port = here.url.removeprefix("http://").split(":")
    reading = Reading()
    with closing(socket.create_connection((host, int(port)), timeout=20)) as client:
        client.sendall(sent)
        while reading.whole < answers:
            got = client.recv(65536)
            assert got
            reading.parser.feed_data(got)
        client.settimeout(0.3)
        try:
            return reading, client.recv(1) == b""
        except TimeoutError:
            return reading, False


def stream(*pieces: bytes) -> list[bytes]:
    head, *rest = chunked(*pieces)
    return [head.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n"), *rest]


STREAMS = {
    "piece by piece": stream(WORD, WORD, WORD, END),
    "all at once": [b"".join(stream(WORD, WORD, WORD, END))],
    "the end with the last piece": [
        *stream(WORD, WORD)[:-1], b"".join(stream(WORD, END)[1:]),
    ],
    "cut in a line": stream(WORD, WORD[:20], WORD[20:] + WORD[:7], WORD[7:] + END[:-4], END[-4:]),
}  # fmt: skip


@pytest.mark.parametrize("how", STREAMS)
def test_pipelined_streams_follow_each_other_whole(how: str) -> None:
    expected = STREAMS[how]
    body = WORD * 3 + END
    with site(expected, expected, usual=expected) as here:
        reading, closed = read(here, asking(b"1.1") * 2, answers=2)
        assert reading.bodies == [body, body]
        assert not closed
        for headers in reading.headers:
            assert headers[b"transfer-encoding"] == b"chunked"
            assert headers[b"content-type"].startswith(b"text/event-stream")
            assert b"content-length" not in headers


def test_a_connection_that_is_not_kept_is_closed_behind_the_last_piece() -> None:
    with site(usual=STREAMS["all at once"]) as here:
        reading, closed = read(here, asking(b"1.0"), answers=1)
        assert (reading.bodies, closed) == ([WORD * 3 + END], True)
        assert reading.headers[0][b"connection"] == b"close"


def test_a_stream_that_breaks_off_is_framed_to_its_end() -> None:
    broken = [*stream(WORD, WORD)[:-1], b"no chunk\r\n"]
    with site(usual=broken) as here:
        reading, closed = read(here, asking(b"1.1"), answers=1)
        (body,) = reading.bodies
        assert body.startswith(WORD * 2)
        assert b'"error"' in body
        assert b"[DONE]" not in body
        assert not closed
