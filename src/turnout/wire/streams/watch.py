"""A stream that passes through: what it uses and when its answer begins, parsing next to nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from turnout.types import Usage
from turnout.wire.dialects import Dialect
from turnout.wire.sse import WholeLines
from turnout.wire.usage import merge_usage, read_usage, service_of

_CONTENT: Mapping[Dialect, re.Pattern[bytes]] = {
    "chat": re.compile(
        rb'"(?:content|reasoning_content|reasoning|refusal|arguments|input)": ?"[^"]|"tool_calls": ?\[\{'
    ),
    "responses": re.compile(
        rb'"type": ?"response\.[a-z_.]+\.delta"|"type": ?"(?:function|custom_tool)_call"'
    ),
    "messages": re.compile(rb'"type": ?"content_block_delta"|"type": ?"tool_use"'),
}
_EMPTY_CHOICES = re.compile(rb'"choices": ?\[\]')
_COUNTED: Mapping[Dialect, re.Pattern[bytes]] = {
    "chat": re.compile(rb'"usage": ?\{'),
    "responses": re.compile(rb'"type": ?"response\.(?:completed|incomplete|failed)"'),
    "messages": re.compile(rb'"type": ?"message_(?:start|delta)"'),
}
"""Lines that say what was used. Only these are parsed, and the first one, for the model's name."""
_COUNTED_WORD: Mapping[Dialect, bytes] = {
    "chat": b'"usage"',
    "responses": b'"response.',
    "messages": b'"message_',
}
"""What all such lines have: cheap to look for, before the pattern decides."""
_MARKS: Mapping[Dialect, tuple[bytes, ...]] = {
    "chat": (b'"finish_reason":"', b'"finish_reason": "', b'"error"', b'"usage"', b"[DONE]"),
    "responses": (
        b'"error"', b"response.completed", b"response.incomplete", b"response.failed",
    ),
    "messages": (b'message_', b'"error"'),
}  # fmt: skip
"""Of a stream whose answer has begun: lines without any of these tell nothing but what they say."""
_MARKS_OF_HIDDEN = (b'"choices":[]', b'"choices": []')
_TROUBLE: Mapping[Dialect, tuple[bytes, ...]] = {
    "chat": (b'"error"',),
    "responses": (b'"error"', b"response.failed"),
    "messages": (b'"error"',),
}
"""Words of which one is in every event of an error: cheap to look for, before the pattern decides."""
_ERROR: Mapping[Dialect, re.Pattern[bytes]] = {
    "chat": re.compile(rb'"error": ?[{"]'),
    "responses": re.compile(rb'"type": ?"(?:error|response\.failed)"'),
    "messages": re.compile(rb'"type": ?"error"'),
}
"""Lines that may tell of an error; these are parsed too."""


