"""A stream of one dialect in another, event by event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from turnout.errors import ReplyError
from turnout.types import Usage
from turnout.wire.dialects import Dialect
from turnout.wire.errors import UpstreamFault
from turnout.wire.sse import LINE_CAP, EventReader
from turnout.wire.streams.events import Delta, Event, Failed, Finished, Start
from turnout.wire.streams.read_chat import ChatReader
from turnout.wire.streams.read_messages import MessagesReader
from turnout.wire.streams.read_responses import ResponsesReader
from turnout.wire.streams.reading import TRUNCATED, Reader
from turnout.wire.streams.write_chat import ChatWriter
from turnout.wire.streams.write_messages import MessagesWriter
from turnout.wire.streams.write_responses import ResponsesWriter
from turnout.wire.translate.replies import Client

STREAM_CAP = 64 << 20
"""Bytes of a whole stream that are read; a longer one is given up."""

_CAPS: Mapping[Dialect, int] = {
    "chat": LINE_CAP,
    "messages": LINE_CAP,
    "responses": 8 * LINE_CAP,
}
"""Bytes of one event: the last one of a Responses stream repeats the whole reply."""


class Writer(Protocol):
    """Writes events in one dialect."""

    def write(self, event: Event) -> Iterator[bytes]:
        """The bytes that tell of one event."""
        ...


READERS: Mapping[Dialect, Callable[[], Reader]] = {
    "chat": ChatReader,
    "responses": ResponsesReader,
    "messages": MessagesReader,
}
_WRITERS: Mapping[Dialect, Callable[[Client], Writer]] = {
    "chat": ChatWriter,
    "responses": ResponsesWriter,
    "messages": MessagesWriter,
}


class StreamTranslator:
    """Takes an upstream's bytes in any pieces and gives the client's.

    Feed every chunk, then call `end` (or `fail`, where the connection broke). What was given stays
    valid: a stream that breaks off is closed by an error event in the client's dialect and without
    the dialect's ending, so that no client takes it for whole.

    Args:
        source: the upstream's dialect.
        client: the client's dialect and request.
        strict: fail at an event that is not JSON; else it is skipped and counted.
    """

    def __init__(self, source: Dialect, client: Client, *, strict: bool = False) -> None:
        self._events = EventReader(cap=_CAPS[source])
        self._reader = READERS[source]()
        self._writer = _WRITERS[client.dialect](client)
        self._strict = strict
        self._size = 0
        self.malformed = 0
        """Events that were not JSON objects."""
        self.started = False
        """The upstream's reply has begun."""
        self.answered = False
        """Some of the answer has come: from here on there is no other candidate."""
        self.over = False
        """The stream has ended, whole or not; what is fed after that gives nothing."""
        self.failed: UpstreamFault | None = None
        """Why the stream broke off, where it did."""
        self.model = ""
        """The model that the upstream names."""
        self.service = ""
        """The service tier that it says it served the call in."""

    @property
    def usage(self) -> Usage | None:
        """What the upstream says it used so far; None where it does not say."""
        return self._reader.blocks.usage

    @property
    def usage_problems(self) -> tuple[str, ...]:
        """Counts that were not believed, by name."""
        return self._reader.blocks.problems

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the stream held that the client's dialect cannot be given, by name."""
        return tuple(self._reader.blocks.dropped)

    def feed(self, chunk: bytes) -> bytes:
        """The client's bytes for what is complete with this chunk."""
        self._size += len(chunk)
        if self.over:
            return b""
        if self._size > STREAM_CAP:
            return self.fail(f"the upstream's stream is longer than {STREAM_CAP} bytes")
        found: list[bytes] = []
        try:
            for data in self._events.feed(chunk):
                found.extend(self._write(self._read(data)))
        except ReplyError as error:
            found.append(self.fail(str(error)))
        return b"".join(found)

    def end(self) -> bytes:
        """The client's bytes for the end of the upstream's stream."""
        if self.over:
            return b""
        # A last event whose empty line is missing still counts.
        return self.feed(b"\n\n") + self._ended()

    def _ended(self) -> bytes:
        """What is left to say when nothing more can come."""
        if self.over:
            return b""
        if not self.started:
            return self.fail("the upstream's answer is not a stream of events")
        return b"".join(self._write(self._reader.end()))

    def fail(self, message: str = TRUNCATED, status: int = 502) -> bytes:
        """The client's bytes for a stream that breaks off; nothing where it was over."""
        fault = UpstreamFault(status=status, message=message, code="stream_failed")
        return b"".join(self._write((Failed(fault),)))

    def _read(self, data: str) -> Iterator[Event]:
        if data.startswith("[DONE]"):
            if self.started:
                yield from self._reader.end()
            return
        try:
            given: Any = json.loads(data)
        except (ValueError, RecursionError):
            given = None
        if isinstance(given, dict):
            yield from self._reader.read(given)
            return
        self.malformed += 1
        if self._strict:
            raise ReplyError("the upstream sent an event that is not a JSON object")

    def _write(self, events: Iterable[Event]) -> Iterator[bytes]:
        for event in events:
            if self.over:
                return
            if isinstance(event, Delta):
                self.answered = True
            elif isinstance(event, Start):
                self.started, self.model = True, event.model
            elif isinstance(event, Failed):
                self.over, self.failed = True, event.fault
            elif isinstance(event, Finished):
                self.over, self.service = True, event.tier or ""
            yield from self._writer.write(event)
