"""Server-sent events, as far as the three dialects need them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import ReplyError
from turnout.wire.dialects import Dialect

MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"

_BREAK = re.compile(rb"\r\n|\n|\r")

LINE_CAP = 1 << 20
"""Bytes of one line that are held back; a longer line is passed on in pieces."""

_ENDINGS: Mapping[Dialect, tuple[bytes, ...]] = {
    "chat": (b'"finish_reason":"', b'"finish_reason": "', b"[DONE]", b'{"error":'),
    "responses": (b"response.completed", b"response.failed", b"response.incomplete", b'"error"'),
    "messages": (b"message_stop", b'"error"'),
}
"""Words of which one is in every end: cheap to look for, before the pattern decides."""

_ENDING: Mapping[Dialect, re.Pattern[bytes]] = {
    "chat": re.compile(rb'"finish_reason": ?"|^data: ?\[DONE\]|^data: ?\{"error":', re.MULTILINE),
    "responses": re.compile(rb'"type": ?"(?:response\.(?:completed|failed|incomplete)|error)"'),
    "messages": re.compile(rb'"type": ?"(?:message_stop|error)"'),
}
"""What marks an end. In a text that quotes it, the quotes would be escaped."""


_encode = json.JSONEncoder(separators=(",", ":")).encode


def event(data: Any, name: str | None = None) -> bytes:
    """One event that carries JSON; Responses and Messages name theirs."""
    line = b"data: " + _encode(data).encode() + b"\n\n"
    return line if name is None else b"event: " + name.encode() + b"\n" + line


@dataclass(slots=True)
class WholeLines:
    """Passes a stream on in whole lines, unchanged, and sees whether it came to its end.

    A stream that breaks can then be closed with an event of our own: the client never gets half a
    line, which it could only fail to parse.
    """

    ended: bool = False
    """The dialect's last event, an error, or of a chat stream a finish reason has passed."""
    dialect: Dialect = "chat"
    held: bytes = b""
    """The beginning of a line, which waits for the rest."""

    def feed(self, chunk: bytes) -> bytes:
        """The whole lines so far; what follows the last line break is held back."""
        if not self.held and chunk.endswith(b"\n"):
            self.ended = self.ended or self._ends(chunk)
            return chunk
        held = self.held + chunk
        cut = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        if not cut and len(held) > LINE_CAP:
            cut = len(held)
        lines, self.held = held[:cut], held[cut:]
        self.ended = self.ended or self._ends(lines)
        return lines

    def rest(self) -> bytes:
        """What is still held back when the stream is over."""
        held, self.held = self.held, b""
        self.ended = self.ended or self._ends(held)
        return held

    def _ends(self, lines: bytes) -> bool:
        for word in _ENDINGS[self.dialect]:
            if word in lines:
                return _ENDING[self.dialect].search(lines) is not None
        return False


@dataclass(slots=True)
class EventReader:
    """Reads the data of events from bytes that arrive in any pieces.

    Args:
        cap: bytes of one line, and of the data of one event, that are held at most.
    """

    cap: int = LINE_CAP
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0
    _data: list[str] = field(default_factory=list)
    _data_size: int = 0
    _started: bool = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The data of the events that are complete with this chunk.

        Raises:
            ReplyError: a line, or the data of an event, is longer than the cap.
        """
        self._pieces.append(chunk)
        self._size += len(chunk)
        waiting = len(self._pieces) > 1 and self._pieces[-2].endswith(b"\r")
        if self._started and not waiting and b"\n" not in chunk and b"\r" not in chunk:
            self._check(self._size)
            return
        held = b"".join(self._pieces)
        if not self._started:
            if b"\xef\xbb\xbf".startswith(held[:3]) and len(held) < 3:
                return
            self._started, held = True, held.removeprefix(b"\xef\xbb\xbf")
        # A CR at the end may be half of a CRLF, so it waits for the next byte.
        last = len(held) - 1 if held.endswith(b"\r") else len(held)
        lines = _BREAK.split(held[:last]) if b"\r" in held else held.split(b"\n")
        rest = lines.pop() + held[last:]
        self._pieces, self._size = ([rest] if rest else []), len(rest)
        for line in lines:
            yield from self._line(line)
        self._check(self._size)

    def _check(self, size: int, what: str = "a line") -> None:
        if size > self.cap:
            self._pieces, self._size, self._data = [], 0, []
            raise ReplyError(f"the upstream sent {what} of more than {self.cap} bytes")

    def _line(self, line: bytes) -> Iterator[str]:
        if not line:
            if self._data:
                yield "\n".join(self._data)
            self._data, self._data_size = [], 0
            return
        self._check(len(line))
        if line.startswith(b"data") and line[4:5] in (b":", b""):
            value = line[5:]
            self._data_size += len(value)
            self._check(self._data_size, "an event")
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))


def read_events(stream: bytes) -> list[str]:
    """The data of every complete event of a whole stream."""
    return list(EventReader().feed(stream))
