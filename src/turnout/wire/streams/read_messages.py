"""Events of an Anthropic stream → events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.wire.streams.events import Event, Finished, Ping, Sign, Start
from turnout.wire.streams.reading import Blocks, failed, truncated
from turnout.wire.translate.answers_read import mapping, messages_finish, text
from turnout.wire.usage import merge_usage, service_of


class MessagesReader:
    """Reads `message_start` … `message_stop`."""

    def __init__(self) -> None:
        self.blocks = Blocks("messages")
        self._indices: dict[Any, int] = {}
        self._whole_inputs: dict[int, Mapping[str, Any]] = {}
        self._usage: Any = None
        self._stop: Mapping[str, Any] | None = None
        self._done = False

    def read(self, given: Mapping[str, Any]) -> Iterator[Event]:
        """What one event tells; one of a type that nobody knows tells nothing."""
        form = given.get("type")
        if form == "content_block_delta":
            yield from self._delta(given)
        elif form == "content_block_start":
            yield from self._start_block(given)
        elif form == "content_block_stop":
            yield from self._stop_block(given)
        elif form == "message_start":
            message = mapping(given.get("message"))
            self._use(message.get("usage"))
            yield Start(text(message.get("id")), text(message.get("model")))
        elif form == "message_delta":
            self._use(given.get("usage"))
            self._stop = mapping(given.get("delta"))
        elif form == "message_stop":
            yield from self._finished()
        elif form == "ping":
            yield Ping()
        elif form == "error":
            yield failed(given)

    def end(self) -> Iterator[Event]:
        """Complete if a stop reason was seen, though `message_stop` may be missing."""
        if self._stop is None or self._stop.get("stop_reason") is None:
            yield truncated()
        else:
            yield from self._finished()

    def _use(self, usage: Any) -> None:
        self._usage = merge_usage(self._usage, usage)
        self.blocks.use(self._usage)

    def _finished(self) -> Iterator[Event]:
        if self._done:
            return
        self._done = True
        yield from self.blocks.close_all()
        stop = self._stop or {}
        why = text(mapping(stop.get("stop_details")).get("explanation"))
        if stop.get("stop_reason") == "refusal" and why:
            yield from self.blocks.whole("refusal", why)
        yield Finished(
            messages_finish(stop.get("stop_reason")),
            self.blocks.usage,
            text(stop.get("stop_sequence")) or None,
            service_of("messages", {"usage": self._usage}) or None,
        )

    def _start_block(self, given: Mapping[str, Any]) -> Iterator[Event]:
        block = mapping(given.get("content_block"))
        form, key = text(block.get("type")), _key(given)
        if form == "tool_use":
            opened = self.blocks.opened(
                "call", id=text(block.get("id")), name=text(block.get("name"))
            )
            if isinstance(block.get("input"), Mapping) and block["input"]:
                self._whole_inputs[opened.index] = block["input"]
        elif form == "text":
            opened = self.blocks.opened("text")
        elif form == "thinking":
            opened = self.blocks.opened("thinking")
        elif form == "redacted_thinking":
            opened = self.blocks.opened("redacted", data=text(block.get("data")))
        else:
            self.blocks.drop(f"content {form or 'block'}")
            return
        self._indices[key] = opened.index
        yield opened
        if said := text(block.get("text")) or text(block.get("thinking")):
            yield self.blocks.more(opened.index, said)

    def _delta(self, given: Mapping[str, Any]) -> Iterator[Event]:
        index = self._indices.get(_key(given))
        delta = mapping(given.get("delta"))
        form = delta.get("type")
        if index is None:
            return
        if form == "text_delta":
            said = text(delta.get("text"))
        elif form == "input_json_delta":
            said = text(delta.get("partial_json"))
            if said:
                self._whole_inputs.pop(index, None)
        elif form == "thinking_delta":
            said = text(delta.get("thinking"))
        else:
            said = ""
            if form == "signature_delta":
                yield Sign(index, text(delta.get("signature")), "anthropic")
            else:
                self.blocks.drop("citations" if form == "citations_delta" else "a delta")
        if said:
            yield self.blocks.more(index, said)

    def _stop_block(self, given: Mapping[str, Any]) -> Iterator[Event]:
        index = self._indices.get(_key(given))
        whole = None if index is None else self._whole_inputs.pop(index, None)
        if index is not None and whole is not None:
            yield self.blocks.more(index, json.dumps(whole))
        yield from self.blocks.close(index)


def _key(given: Mapping[str, Any]) -> int:
    index = given.get("index")
    return index if isinstance(index, int) else -1
