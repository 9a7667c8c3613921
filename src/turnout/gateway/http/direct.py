"""An answer of the application that goes to its connection without ASGI's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from turnout.gateway.http.headers import header_lines

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a body in chunks (RFC 9112, 7.1), without trailers."""
BODILESS = (204, 304)
"""Statuses of answers that have no body, and so no framing."""


class Direct:
    """Writes an answer as uvicorn would, without ASGI's messages. See `asgi.Writer`."""

    __slots__ = ("_cycle", "_gone")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._gone: Callable[[], None] | None = None

    def body(self) -> bytes | None:
        """The request's body, where all of it has come with its head."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        found, cycle.body = bytes(cycle.body), bytearray()
        return found

    @property
    def watched(self) -> bool:
        """Whether someone is to be told when the client leaves."""
        return self._gone is not None

    def watch(self, gone: Callable[[], None] | None) -> None:
        """Call this when the client leaves, and at once where it has left; None: no more."""
        self._gone = gone
        if gone is None:
            return
        if self._cycle.disconnected:
            gone()
        elif not self._cycle.transport.is_closing():
            # After a long body, or with the next request behind it, nothing is read: no end either.
            self._cycle.flow.resume_reading()

    def be_gone(self) -> None:
        """The client has left."""
        if not self._cycle.response_complete:
            self._cycle.disconnected = True  # uvicorn tells the last one, which may wait behind it
            if self._gone is not None:
                self._gone()

    def whole(self, status: int, headers: Mapping[str, str], content: bytes) -> bool:
        """A whole answer in one write; False where the client does not read, or asked for a head.

        Raises:
            RuntimeError: an answer has begun, or a header would break out of its line.
        """
        cycle = self._cycle
        if cycle.disconnected:
            return True
        if cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        head = self._head(status, headers)
        head.append(b"content-length: %d\r\n\r\n" % len(content))
        head.append(content)
        cycle.transport.write(b"".join(head))
        self._over()
        return True

    def begin(self, status: int, headers: Mapping[str, str], content: bytes) -> bool:
        """The head of an answer in pieces and the first of them, in one write; False as of `whole`.

        Raises:
            RuntimeError: as of `whole`.
        """
        cycle = self._cycle
        if cycle.disconnected:
            return True
        if cycle.flow.write_paused or cycle.scope["method"] == "HEAD" or status in BODILESS:
            return False
        head = self._head(status, headers)
        head.append(b"transfer-encoding: chunked\r\n\r\n")
        if content:
            head.append(b"%x\r\n%b\r\n" % (len(content), content))
        cycle.chunked_encoding = True
        cycle.transport.write(b"".join(head))
        return True

    def piece(self, content: bytes, end: bytes = b"") -> bool:
        """A piece of an answer that has begun and goes on; False where the client does not read.

        Args:
            content: of the body; empty for none.
            end: what follows it in the same write.
        """
        cycle = self._cycle
        if cycle.disconnected:
            return True
        if cycle.flow.write_paused or not cycle.chunked_encoding or cycle.response_complete:
            return False
        if content:
            cycle.transport.write(b"%x\r\n%b\r\n%b" % (len(content), content, end))
        elif end:
            cycle.transport.write(end)
        return True

    def last(self, content: bytes) -> bool:
        """The last piece of an answer and its end, in one write; False where the client does not read."""
        if self._cycle.disconnected:
            return True
        if not self.piece(content, LAST_CHUNK):
            return False
        self._over()
        return True

    def _head(self, status: int, headers: Mapping[str, str]) -> list[bytes]:
        """Status line and headers, but for the last, which says how the body is framed."""
        cycle = self._cycle
        if cycle.response_started:
            raise RuntimeError("an answer has begun already")
        lines = header_lines(headers)
        head = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            head += (name, b": ", value, b"\r\n")
        head.append(lines)
        if not cycle.keep_alive:
            head.append(b"connection: close\r\n")
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        return head

    def _over(self) -> None:
        """The answer is written."""
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
