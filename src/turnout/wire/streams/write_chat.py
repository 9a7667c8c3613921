"""Events → chunks of a chat stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from turnout.wire import sse
from turnout.wire.errors import write_fault
from turnout.wire.streams.events import (
    Delta,
    Event,
    Failed,
    Finished,
    Open,
    Ping,
    Start,
)
from turnout.wire.translate.answers_write import openai_tier
from turnout.wire.translate.ids import reply_id
from turnout.wire.translate.replies import Client
from turnout.wire.usage import write_usage

PING = b": ping\n\n"
_FIELDS = {"text": "content", "refusal": "refusal", "thinking": "reasoning_content"}


class ChatWriter:
    """Writes `chat.completion.chunk` objects, ended by `[DONE]`; after a failure there is none."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._head: dict[str, Any] = {}
        self._before = b""
        self._after = b""
        self._fields: dict[int, str] = {}
        self._calls: dict[int, tuple[int, str, str]] = {}

    def write(self, event: Event) -> Iterator[bytes]:
        """The bytes that tell of one event."""
        if isinstance(event, Delta):
            yield self._delta(event)
        elif isinstance(event, Open):
            yield from self._open(event)
        elif isinstance(event, Start):
            yield self._start(event)
        elif isinstance(event, Finished):
            yield from self._finished(event)
        elif isinstance(event, Failed):
            yield sse.event(write_fault(event.fault, "chat")[1])
        elif isinstance(event, Ping):
            yield PING

    def _start(self, event: Start) -> bytes:
        client = self._client
        self._head = {
            "id": reply_id(event.id, "chat"),
            "object": "chat.completion.chunk",
            "created": client.now if event.created is None else event.created,
            "model": client.model or event.model,
        }
        # All chunks but the last are alike around their delta.
        tail = ',"usage":null}' if client.include_usage else "}"
        head = json.dumps(self._head, separators=(",", ":"))[:-1]
        self._before = f'data: {head},"choices":[{{"index":0,"delta":'.encode()
        self._after = f',"logprobs":null,"finish_reason":null}}]{tail}\n\n'.encode()
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        inner = json.dumps(delta, separators=(",", ":")).encode()
        return self._before + inner + self._after

    def _open(self, event: Open) -> Iterator[bytes]:
        if event.kind in ("call", "custom"):
            form, given = ("function", "arguments") if event.kind == "call" else ("custom", "input")
            at = len(self._calls)
            self._calls[event.index] = (at, form, given)
            call = {
                "index": at,
                "id": event.id,
                "type": form,
                form: {"name": event.name, given: ""},
            }
            yield self._chunk({"tool_calls": [call]})
        elif event.kind in _FIELDS:
            self._fields[event.index] = _FIELDS[event.kind]

    def _delta(self, event: Delta) -> bytes:
        field = self._fields.get(event.index)
        if field is not None:
            inner = f'{{"{field}":{json.dumps(event.text)}}}'
            return self._before + inner.encode() + self._after
        if event.index not in self._calls:
            return b""
        at, form, given = self._calls[event.index]
        return self._chunk({"tool_calls": [{"index": at, form: {given: event.text}}]})

    def _finished(self, event: Finished) -> Iterator[bytes]:
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": event.finish}
        last: dict[str, Any] = {**self._head, "choices": [choice]}
        if (tier := openai_tier(event.tier)) is not None:
            last["service_tier"] = tier
        if self._client.include_usage:
            yield sse.event({**last, "usage": None})
            if event.usage is not None:
                usage = write_usage("chat", event.usage)
                yield sse.event({**self._head, "choices": [], "usage": usage})
        else:
            yield sse.event(last)
        yield sse.DONE
