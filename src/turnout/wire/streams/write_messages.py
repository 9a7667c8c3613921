"""Events → events of an Anthropic stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from turnout.types import Usage
from turnout.wire import sse
from turnout.wire.errors import write_fault
from turnout.wire.streams.events import (
    Close,
    Delta,
    Event,
    Failed,
    Finished,
    Open,
    Ping,
    Sign,
    Start,
)
from turnout.wire.translate.answers_write import stop_reason, usage_or_estimate
from turnout.wire.translate.ids import reply_id
from turnout.wire.translate.neutral import Thinking
from turnout.wire.translate.reasoning import signature_for_anthropic
from turnout.wire.translate.replies import Client
from turnout.wire.usage import write_usage

_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "refusal": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%%d,"delta":{"type":"%b","%b":%%b}}\n\n'
)
_DELTAS = {
    "text": _DELTA % (b"text_delta", b"text"),
    "refusal": _DELTA % (b"text_delta", b"text"),
    "thinking": _DELTA % (b"thinking_delta", b"thinking"),
    "call": _DELTA % (b"input_json_delta", b"partial_json"),
}


class MessagesWriter:
    """Writes `message_start` … `message_stop`, or an `error` event.

    A block of text begins with its first text, since Anthropic has no empty ones.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: dict[int, Open] = {}
        self._open: dict[int, tuple[int, str]] = {}
        self._count = 0
        self._bytes = 0
        self._refused: list[str] = []

    def write(self, event: Event) -> Iterator[bytes]:
        """The bytes that tell of one event."""
        if isinstance(event, Delta):
            yield from self._delta(event)
        elif isinstance(event, Open):
            yield from self._opened(event)
        elif isinstance(event, Close):
            yield from self._close(event)
        elif isinstance(event, Sign):
            yield from self._sign(event)
        elif isinstance(event, Start):
            yield self._start(event)
        elif isinstance(event, Finished):
            yield from self._finished(event)
        elif isinstance(event, Failed):
            yield _event(write_fault(event.fault, "messages")[1])
        elif isinstance(event, Ping):
            yield _event({"type": "ping"})

    def _start(self, event: Start) -> bytes:
        message: dict[str, Any] = {
            "id": reply_id(event.id, "messages"),
            "type": "message",
            "role": "assistant",
            "model": self._client.model or event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage("messages", Usage(input_tokens=self._client.input_tokens)),
        }
        return _event({"type": "message_start", "message": message})

    def _opened(self, event: Open) -> Iterator[bytes]:
        if event.kind in _EMPTY:
            self._waiting[event.index] = event
        elif event.kind == "redacted":
            yield self._begin(event, {"type": "redacted_thinking", "data": event.data})
        else:
            block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            yield self._begin(event, block)

    def _begin(self, event: Open, block: dict[str, Any]) -> bytes:
        at, self._count = self._count, self._count + 1
        self._open[event.index] = (at, event.kind)
        return _event({"type": "content_block_start", "index": at, "content_block": block})

    def _ready(self, index: int) -> Iterator[bytes]:
        waiting = self._waiting.pop(index, None)
        if waiting is not None:
            yield self._begin(waiting, _EMPTY[waiting.kind])

    def _delta(self, event: Delta) -> Iterator[bytes]:
        yield from self._ready(event.index)
        at, kind = self._open.get(event.index, (-1, ""))
        if kind not in _DELTAS:
            return
        if kind == "refusal":
            self._refused.append(event.text)
        self._bytes += len(event.text)
        # By far the most events are deltas, and all but their text is alike.
        yield _DELTAS[kind] % (at, json.dumps(event.text).encode())

    def _sign(self, event: Sign) -> Iterator[bytes]:
        yield from self._ready(event.index)
        at, kind = self._open.get(event.index, (-1, ""))
        if kind == "thinking":
            part = Thinking(signature=event.signature, origin=event.origin, id=event.id)
            delta = {"type": "signature_delta", "signature": signature_for_anthropic(part)}
            yield _event({"type": "content_block_delta", "index": at, "delta": delta})

    def _close(self, event: Close) -> Iterator[bytes]:
        self._waiting.pop(event.index, None)
        found = self._open.pop(event.index, None)
        if found is not None:
            yield _event({"type": "content_block_stop", "index": found[0]})

    def _finished(self, event: Finished) -> Iterator[bytes]:
        usage = usage_or_estimate(event.usage, self._client, self._bytes)
        counts = write_usage("messages", usage)
        del counts["cache_creation"]  # message_delta has the totals alone
        refused = "".join(self._refused)
        reason, details = stop_reason(event.finish, event.stop_sequence, refused)
        delta: dict[str, Any] = {"stop_reason": reason, "stop_sequence": event.stop_sequence}
        if details is not None:
            delta["stop_details"] = details
        yield _event({"type": "message_delta", "delta": delta, "usage": counts})
        yield _event({"type": "message_stop"})


def _event(data: dict[str, Any]) -> bytes:
    return sse.event(data, data["type"])
