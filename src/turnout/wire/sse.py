"""Server-sent events, as far as a chat stream needs them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"

LINE_CAP = 1 << 20
"""Bytes of one line that are held back; a longer line is passed on in pieces."""

_ENDING = re.compile(rb'^data: ?\[DONE\]|"finish_reason": ?"|^data: ?\{"error":', re.MULTILINE)


def event(data: Any) -> bytes:
    """One event that carries JSON."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


@dataclass(slots=True)
class WholeLines:
    """Passes a stream on in whole lines, unchanged, and sees whether it came to its end.

    A stream that breaks can then be closed with an event of our own: the client never gets half a
    line, which it could only fail to parse.
    """

    ended: bool = False
    """A finish reason, an error or [DONE] has passed."""
    _held: bytes = b""

    def feed(self, chunk: bytes) -> bytes:
        """The whole lines so far; what follows the last line break is held back."""
        held = self._held + chunk
        cut = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        if not cut and len(held) > LINE_CAP:
            cut = len(held)
        lines, self._held = held[:cut], held[cut:]
        self.ended = self.ended or _ENDING.search(lines) is not None
        return lines

    def rest(self) -> bytes:
        """What is still held back when the stream is over."""
        held, self._held = self._held, b""
        self.ended = self.ended or _ENDING.search(held) is not None
        return held


@dataclass(slots=True)
class EventReader:
    """Reads the data of events from bytes that arrive in any pieces."""

    _held: bytes = b""
    _data: list[str] = field(default_factory=list)
    _started: bool = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The data of the events that are complete with this chunk."""
        held = self._held + chunk
        if not self._started:
            if b"\xef\xbb\xbf".startswith(held[:3]) and len(held) < 3:
                self._held = held
                return
            self._started, held = True, held.removeprefix(b"\xef\xbb\xbf")
        # A CR at the end may be half of a CRLF, so it waits for the next byte.
        last = len(held) - 1 if held.endswith(b"\r") else len(held)
        lines = re.split(rb"\r\n|\n|\r", held[:last])
        self._held = lines.pop() + held[last:]
        for line in lines:
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[str]:
        if not line:
            if self._data:
                yield "\n".join(self._data)
            self._data = []
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))


def read_events(stream: bytes) -> list[str]:
    """The data of every complete event of a whole stream."""
    return list(EventReader().feed(stream))
