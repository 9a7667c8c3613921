"""One HTTP/1.1 connection to an upstream, which carries one exchange at a time.

Parsing is httptools' (llhttp, the parser of Node.js). What is here is the flow: a body that waits for
its reader, limits on what an upstream may send before it is believed, and an end at once when the
caller has gone. General clients were measured and left out: see docs/lab-notes.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools

from turnout.providers.http.errors import BrokenError, Phase, ProtocolError, SilentError
from turnout.providers.http.turns import Turns

MOST_HEAD_BYTES = 64 * 1024
"""Bytes of status line and headers; an upstream that sends more is refused."""
MOST_HEADERS = 256
HIGH_WATER = 64 * 1024
"""Bytes that wait for their reader, framing included, before the socket is no longer read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Longest waits of an exchange, in seconds."""

    connect_s: float = 2.0
    """For a connection, TLS included."""
    first_byte_s: float = 30.0
    """For status and headers, from the moment that the request is sent."""
    idle_s: float = 60.0
    """Between two pieces of the body."""


class Connection(asyncio.Protocol):
    """A connection; made by `asyncio.create_connection`.

    At any time one of: idle (in the pool), waiting for a head, carrying a body, over.

    Args:
        turns: for handing on what has come; shared by connections.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns, self._queued = turns, False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        # Told by the parser: a piece of the body, its transfer coding taken off. As a function of the
        # list's own it takes no step of Python for each.
        self.on_body = self._chunks.append
        self._parser = httptools.HttpResponseParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._clear()
        self.lost: Exception | None = None
        """Why nothing can be carried any more."""
        self.writable = asyncio.Event()
        self.writable.set()

    def _clear(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = True
        """The whole answer is in (or none is awaited)."""
        self._head = False
        self._head_bytes = 0
        self._header_count = 0
        self._chunks.clear()
        self._size = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None
        """Gets what comes at once, where it is handed on."""
        self._told: Callable[[], None] | None = None
        """Called when something has come, or nothing will any more, where no task waits for it."""
        self._enough = False
        """It wants no more for now."""
        self._phase: Phase = "first_byte"
        self._wait_s = 0.0
        self._moved = 0.0

    # What the caller does.

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow on this connection."""
        return self.lost is None and self.complete and self.writable.is_set()

    async def start(self, request: bytes, waits: Waits) -> None:
        """Send a request, and return when status and headers of the answer are in.

        Raises:
            SilentError: no head within `waits.first_byte_s`.
            BrokenError: the connection ended before.
            ProtocolError: what came is not HTTP, or its head is too large.
        """
        self._raise_if_lost()
        self._send(request, waits)
        try:
            while not self._head:
                await self._wait()
        except BaseException:  # the caller has left, or nothing usable can follow: no one reads on
            self.abort()
            raise
        self._watch("idle", waits.idle_s)

    def send(self, request: bytes, waits: Waits, told: Callable[[], None]) -> None:
        """Send a request without a task that waits for its answer.

        Args:
            request: all of it.
            waits: longest waits; see `begun` for the second of them.
            told: called whenever something has come, and when nothing will any more. It must not
                raise, and gives this connection back or cuts it.
        """
        self._send(request, waits)
        self._told = told

    def begun(self, waits: Waits) -> bool:
        """Whether the head of an answer is in; from then on the wait is for pieces of its body."""
        if self._head and self._phase == "first_byte":
            self._watch("idle", waits.idle_s)
        return self._head

    def untold(self) -> None:
        """Tell nobody of what comes from now on: it is waited for as after `start`, or not at all."""
        self._told = None

    @property
    def held_up(self) -> bool:
        """Whether more has come than is read ahead: no more is, until some of it is taken."""
        return self._paused

    def _send(self, request: bytes, waits: Waits) -> None:
        if self._transport is None:
            raise BrokenError("not connected")
        self._clear()
        self.complete = False
        self._watch("first_byte", waits.first_byte_s)
        self._transport.write(request)

    async def chunk(self) -> bytes | None:
        """The next piece of the body; None at its end.

        Raises:
            SilentError: nothing came within the idle time.
            BrokenError: the connection ended before the body did.
            ProtocolError: what came is not HTTP.
        """
        while not self._chunks:
            if self.complete:
                return None
            try:
                await self._wait()
            except BaseException:
                self.abort()
                raise
        found = self._taken()
        self._moved = self._loop.time()  # a slow reader is not a silent upstream
        return found

    async def hand(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Give the body to `take` as it arrives: no task has to have its turn for a piece.

        Args:
            take: takes a piece, and says whether it wants another one now.

        Returns:
            What came with the body's end; None where `take` wants no more for now.

        Raises:
            SilentError, BrokenError, ProtocolError: as of `chunk`; and what `take` raises.
        """
        self._take, self._enough = take, False
        try:
            while not self._enough:
                if self.complete:
                    return self._taken()
                if self._chunks:
                    self._moved = self._loop.time()  # a slow reader is not a silent upstream
                    if not take(self._taken()):
                        return None
                await self._wait()
        except BaseException:
            self.abort()
            raise
        finally:
            self._take = None
        return None

    def whole(self) -> bytes | None:
        """The body, where all of it has come and none was taken; it is left where it is."""
        return b"".join(self._chunks) if self.complete and self._head else None

    def fresh(self, seen: int) -> tuple[bytes, int]:
        """Pieces of the body that came after so many, left where they are, and how many there are."""
        return b"".join(self._chunks[seen:]), len(self._chunks)

    def take(self) -> bytes:
        """All of the body that has come and was not taken."""
        return self._taken()

    def hand_on(self, take: Callable[[bytes], bool]) -> None:
        """Give the body to `take` where it arrives, until it wants no more; see `hand`.

        What came before goes along. Of the body's end, and of a connection that is lost, the one is
        told that `send` was given, and what came with them is left for `rest`. `take` must not raise.
        """
        if self._chunks and not self.complete:
            self._moved = self._loop.time()  # a slow reader is not a silent upstream
            if not take(self._taken()):
                return
        self._take = take

    def rest(self) -> bytes | None:
        """All that is left of the body, where it has come already; None where some is awaited."""
        if not self.complete:
            return None
        return self._taken()

    def _taken(self) -> bytes:
        """All of the body that has come and was not read."""
        found = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return found

    def abort(self) -> None:
        """End the connection at once."""
        self._unwatch()
        if self._transport is not None:
            self._transport.abort()
        self._fail(BrokenError("closed by this side"))

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._moved = self._loop.time()
        if self.complete:
            # An answer to nothing: the next answer could not be told from the rest of this one.
            self._fail(ProtocolError("bytes after the end of an answer"))
            self.abort()
            return
        if not self._head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._broken(cause if isinstance(cause, ProtocolError) else _not_http(error))
            return
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._broken(_not_http(error))
            return
        # A head that is longer than one read is bounded here; one that fits is bounded by the read.
        if not self._head and self._head_bytes > MOST_HEAD_BYTES:
            self._broken(ProtocolError(f"a head of more than {MOST_HEAD_BYTES} bytes"))
            return
        if self._chunks:
            self._size += len(data)
        if self._take is None or self.complete or not self._chunks:
            self._pause(self._size > HIGH_WATER)
            self._wake()
            self._tell()
        else:
            self._pause(self._awaits_turn() or self._size > HIGH_WATER)

    def eof_received(self) -> bool:
        """The upstream has sent all that it will."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        self._unwatch()
        if not self.complete and self._head and self._ends_with_the_connection():
            self.complete = True
        self._fail(BrokenError(type(error).__name__ if error else "closed by the upstream"))
        self._tell()

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """The socket takes more again."""
        self.writable.set()

    # What the parser tells.

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those that are given more than once are joined (RFC 9110, 5.3).

        Trailers are passed over: nothing here reads them, and they must not change what was told.
        """
        if self._head:
            return
        self._header_count += 1
        if self._header_count > MOST_HEADERS:
            raise ProtocolError(f"more than {MOST_HEADERS} headers")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        held = self.headers.get(key)
        self.headers[key] = text if held is None else f"{held}, {text}"

    def on_headers_complete(self) -> None:
        """Status and headers are in; those of an interim answer (1xx) are passed over."""
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._head = True

    def on_message_complete(self) -> None:
        """The answer is whole; of an interim one, the answer follows."""
        if not self._head:
            self.headers, self._header_count = {}, 0
            return
        self.complete = True
        if not self._parser.should_keep_alive():
            self._fail(BrokenError("closed by the upstream"))

    # Waiting.

    async def _wait(self) -> None:
        """Until something happens; what has come is read before an end is told of."""
        self._raise_if_lost()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if not (self._chunks or self.complete):
            self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self.lost is not None:
            raise self.lost

    def _awaits_turn(self) -> bool:
        """Hand on what has come, now or at this connection's turn; whether that is long to wait for.

        What else comes until then is better left in the socket: it is read and handed on at once.
        """
        if self._queued:
            return False
        if self._turns.free(self._moved):
            self._hand_over()
            return False
        self._queued = True
        return self._turns.take(self._hand_over)

    def _pause(self, enough: bool) -> None:
        """Read no more for now, where this is enough; `_taken` goes on."""
        if enough and not (self._paused or self.complete) and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _hand_over(self) -> None:
        """It is this connection's turn."""
        take, self._queued = self._take, False
        if take is None or self.complete or not self._chunks:
            return  # they are read where the body is waited for
        try:
            more = take(self._taken())
        except Exception as error:  # noqa: BLE001 - it is raised where the body is waited for
            self._take = None
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            return
        if not more:
            self._take, self._enough = None, True
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self.lost is None:
            self.lost = error
        self._wake()

    def _broken(self, error: Exception) -> None:
        self._fail(error)
        self.abort()
        self._tell()

    def _tell(self) -> None:
        """Not from inside of the parser: who is told may send the next request."""
        if self._told is not None:
            self._told()

    def _ends_with_the_connection(self) -> bool:
        """Whether the end of the connection is the end of the body (RFC 9112, 6.3, rule 8)."""
        return not self.headers.keys() & {"content-length", "transfer-encoding"}

    def _watch(self, phase: Phase, seconds: float) -> None:
        """Fail when nothing comes for so long.

        One timer serves many pieces and many exchanges: it looks when it is due, and is only set
        anew where that would be too late.
        """
        now = self._loop.time()
        self._phase, self._wait_s, self._moved = phase, seconds, now
        if self._timer is None or self._timer.when() > now + seconds:
            self._unwatch()
            self._timer = self._loop.call_later(seconds, self._due)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self.complete or self.lost is not None:
            return
        left = self._moved + self._wait_s - self._loop.time()
        # It is the reader who waits; but who is told of all that comes leaves it here until it is whole.
        if self._paused or (self._chunks and self._told is None):
            left = max(left, self._wait_s)
        if left > 0:
            self._timer = self._loop.call_later(left, self._due)
            return
        self._broken(SilentError(self._phase, self._wait_s))


def _not_http(error: Exception) -> ProtocolError:
    return ProtocolError(f"not HTTP ({type(error).__name__})")
