"""HTTP over ASGI, as little of it as a gateway needs: calls, answers, and clients that leave."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from turnout.access.identity import Identity
from turnout.errors import BodyTooLargeError, DeadlineError
from turnout.gateway.http.headers import new_request_id
from turnout.observe.trail import Trail
from turnout.wire.dialects import Dialect
from turnout.wire.reading import Kind

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

WRITER = "turnout.writer"
"""Where a scope holds a `Writer`. ASGI has an answer in two messages, and each costs as much as one
write does."""


BEGUN = "turnout.begun"
"""Where a scope holds how far a request has come that was begun without the application."""


class Writer(Protocol):
    """Reads and writes without messages. What it does not do now goes through ASGI."""

    def body(self) -> bytes | None:
        """The request's body, where all of it is here; None: it is to be received."""
        ...

    def whole(self, status: int, headers: Mapping[str, str], content: bytes) -> bool:
        """A whole answer; False: it was not written."""
        ...

    def begin(self, status: int, headers: Mapping[str, str], content: bytes) -> bool:
        """The head of an answer in pieces, with the first of them; False: it was not written."""
        ...

    def piece(self, content: bytes) -> bool:
        """A piece of an answer that has begun and goes on; False: it was not written."""
        ...

    def last(self, content: bytes) -> bool:
        """The last piece, with the answer's end; False: it was not written."""
        ...

    def watch(self, gone: Callable[[], None] | None) -> None:
        """Call this when the client leaves, and at once where it has left; None: no more."""
        ...


WATCH_AFTER_S = 0.05
"""Where there is no `Writer`: a client that leaves is noticed when an answer takes longer than this.
Quicker answers need no watching, and over ASGI watching costs a task."""


class ClientLeftError(Exception):
    """The client has gone; there is nobody to answer."""


