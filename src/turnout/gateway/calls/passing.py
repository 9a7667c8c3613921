"""A stream on its way to the client: passed on byte for byte, or translated event by event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from turnout.errors import UpstreamError, UpstreamTimeoutError
from turnout.gateway.http.asgi import json_bytes
from turnout.types import Usage
from turnout.wire import sse
from turnout.wire.dialects import Dialect
from turnout.wire.errors import error_body, read_fault, status_of_type, write_fault
from turnout.wire.renaming import renamed_lines
from turnout.wire.streams.translator import StreamTranslator
from turnout.wire.streams.watch import StreamWatch

_ERROR: Mapping[Dialect, re.Pattern[bytes]] = {
    "chat": re.compile(rb'^data: ?(\{"error":.*)$', re.MULTILINE),
    "responses": re.compile(
        rb'^data: ?(\{.*"type": ?"(?:error|response\.failed)".*)$', re.MULTILINE
    ),
    "messages": re.compile(rb'^data: ?(\{.*"type": ?"error".*)$', re.MULTILINE),
}
"""An event that tells of an error, before any content."""
_EVENT_NAMES: Mapping[Dialect, str | None] = {
    "chat": None,
    "responses": "error",
    "messages": "error",
}


def tells_of_error(dialect: Dialect, stream: bytes) -> bool:
    """Whether a stream holds an event that tells of an error."""
    return _ERROR[dialect].search(stream) is not None


class Passing(Protocol):
    """Takes an upstream's bytes in any pieces and gives the client's."""

    @property
    def answered(self) -> bool:
        """Some of the answer has come: from here on there is no other candidate."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the upstream says it used so far; None where it does not say."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Counts that were not believed, by name."""
        ...

    @property
    def model(self) -> str | None:
        """The model that the upstream names."""
        ...

    @property
    def service(self) -> str:
        """The service tier that the upstream says it served the call in."""
        ...

    @property
    def ended(self) -> bool:
        """The stream came to an end of its own, and not by an error after its answer began."""
        ...

    def failure(self, seen: bytes) -> tuple[int, bytes] | None:
        """Status and body of an error that came instead of an answer, in the client's dialect.

        Args:
            seen: what `feed` has given so far.
        """
        ...

    def feed(self, chunk: bytes) -> bytes:
        """The client's bytes for what is complete with this chunk."""
        ...

    def end(self, candidate: str) -> bytes:
        """The client's bytes for the end of the upstream's stream, whole or not."""
        ...

    def fail(self, error: UpstreamError) -> bytes:
        """The client's bytes for a stream that breaks off."""
        ...


class Untouched:
    """The upstream's own bytes, in whole lines."""

    feed: Callable[[bytes], bytes]
    """See `Passing`."""

    def __init__(self, dialect: Dialect, *, hide_usage: bool) -> None:
        self._dialect: Dialect = dialect
        self._watch = StreamWatch(dialect, hide_usage=hide_usage)
        self.feed = self._watch.feed  # one call less for each piece

    @property
    def answered(self) -> bool:
        """See `Passing`."""
        return self._watch.answered

    @property
    def usage(self) -> Usage | None:
        """See `Passing`."""
        return self._watch.usage

    @property
    def problems(self) -> tuple[str, ...]:
        """See `Passing`."""
        return self._watch.problems

    @property
    def model(self) -> str | None:
        """See `Passing`."""
        return self._watch.model

    @property
    def service(self) -> str:
        """See `Passing`."""
        return self._watch.service

    @property
    def ended(self) -> bool:
        """See `Passing`; an error behind the beginning of the answer is no end of it."""
        return self._watch.ended and not (self._watch.failed and self._watch.answered)

    def failure(self, seen: bytes) -> tuple[int, bytes] | None:
        """See `Passing`."""
        found = _ERROR[self._dialect].search(seen)
        if found is None or self.answered:
            return None
        fault = read_fault(502, found[1])
        return status_of_type(fault.type), found[1]

    def end(self, candidate: str) -> bytes:
        """See `Passing`."""
        rest = self._watch.rest()
        if self._watch.ended or self._watch.failed:
            return rest  # its client has been told
        message = f"the answer of {candidate} ended before it was complete"
        return rest + self.fail(UpstreamError(message, candidate=candidate))

    def fail(self, error: UpstreamError) -> bytes:
        """An event that also ends whatever event was under way."""
        body = error_body(error, dialect=self._dialect)
        if self._dialect == "responses":
            body = {"type": "error", **body["error"]}
        return b"\n" + sse.event(body, _EVENT_NAMES[self._dialect])


class Translated:
    """The client's own dialect, written from the upstream's."""

    def __init__(self, translator: StreamTranslator, dialect: Dialect) -> None:
        self._translator, self._dialect = translator, dialect

    @property
    def answered(self) -> bool:
        """See `Passing`."""
        return self._translator.answered

    @property
    def usage(self) -> Usage | None:
        """See `Passing`."""
        return self._translator.usage

    @property
    def problems(self) -> tuple[str, ...]:
        """See `Passing`."""
        return self._translator.usage_problems

    @property
    def model(self) -> str | None:
        """See `Passing`."""
        return self._translator.model or None

    @property
    def service(self) -> str:
        """See `Passing`."""
        return self._translator.service

    @property
    def ended(self) -> bool:
        """See `Passing`."""
        return self._translator.over and self._translator.failed is None

    def failure(self, seen: bytes) -> tuple[int, bytes] | None:  # noqa: ARG002 - it is known
        """See `Passing`."""
        fault = self._translator.failed
        if fault is None or self.answered:
            return None
        status, body = write_fault(fault, self._dialect)
        return status, json_bytes(body)

    def feed(self, chunk: bytes) -> bytes:
        """See `Passing`."""
        return self._translator.feed(chunk)

    def end(self, candidate: str) -> bytes:  # noqa: ARG002 - the translator words it
        """See `Passing`."""
        return self._translator.end()

    def fail(self, error: UpstreamError) -> bytes:
        """See `Passing`."""
        late = isinstance(error, UpstreamTimeoutError)
        return self._translator.fail(str(error), 504 if late else 502)


class Renamed:
    """A stream that names the model its client asked for. See `Passing`.

    Args:
        inner: gives whole lines of the client's dialect.
        dialect: the client's.
        model: the name to give.
    """

    def __init__(self, inner: Passing, dialect: Dialect, model: str) -> None:
        self._inner, self._dialect, self._name = inner, dialect, model

    @property
    def answered(self) -> bool:
        """See `Passing`."""
        return self._inner.answered

    @property
    def usage(self) -> Usage | None:
        """See `Passing`."""
        return self._inner.usage

    @property
    def model(self) -> str | None:
        """The upstream's own."""
        return self._inner.model

    @property
    def problems(self) -> tuple[str, ...]:
        """See `Passing`."""
        return self._inner.problems

    @property
    def service(self) -> str:
        """See `Passing`."""
        return self._inner.service

    @property
    def ended(self) -> bool:
        """See `Passing`."""
        return self._inner.ended

    def failure(self, seen: bytes) -> tuple[int, bytes] | None:
        """See `Passing`."""
        return self._inner.failure(seen)

    def feed(self, chunk: bytes) -> bytes:
        """See `Passing`."""
        return renamed_lines(self._inner.feed(chunk), self._dialect, self._name)

    def end(self, candidate: str) -> bytes:
        """See `Passing`."""
        return renamed_lines(self._inner.end(candidate), self._dialect, self._name)

    def fail(self, error: UpstreamError) -> bytes:
        """See `Passing`."""
        return self._inner.fail(error)
