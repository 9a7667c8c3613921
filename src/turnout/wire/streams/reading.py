"""What the readers of the three dialects have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from turnout.types import Usage
from turnout.wire.dialects import Dialect
from turnout.wire.errors import UpstreamFault, fault_of, status_of_type
from turnout.wire.streams.events import BlockKind, Close, Delta, Event, Failed, Open
from turnout.wire.translate.answers_read import mapping, text
from turnout.wire.usage import read_usage

TRUNCATED = "the upstream's stream ended before its answer was complete"


class Reader(Protocol):
    """Reads the events of one dialect."""

    blocks: Blocks

    def read(self, given: Mapping[str, Any]) -> Iterator[Event]:
        """What one event of the upstream's tells."""
        ...

    def end(self) -> Iterator[Event]:
        """What the end of the stream tells, where no event has told it."""
        ...


class Blocks:
    """Hands out indices, and remembers which blocks are open, what was odd and what was used."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._count = 0
        self.open: dict[int, BlockKind] = {}
        self._silent: set[int] = set()
        self.dropped: dict[str, None] = {}
        self.usage: Usage | None = None
        self.problems: tuple[str, ...] = ()
        self.called = False
        """A tool was called."""

    def opened(self, kind: BlockKind, **words: str) -> Open:
        """The event that opens a new block."""
        event = Open(self._count, kind, **words)
        self._count += 1
        self.open[event.index] = kind
        self.called = self.called or kind in ("call", "custom")
        if kind == "call":
            self._silent.add(event.index)
        return event

    def more(self, index: int, said: str) -> Delta:
        """The event of more text of a block."""
        self._silent.discard(index)
        return Delta(index, said)

    def close(self, index: int | None) -> Iterator[Event]:
        """The events that close a block, if it is open; a call without arguments has none: `{}`."""
        if index is None or self.open.pop(index, None) is None:
            return
        if index in self._silent:
            yield self.more(index, "{}")
        yield Close(index)

    def close_all(self) -> Iterator[Event]:
        """The events that close every open block, in order."""
        for index in sorted(self.open):
            yield from self.close(index)

    def whole(self, kind: BlockKind, said: str, **words: str) -> Iterator[Event]:
        """The events of a block that came in one piece."""
        event = self.opened(kind, **words)
        yield event
        if said:
            yield self.more(event.index, said)
        yield from self.close(event.index)

    def drop(self, name: str) -> None:
        """Note what the client's dialect cannot be given."""
        self.dropped[name] = None

    def use(self, given: Any) -> None:
        """Read usage; a later one replaces an earlier, so that nothing is counted twice."""
        if given is not None:
            reading = read_usage(self._dialect, given)
            self.usage, self.problems = reading.usage, reading.problems


def truncated() -> Failed:
    """A stream that ended too early."""
    fault = UpstreamFault(status=502, message=TRUNCATED, code="stream_truncated")
    return Failed(fault)


def failed(given: Mapping[str, Any]) -> Failed:
    """An error inside a stream."""
    inner = given.get("error")
    inner = mapping(inner if isinstance(inner, Mapping) else given)
    form = text(inner.get("type")) or text(inner.get("code"))
    if form == "error":
        form = text(inner.get("code"))
    return Failed(fault_of(status_of_type(form), given))