class StreamWatch:
    """Passes a stream on in whole lines, byte for byte, and reads what the gateway must know.

    Args:
        dialect: the stream's.
        hide_usage: leave the last chunk of a chat stream out, which has usage and no choices: for a
            client that did not ask for it (`ask_for_usage` asked in its place).
    """

    def __init__(self, dialect: Dialect, *, hide_usage: bool = False) -> None:
        self._dialect: Dialect = dialect
        self._lines = WholeLines(dialect=dialect)
        self._hide = hide_usage and dialect == "chat"
        self._marks = _MARKS[dialect] + (_MARKS_OF_HIDDEN if self._hide else ())
        self._given: Any = None
        self._after_hidden = False
        self._plain = False
        """Lines without a mark need no look."""
        self.answered = False
        """Some of the answer has passed: from here on there is no other candidate."""
        self.failed = False
        """The upstream has told of an error."""
        self.model: str | None = None
        """The model that the upstream names."""
        self.service = ""
        """The service tier that it says it served the call in."""
        self.problems: tuple[str, ...] = ()
        """Counts that were not believed, by name."""

    @property
    def ended(self) -> bool:
        """The stream came to an end of its own."""
        return self._lines.ended

    @property
    def usage(self) -> Usage | None:
        """What the upstream says it used; a count that comes twice is taken once."""
        reading = read_usage(self._dialect, self._given)
        self.problems = reading.problems
        return reading.usage

    def feed(self, chunk: bytes) -> bytes:
        """What to pass on after this chunk: whole lines alone."""
        if self._plain and not self._lines.held and chunk.endswith(b"\n"):
            for mark in self._marks:
                if mark in chunk:
                    break
            else:
                return chunk
        return self._see(self._lines.feed(chunk))

    def rest(self) -> bytes:
        """What is held back when the stream is over."""
        return self._see(self._lines.rest())

    def _see(self, lines: bytes) -> bytes:
        if not lines:
            return lines
        if not self.answered and _CONTENT[self._dialect].search(lines):
            self.answered = True
        for trouble in _TROUBLE[self._dialect]:
            if trouble in lines:
                self.failed = self.failed or self._tells_of_error(lines)
                break
        word = _COUNTED_WORD[self._dialect]
        if self.model is None or (word in lines and _COUNTED[self._dialect].search(lines)):
            for line in lines.splitlines():
                if line.startswith(b"data:") and self._matters(line):
                    self._read(line)
        if self._hide:
            lines = self._without_usage(lines)
        self._plain = self.answered and self.model is not None and not self._after_hidden
        return lines

    def _tells_of_error(self, lines: bytes) -> bool:
        pattern = _ERROR[self._dialect]
        return any(
            line.startswith(b"data:") and pattern.search(line) and self._is_error(line)
            for line in lines.splitlines()
        )

    def _is_error(self, line: bytes) -> bool:
        """Whether an event is one of an error itself, and not of an answer that speaks of one."""
        try:
            event = json.loads(line[5:])
        except (ValueError, RecursionError):
            return False
        if not isinstance(event, dict):
            return False
        if self._dialect == "chat":
            return bool(event.get("error"))
        return event.get("type") in ("error", "response.failed")

    def _matters(self, line: bytes) -> bool:
        return self.model is None or _COUNTED[self._dialect].search(line) is not None

    def _read(self, line: bytes) -> None:
        try:
            event = json.loads(line[5:])
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        inner = event.get("message") if self._dialect == "messages" else event.get("response")
        holder = inner if isinstance(inner, dict) else event
        if self.model is None and isinstance(holder.get("model"), str):
            self.model = holder["model"]
        self.service = service_of(self._dialect, holder) or self.service
        usage = holder.get("usage")
        if self._dialect == "messages":
            self._given = merge_usage(self._given, usage)
        elif usage is not None:
            self._given = usage

    def _without_usage(self, lines: bytes) -> bytes:
        """The lines without the chunk of usage and the empty line behind it."""
        if not self._after_hidden and not _EMPTY_CHOICES.search(lines):
            return lines
        kept = []
        for line in lines.splitlines(keepends=True):
            if self._after_hidden and not line.strip():
                continue  # also the half of a CRLF that a chunk was cut in
            self._after_hidden = _is_usage_chunk(line)
            if not self._after_hidden:
                kept.append(line)
        return b"".join(kept)


def _is_usage_chunk(line: bytes) -> bool:
    if not line.startswith(b"data:") or not _EMPTY_CHOICES.search(line):
        return False
    try:
        chunk = json.loads(line[5:])
    except (ValueError, RecursionError):
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and bool(chunk.get("usage"))


def asks_for_usage(request: Mapping[str, Any]) -> bool:
    """Whether a chat request asks for usage at the end of its stream."""
    options = request.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def ask_for_usage(request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to set in a chat request so that its stream ends with usage; none if it will."""
    if request.get("stream") is not True or asks_for_usage(request):
        return {}
    options = request.get("stream_options")
    given = options if isinstance(options, Mapping) else {}
    return {"stream_options": {**given, "include_usage": True}}
