"""Events → events of a Responses stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from turnout.wire import sse
from turnout.wire.errors import write_fault
from turnout.wire.streams.events import (
    BlockKind,
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
from turnout.wire.streams.write_chat import PING
from turnout.wire.translate.answers_write import (
    INCOMPLETE,
    openai_tier,
    response_frame,
    response_item,
    response_message,
    response_part,
)
from turnout.wire.translate.ids import item_id
from turnout.wire.translate.neutral import Refusal, Text, Thinking, ToolCall
from turnout.wire.translate.replies import Client
from turnout.wire.usage import write_usage

_STEMS: dict[BlockKind, tuple[str, str]] = {
    "text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "call": ("response.function_call_arguments", "arguments"),
    "custom": ("response.custom_tool_call_input", "input"),
    "thinking": ("response.reasoning_summary_text", "text"),
}


@dataclass(slots=True)
class _Block:
    """A block under way, and where it stands in the output."""

    opened: Open
    at: int
    item: str
    part: int = 0
    said: list[str] = field(default_factory=list)
    sign: Sign | None = None
    before: bytes = b""
    """What stands before the text of a delta."""
    after: bytes = b""
    """What stands between the text of a delta and its number."""

    def __post_init__(self) -> None:
        kind = self.opened.kind
        if kind in _STEMS:
            form = f"{_STEMS[kind][0]}.delta"
            head = json.dumps({"type": form, **self.place}, separators=(",", ":"))[:-1]
            self.before = f'event: {form}\ndata: {head},"delta":'.encode()
            self.after = b',"logprobs":[]' * (kind == "text") + b',"sequence_number":'

    @property
    def place(self) -> dict[str, Any]:
        """The fields that say which part of which item an event is of."""
        where: dict[str, Any] = {"item_id": self.item, "output_index": self.at}
        if self.opened.kind in ("text", "refusal"):
            where["content_index"] = self.part
        elif self.opened.kind == "thinking":
            where["summary_index"] = 0
        return where


class ResponsesWriter:
    """Writes `response.created` … `response.completed`, `.incomplete` or `.failed`.

    The last event repeats the whole output, so the text is kept until then.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._number = 0
        self._frame: dict[str, Any] = {}
        self._id = ""
        self._output: list[dict[str, Any]] = []
        self._blocks: dict[int, _Block] = {}
        self._message: int | None = None

    def write(self, event: Event) -> Iterator[bytes]:
        """The bytes that tell of one event."""
        if isinstance(event, Delta):
            yield from self._delta(event)
        elif isinstance(event, Open):
            yield from self._open(event)
        elif isinstance(event, Close):
            yield from self._close(event)
        elif isinstance(event, Sign):
            if event.index in self._blocks:
                self._blocks[event.index].sign = event
        elif isinstance(event, Start):
            yield from self._start(event)
        elif isinstance(event, Finished):
            yield from self._finished(event)
        elif isinstance(event, Failed):
            yield from self._failed(event)
        elif isinstance(event, Ping):
            yield PING

    def _event(self, form: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse.event({"type": form, **fields, "sequence_number": number}, form)

    def _start(self, event: Start) -> Iterator[bytes]:
        self._id = event.id
        self._frame = response_frame(event.id, event.model, event.created, self._client)
        yield self._event("response.created", response=self._frame)
        yield self._event("response.in_progress", response=self._frame)

    def _open(self, event: Open) -> Iterator[bytes]:
        if event.kind in ("text", "refusal"):
            yield from self._open_part(event)
            return
        yield from self._close_message()
        at = len(self._output)
        item = response_item(_part(event, ""), self._id, at)
        if event.kind != "redacted":
            item = {**item, "status": "in_progress"}
        self._output.append(item)
        self._blocks[event.index] = _Block(event, at, item["id"])
        yield self._event("response.output_item.added", output_index=at, item=item)

    def _open_part(self, event: Open) -> Iterator[bytes]:
        if self._message is None:
            self._message = len(self._output)
            item = response_message(item_id("msg", self._id, self._message), "in_progress")
            self._output.append(item)
            yield self._event(
                "response.output_item.added", output_index=self._message, item={**item}
            )
        message = self._output[self._message]
        block = _Block(event, self._message, message["id"], len(message["content"]))
        self._blocks[event.index] = block
        part = response_part(Text(text="") if event.kind == "text" else Refusal(text=""))
        message["content"] = [*message["content"], part]
        yield self._event("response.content_part.added", **block.place, part=part)

    def _delta(self, event: Delta) -> Iterator[bytes]:
        block = self._blocks.get(event.index)
        if block is None or block.opened.kind not in _STEMS:
            return
        if block.opened.kind == "thinking" and not block.said:
            part = {"type": "summary_text", "text": ""}
            yield self._event("response.reasoning_summary_part.added", **block.place, part=part)
        block.said.append(event.text)
        # By far the most events are deltas, and all but their text and number is alike.
        number, self._number = self._number, self._number + 1
        yield b"%b%b%b%d}\n\n" % (
            block.before,
            json.dumps(event.text).encode(),
            block.after,
            number,
        )

    def _close(self, event: Close) -> Iterator[bytes]:
        block = self._blocks.pop(event.index, None)
        if block is None:
            return
        said, kind = "".join(block.said), block.opened.kind
        if kind in ("text", "refusal"):
            part = response_part(Text(text=said) if kind == "text" else Refusal(text=said))
            message = self._output[block.at]
            message["content"] = [
                part if i == block.part else p for i, p in enumerate(message["content"])
            ]
            yield self._done(block, said)
            yield self._event("response.content_part.done", **block.place, part=part)
            return
        if kind == "thinking" and said:
            part = {"type": "summary_text", "text": said}
            yield self._done(block, said)
            yield self._event("response.reasoning_summary_part.done", **block.place, part=part)
        elif kind in ("call", "custom"):
            yield self._done(block, said)
        item = response_item(_part(block.opened, said, block.sign), self._id, block.at)
        self._output[block.at] = item
        yield self._event("response.output_item.done", output_index=block.at, item=item)

    def _done(self, block: _Block, said: str) -> bytes:
        stem, name = _STEMS[block.opened.kind]
        more: dict[str, Any] = {"logprobs": []} if block.opened.kind == "text" else {}
        return self._event(f"{stem}.done", **block.place, **{name: said}, **more)

    def _close_message(self, status: str = "completed") -> Iterator[bytes]:
        if self._message is None:
            return
        at, self._message = self._message, None
        self._output[at] = {**self._output[at], "status": status}
        yield self._event("response.output_item.done", output_index=at, item=self._output[at])

    def _finished(self, event: Finished) -> Iterator[bytes]:
        status = "incomplete" if event.finish in INCOMPLETE else "completed"
        yield from self._close_message(status)
        response = {**self._frame, "status": status, "output": self._output}
        if status == "incomplete":
            response["incomplete_details"] = {"reason": INCOMPLETE[event.finish]}
        else:
            response["completed_at"] = self._client.now
        if event.usage is not None:
            response["usage"] = write_usage("responses", event.usage)
        if (tier := openai_tier(event.tier)) is not None:
            response["service_tier"] = tier
        yield self._event(f"response.{status}", response=response)

    def _failed(self, event: Failed) -> Iterator[bytes]:
        """`response.failed` of a response that began; before that, a bare error."""
        status, body = write_fault(event.fault, "responses")
        inner = body["error"]
        if not self._frame:
            named = {name: inner[name] for name in ("code", "message", "param")}
            yield self._event("error", **named)
            return
        code = "rate_limit_exceeded" if status == 429 else "server_error"
        error = {"code": code, "message": inner["message"]}
        response = {**self._frame, "status": "failed", "error": error, "output": self._output}
        yield self._event("response.failed", response=response)


def _part(event: Open, said: str, sign: Sign | None = None) -> Thinking | ToolCall:
    """The whole part of a block."""
    if event.kind in ("call", "custom"):
        return ToolCall(id=event.id, name=event.name, arguments=said, custom=event.kind == "custom")
    if event.kind == "redacted":
        return Thinking(signature=event.data, origin="anthropic", redacted=True)
    if sign is None:
        return Thinking(text=said)
    return Thinking(text=said, signature=sign.signature, origin=sign.origin, id=sign.id)
