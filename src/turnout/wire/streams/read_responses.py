"""Events of a Responses stream → events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from turnout.wire.streams.events import BlockKind, Event, Finished, Sign, Start
from turnout.wire.streams.reading import Blocks, failed, truncated
from turnout.wire.translate.answers_read import (
    created,
    mapping,
    response_item,
    responses_finish,
    text,
)
from turnout.wire.translate.neutral import Refusal, Text, Thinking, ToolCall

_Key: TypeAlias = tuple[int, int]
"""Index of the output item, and of the part in it (0 for a call, -1 for reasoning)."""

_TEXTS: Mapping[str, tuple[BlockKind, str]] = {
    "response.output_text": ("text", "text"),
    "response.refusal": ("refusal", "refusal"),
    "response.function_call_arguments": ("call", "arguments"),
    "response.custom_tool_call_input": ("custom", "input"),
    "response.reasoning_summary_text": ("thinking", "text"),
    "response.reasoning_text": ("thinking", "text"),
}
"""What has `.delta` and `.done` events: the kind of block, and the field that `.done` says it all in."""


class ResponsesReader:
    """Reads `response.created` … `response.completed`, `.incomplete` or `.failed`."""

    def __init__(self) -> None:
        self.blocks = Blocks("responses")
        self._started = False
        self._keys: dict[_Key, int] = {}
        self._lengths: dict[int, int] = {}
        self._parts: dict[int, int] = {}
        self._seen: set[int] = set()
        self._done = False

    def read(self, given: Mapping[str, Any]) -> Iterator[Event]:
        """What one event tells; one of a type that nobody knows tells nothing."""
        form = text(given.get("type"))
        stem, _, act = form.rpartition(".")
        if stem in _TEXTS and act in ("delta", "done"):
            yield from self._text(stem, act, given)
        elif stem == "response.output_item":
            yield from self._item(act, given)
        elif form == "response.content_part.done":
            yield from self.blocks.close(self._keys.get(_key(given)))
        elif form in ("response.created", "response.in_progress", "response.queued"):
            yield from self._start(mapping(given.get("response")))
        elif form in ("response.completed", "response.incomplete"):
            yield from self._finished(mapping(given.get("response")))
        elif form == "response.failed":
            yield failed(mapping(given.get("response")))
        elif form == "error" or (not form and given.get("error") is not None):
            yield failed(given)
        elif form == "response.output_text.annotation.added":
            self.blocks.drop("annotations")

    def end(self) -> Iterator[Event]:
        """Only the last event makes a response complete."""
        if not self._done:
            yield truncated()

    def _start(self, response: Mapping[str, Any]) -> Iterator[Event]:
        if not self._started:
            self._started = True
            at = created(response.get("created_at"))
            yield Start(text(response.get("id")), text(response.get("model")), at)

    def _text(self, stem: str, act: str, given: Mapping[str, Any]) -> Iterator[Event]:
        kind, whole = _TEXTS[stem]
        key = _key(given, kind)
        said = text(given.get("delta" if act == "delta" else whole))
        self._seen.add(key[0])
        index = self._keys.get(key)
        if index is None:
            if not said:
                return
            yield from self._open(key, kind)
            index = self._keys[key]
        elif act == "done":
            # Only what no delta has said; of several summaries, `.done` says the last alone.
            said = "" if kind == "thinking" else said[self._lengths.get(index, 0) :]
        elif kind == "thinking":
            yield from self._next_summary(index, given)
        if said:
            self._lengths[index] = self._lengths.get(index, 0) + len(said)
            yield self.blocks.more(index, said)

    def _next_summary(self, index: int, given: Mapping[str, Any]) -> Iterator[Event]:
        """An empty line between the parts of a reasoning item."""
        part = _index(given, "summary_index") + _index(given, "content_index")
        if self._parts.setdefault(index, 0) != part:
            self._parts[index] = part
            yield self.blocks.more(index, "\n\n")

    def _open(self, key: _Key, kind: BlockKind, **words: str) -> Iterator[Event]:
        if kind in ("text", "refusal", "thinking"):
            yield from self.blocks.close_all()
        opened = self.blocks.opened(kind, **words)
        self._keys[key] = opened.index
        yield opened

    def _item(self, act: str, given: Mapping[str, Any]) -> Iterator[Event]:
        item, at = mapping(given.get("item")), _index(given, "output_index")
        form = text(item.get("type"))
        if form in ("function_call", "custom_tool_call"):
            yield from self._call(at, item, custom=form == "custom_tool_call")
        if act != "done":
            return
        if at not in self._seen:
            self._seen.add(at)
            yield from self._whole(item)
        elif form == "reasoning":
            yield from self._sign(at, item)
        for key, index in list(self._keys.items()):
            if key[0] == at:
                yield from self.blocks.close(index)

    def _call(self, at: int, item: Mapping[str, Any], *, custom: bool) -> Iterator[Event]:
        """A call opens when it is added, and says what its deltas did not when it is done."""
        self._seen.add(at)
        if (at, 0) not in self._keys:
            words = {"id": text(item.get("call_id")), "name": text(item.get("name"))}
            yield from self._open((at, 0), "custom" if custom else "call", **words)
        index = self._keys[at, 0]
        said = text(item.get("input" if custom else "arguments"))
        rest = said[self._lengths.get(index, 0) :]
        if rest and index in self.blocks.open:
            self._lengths[index] = len(said)
            yield self.blocks.more(index, rest)

    def _sign(self, at: int, item: Mapping[str, Any]) -> Iterator[Event]:
        index = self._keys.get((at, -1))
        blob = text(item.get("encrypted_content"))
        if index is not None and blob:
            yield Sign(index, blob, "openai", text(item.get("id")) or None)

    def _whole(self, item: Mapping[str, Any]) -> Iterator[Event]:
        """An item that came without deltas."""
        odd: list[str] = []
        for part in response_item(item, odd):
            if isinstance(part, Text | Refusal):
                kind: BlockKind = "text" if isinstance(part, Text) else "refusal"
                yield from self.blocks.whole(kind, part.text)
            elif isinstance(part, ToolCall):
                kind = "custom" if part.custom else "call"
                yield from self.blocks.whole(kind, part.arguments, id=part.id, name=part.name)
            elif part.text or part.signature:
                yield from self._thought(part)
        for name in odd:
            self.blocks.drop(name)

    def _thought(self, part: Thinking) -> Iterator[Event]:
        opened = self.blocks.opened("thinking")
        yield opened
        if part.text:
            yield self.blocks.more(opened.index, part.text)
        if part.signature:
            yield Sign(opened.index, part.signature, "openai", part.id)
        yield from self.blocks.close(opened.index)

    def _finished(self, response: Mapping[str, Any]) -> Iterator[Event]:
        if self._done:
            return
        self._done = True
        yield from self._start(response)
        yield from self.blocks.close_all()
        output = response.get("output")
        for at, item in enumerate(output if isinstance(output, list) else ()):
            if at not in self._seen and not self._keys:
                yield from self._whole(mapping(item))
        self.blocks.use(response.get("usage"))
        yield Finished(
            responses_finish(response, self.blocks.called),
            self.blocks.usage,
            tier=text(response.get("service_tier")) or None,
        )


def _index(given: Mapping[str, Any], name: str) -> int:
    value = given.get(name)
    return value if isinstance(value, int) else 0


def _key(given: Mapping[str, Any], kind: BlockKind = "text") -> _Key:
    at = _index(given, "output_index")
    if kind == "thinking":
        return at, -1
    return at, 0 if kind in ("call", "custom") else _index(given, "content_index")
