"""Upstreams that tell of an error in mid-stream: the record says that the answer is not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fault_site import ASK, RESILIENCE, kept, site

from scripted import CLOSE
from turnout.wire.sse import read_events
from turnout.wire.streams.watch import StreamWatch

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
WORDS = "the model broke down"


def told(*events: dict[str, Any], named: bool = True) -> list[bytes]:
    """Events as their upstream writes them."""
    return [
        (f"event: {e['type']}\n" if named else "").encode()
        + b"data: "
        + json.dumps(e, separators=(",", ":")).encode()
        + b"\n\n"
        for e in events
    ]


def chat(*last: dict[str, Any]) -> list[bytes]:
    chunks = [{"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": w}}]}
              for w in ("one ", "two ", "three ")]  # fmt: skip
    return told(*chunks, *last, named=False)


RESPONSE = {"id": "resp_1", "object": "response", "model": "m", "status": "in_progress",
            "error": None, "output": []}  # fmt: skip
ITEM = {"type": "message", "id": "i", "role": "assistant", "content": []}
RESPONSES = [
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": ITEM},
    {"type": "response.content_part.added", "item_id": "i", "output_index": 0, "content_index": 0,
     "part": {"type": "output_text", "text": ""}},
    *({"type": "response.output_text.delta", "item_id": "i", "output_index": 0,
       "content_index": 0, "delta": w} for w in ("one ", "two ", "three ")),
]  # fmt: skip
MESSAGES = [
    {"type": "message_start",
     "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                 "usage": {"input_tokens": 31, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}}
      for w in ("one ", "two ", "three ")),
]  # fmt: skip
STREAMS: dict[str, tuple[str, list[bytes]]] = {
    "chat": ("chat", chat({"error": {"message": WORDS, "type": "server_error"}})),
    "chat, then its end": (
        "chat",
        [*chat({"error": {"message": WORDS, "type": "server_error"}}), b"data: [DONE]\n\n"],
    ),
    "chat, in a chunk": (
        "chat",
        chat(
            {
                "id": "c",
                "model": "m",
                "error": {"code": 502, "message": WORDS},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
    ),
    "responses": (
        "responses",
        told(*RESPONSES, {"type": "error", "code": "server_error", "message": WORDS}),
    ),
    "responses, failed": (
        "responses",
        told(
            *RESPONSES,
            {
                "type": "response.failed",
                "response": {
                    **RESPONSE,
                    "status": "failed",
                    "error": {"code": "server_error", "message": WORDS},
                    "usage": {"input_tokens": 31, "output_tokens": 17, "total_tokens": 48},
                },
            },
        ),
    ),
    "messages": (
        "messages",
        told(*MESSAGES, {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}),
    ),
}
PATHS = {"chat": "chat/completions", "responses": "responses", "messages": "messages"}


def errors_in(body: bytes) -> int:
    """Events that tell a client of an error, in any dialect."""
    found = [json.loads(e) for e in read_events(body) if e != "[DONE]"]
    return sum(bool(e.get("error")) or e.get("type") in ("error", "response.failed") for e in found)


@pytest.mark.parametrize("client", ["chat", "responses", "messages"])
@pytest.mark.parametrize("which", list(STREAMS))
def test_an_error_in_mid_stream_is_recorded_as_a_part(
    tmp_path: Path, which: str, client: str
) -> None:
    dialect, pieces = STREAMS[which]
    file = tmp_path / "turnout.db"
    with site(
        [EVENTS, *pieces, CLOSE],
        provider=f", api: {dialect}",
        rest=f"{RESILIENCE}store: {{path: {file}}}\n",
    ) as here:
        asked: dict[str, Any] = {"model": "cheap", "stream": True, "max_tokens": 50}
        asked |= {"input": "Hello"} if client == "responses" else {"messages": ASK}
        if client == "responses":
            del asked["max_tokens"]
        reply = here.http.post(f"/v1/{PATHS[client]}", json=asked)
    assert reply.status_code == 200
    assert b"three" in reply.content
    assert errors_in(reply.content) == 1
    (record,) = kept(file)
    assert (record.status, record.http_status, record.candidate) == ("partial", 200, "cheap")
    counted = which == "responses, failed" and client == "responses"
    assert record.output_tokens == 17 if counted else record.output_tokens >= 3
    assert record.cost_picousd
    if dialect == "messages" and client == "messages":
        assert record.input_tokens == 31


QUOTES = {
    "chat": {"choices": [{"index": 0, "delta": {"content": '{"error": {"type": "error"}}'}}],
             "error": None},
    "responses": {"type": "response.output_text.delta", "delta": '"type": "error"',
                  "item": {"type": "error"}},
    "messages": {"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": '"type": "error"'},
                 "more": {"type": "error"}},
}  # fmt: skip


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
def test_an_answer_that_speaks_of_errors_is_none(dialect: Any) -> None:
    watch = StreamWatch(dialect)
    for piece in told(QUOTES[dialect], named=False):
        watch.feed(piece)
    assert watch.answered
    assert not watch.failed
    watch.feed(b'data: {"error\n\n')
    watch.feed(b'data: ["error", "type": "error"]\n\n')
    assert not watch.failed
