"""Chunks of a chat stream → events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.wire.streams.events import BlockKind, Event, Finished, Start
from turnout.wire.streams.reading import Blocks, failed, truncated
from turnout.wire.translate.answers_read import chat_finish, created, mapping, reasoning_of, text
from turnout.wire.translate.ids import core
from turnout.wire.translate.neutral import Finish


@dataclass(slots=True)
class _Call:
    """A tool call under way."""

    index: int
    id: str
    said: list[str] = field(default_factory=list)

    def whole(self) -> bool:
        """Whether its arguments are complete JSON, so that nothing can follow."""
        try:
            json.loads("".join(self.said))
        except (ValueError, RecursionError):
            return False
        return True


class ChatReader:
    """Reads `chat.completion.chunk` objects. Blocks open as their first text comes."""

    def __init__(self) -> None:
        self.blocks = Blocks("chat")
        self._started = False
        self._id = ""
        self._current: tuple[BlockKind, int] | None = None
        self._calls: dict[int, _Call] = {}
        self._finish: Finish | None = None
        self._tier: str | None = None
        self._done = False

    def read(self, given: Mapping[str, Any]) -> Iterator[Event]:
        """What one chunk tells."""
        if given.get("error") is not None:
            yield failed(given)
            return
        choices = given.get("choices")
        choices = choices if isinstance(choices, list) else []
        if not self._started and choices:
            self._started = True
            self._id = text(given.get("id"))
            yield Start(self._id, text(given.get("model")), created(given.get("created")))
        self._tier = text(given.get("service_tier")) or self._tier
        self.blocks.use(given.get("usage"))
        for choice in choices:
            yield from self._choice(mapping(choice))
        if not choices and given.get("usage") is not None:
            yield from self._finished()

    def end(self) -> Iterator[Event]:
        """Complete if a finish reason was seen, though `[DONE]` or usage may be missing."""
        if self._finish is None:
            yield truncated()
        else:
            yield from self._finished()

    def _finished(self) -> Iterator[Event]:
        if self._finish is not None and not self._done:
            self._done = True
            yield Finished(self._finish, self.blocks.usage, tier=self._tier)

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        if choice.get("index") not in (0, None):
            self.blocks.drop("choices after the first")
            return
        delta = mapping(choice.get("delta"))
        if thought := reasoning_of(delta):
            yield from self._say("thinking", thought)
        if said := text(delta.get("content")):
            yield from self._say("text", said)
        if refusal := text(delta.get("refusal")):
            yield from self._say("refusal", refusal)
        calls = delta.get("tool_calls")
        for item in calls if isinstance(calls, list) else ():
            yield from self._call(mapping(item))
        for name in ("audio", "function_call", "annotations"):
            if delta.get(name):
                self.blocks.drop(f"delta.{name}")
        if choice.get("logprobs"):
            self.blocks.drop("logprobs")
        if choice.get("finish_reason") is not None:
            self._finish = chat_finish(choice["finish_reason"])
            yield from self.blocks.close_all()

    def _say(self, kind: BlockKind, said: str) -> Iterator[Event]:
        if self._current is None or self._current[0] != kind:
            yield from self.blocks.close_all()
            opened = self.blocks.opened(kind)
            self._current = (kind, opened.index)
            yield opened
        yield self.blocks.more(self._current[1], said)

    def _call(self, item: Mapping[str, Any]) -> Iterator[Event]:
        custom = item.get("type") == "custom" or isinstance(item.get("custom"), Mapping)
        inner = mapping(item.get("custom" if custom else "function"))
        key, given_id = self._key(item), text(item.get("id"))
        call = self._calls.get(key)
        if call is None:
            yield from self._before_call()
            call_id = given_id or f"call_{core(self._id)}_{len(self._calls)}"
            opened = self.blocks.opened(
                "custom" if custom else "call", id=call_id, name=text(inner.get("name"))
            )
            call = self._calls[key] = _Call(opened.index, call_id)
            yield opened
        said = text(inner.get("input" if custom else "arguments"))
        if said and call.index in self.blocks.open:
            call.said.append(said)
            yield self.blocks.more(call.index, said)

    def _key(self, item: Mapping[str, Any]) -> int:
        """Which call a delta belongs to.

        Providers leave the index out, or give every call index 0: a new id is a new call.
        """
        index, given_id = item.get("index"), text(item.get("id"))
        known = {call.id: key for key, call in self._calls.items()}
        if given_id and given_id in known:
            return known[given_id]
        last = len(self._calls)
        if not isinstance(index, int) or isinstance(index, bool):
            return last if given_id or not last else last - 1
        if given_id and index in self._calls:
            return max(self._calls) + 1
        return index

    def _before_call(self) -> Iterator[Event]:
        """Close what came before; a call whose arguments are not whole yet may go on beside."""
        self._current = None
        going = {
            c.index for c in self._calls.values() if c.index in self.blocks.open and not c.whole()
        }
        for index in sorted(self.blocks.open):
            if index not in going:
                yield from self.blocks.close(index)