class Call:
    """One request and the way to answer it."""

    __slots__ = (
        "_id", "_receive", "_send", "_writer", "dialect", "headers", "identity", "method", "path",
        "query", "started", "stays", "trail",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._receive, self._send = receive, send
        self._writer: Writer | None = scope.get(WRITER)
        self._id = ""
        self.trail = Trail()
        """What becomes of it, for those who count."""
        self.dialect: Dialect = "chat"
        """In which API's form errors are told."""
        self.identity: Identity | None = None
        """Who asks; None where no key is asked for."""
        self.stays = False
        """Whether it is served to its end though its client leaves: it may come again for the answer."""
        self.started = False
        """Whether an answer has begun, so that no other can."""

    def own_id(self) -> dict[str, str]:
        """An id of this request, in the headers that its client reads."""
        self._id = self._id or new_request_id()
        found = {"x-request-id": self._id}
        return {**found, "request-id": self._id} if self.dialect == "messages" else found

    async def body(self, limit: int) -> bytes:
        """The request's body.

        Raises:
            BodyTooLargeError: it is longer than `limit` bytes; what is longer is not kept.
            ClientLeftError: the client left before all of it came.
        """
        declared = self.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
            raise _too_large(limit)
        here = None if self._writer is None else self._writer.body()
        if here is not None:
            if len(here) > limit:
                raise _too_large(limit)
            return here
        chunks: list[bytes] = []
        size = 0
        while True:
            since = time.perf_counter()
            message = await self._receive()
            self.trail.waited_s += time.perf_counter() - since
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """A whole answer, in one write where the server can."""
        if self._writer is not None and self._writer.whole(status, headers, content):
            self.started = True
            self.trail.begun, self.trail.status = time.perf_counter(), status
            return
        await self._start(status, headers, length=len(content))
        await self._send({"type": "http.response.body", "body": content, "more_body": False})

    async def answer_json(
        self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """A whole answer in JSON, under this request's own id."""
        known = {"content-type": "application/json", **self.own_id()}
        await self.answer(status, {**known, **(headers or {})}, json_bytes(value))

    async def begin(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Status and headers, and the first piece of a body of which others follow."""
        if self._writer is not None and self._writer.begin(status, headers, content):
            self.started = True
            self.trail.begun, self.trail.status = time.perf_counter(), status
            return
        await self._start(status, headers)
        await self.piece(content)

    async def _start(
        self, status: int, headers: Mapping[str, str], *, length: int | None = None
    ) -> None:
        """Status and headers, by a message."""
        self.started = True
        self.trail.begun, self.trail.status = time.perf_counter(), status
        raw = raw_headers(headers.items())
        if length is not None:
            raw.append((b"content-length", b"%d" % length))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def piece(self, content: bytes) -> None:
        """A piece of the body."""
        if not self.piece_now(content):
            await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def last(self, content: bytes) -> None:
        """The last piece of the body, and its end."""
        if self._writer is None or not self._writer.last(content):
            await self._send({"type": "http.response.body", "body": content, "more_body": False})

    @property
    def piece_now(self) -> Callable[[bytes], bool]:
        """Writes a piece of the body if that takes no wait, and says whether it did."""
        return _not_now if self._writer is None else self._writer.piece

    def unless_gone(self, within_s: float | None = None) -> Departure:
        """A block of work that is cancelled when the client leaves, or after a time. See `Departure`.

        Args:
            within_s: from the arrival of the request, without what its client took to send it.
        """
        spent_s = 0.0
        if within_s is not None:
            spent_s = time.perf_counter() - self.trail.arrived - self.trail.waited_s
        return Departure(self._receive, within_s, spent_s, stays=self.stays, writer=self._writer)


class Departure:
    """Cancels the work inside its block when the client leaves, and raises `ClientLeftError`.

    A `Writer` tells of it at once. Over ASGI alone, `receive` returns only when the client has gone,
    once the body has been read. Work that is to be done within a time is cancelled after it, and
    `DeadlineError` is raised; of that time some may have been spent before. Work that stays is not
    cancelled because its client leaves.
    """

    __slots__ = (
        "_late", "_left", "_limit", "_receive", "_spent_s", "_stays", "_task", "_timer", "_watcher",
        "_within_s", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        receive: Receive,
        within_s: float | None = None,
        spent_s: float = 0.0,
        *,
        stays: bool = False,
        writer: Writer | None = None,
    ) -> None:
        self._receive, self._within_s, self._stays = receive, within_s, stays
        self._spent_s = spent_s
        self._writer = writer
        self._left = self._late = False
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._limit: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        """Begin to watch.

        Raises:
            ClientLeftError: the client has left already; no work is begun.
        """
        if not self._stays and self._writer is not None:
            self._writer.watch(self._be_gone)
            if self._left:
                raise ClientLeftError
        self._task = asyncio.current_task()
        if not self._stays and self._writer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(WATCH_AFTER_S, self._watch)
        if self._within_s is not None:
            left_s = max(0.0, self._within_s - self._spent_s)
            self._limit = asyncio.get_running_loop().call_later(left_s, self._be_late)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.watch(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._limit is not None:
            self._limit.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
        if (self._left or self._late) and self._task is not None:
            self._task.uncancel()
            if isinstance(error, asyncio.CancelledError):
                if self._late:
                    raise DeadlineError(self._within_s or 0.0) from None
                raise ClientLeftError from None

    def _be_late(self) -> None:
        if self._task is not None and not self._left:
            self._late = True
            self._task.cancel()

    def _be_gone(self) -> None:
        if not (self._late or self._left):
            self._left = True
            if self._task is not None:
                self._task.cancel()

    def _watch(self) -> None:
        self._watcher = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._be_gone()


def raw_headers(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    """Headers as ASGI has them. Their values are printable by construction (`header_safe`)."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _not_now(content: bytes) -> bool:  # noqa: ARG001 - it waits for its turn
    return False


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


def json_bytes(value: Any) -> bytes:
    """Compact JSON in ASCII: safe whatever a client sent."""
    return _ENCODE(value).encode()


def _too_large(limit: int) -> BodyTooLargeError:
    remedy = f"send at most {limit} bytes, or raise max_body_bytes in the gateway's settings"
    return BodyTooLargeError("body", Kind("its length"), remedy)
