"""uvicorn's HTTP/1.1 over httptools, with limits on what clients may send and how long they may take.

uvicorn waits for ever for the rest of a head, of a body, and for a client to read. Here one sweep over
the connections, a few times a second, counts how long each has let us wait: a request costs nothing
but a few assignments, and no timer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from turnout.gateway.http.asgi import BEGUN, WRITER, json_bytes
from turnout.gateway.http.direct import LAST_CHUNK, Direct
from turnout.gateway.http.ways import Express, Repeated, Served
from turnout.observe.logs import safe_traceback
from turnout.settings.server import ServerSettings
from turnout.wire.dialects import Dialect
from turnout.wire.errors import INTERNAL_MESSAGE, http_error_body

log = logging.getLogger("turnout.gateway")

LINGER_S = 2.0
"""How long a refused client may go on sending: closed at once, it would not see the refusal."""
MOST_LINGERING = 32
"""Connections over the limit that may do so."""
Waiting: TypeAlias = Literal["head", "body", "rest", "linger", "nothing", "next"]
"""What a connection is to bring: a head, a body, the rest of a body that is of no interest any more;
bytes that are not even parsed (`linger`); nothing, as the application has everything; or, between two
requests, the next one."""


class Guard:
    """What the connections of one server share: their limits, and how often each was reached."""

    def __init__(self, limits: ServerSettings, max_connections: int) -> None:
        self.limits, self.max_connections = limits, max_connections
        self.counts: Counter[str] = Counter()
        """Clients that were refused or cut off, by reason."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._first_lines = STATUS_LINE[200]

    def first_lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The first lines of an answer with status 200.

        Args:
            headers: of every answer; uvicorn makes another list where they change.
        """
        if headers is not self._headers:
            lines = [b"%b: %b\r\n" % header for header in headers]
            self._headers, self._first_lines = headers, STATUS_LINE[200] + b"".join(lines)
        return self._first_lines


class GuardedConfig(Config):
    """uvicorn's configuration with what it gives to every connection: a guard, and an express way."""

    def __init__(
        self, app: Any, guard: Guard, express: Express | None = None, **options: Any
    ) -> None:
        self.guard, self.express = guard, express
        super().__init__(app, http=GuardedProtocol, ws="none", **options)


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        if not isinstance(config, GuardedConfig):
            raise TypeError("a guarded connection needs a GuardedConfig")
        self.guard = config.guard
        self.waits_for: Waiting = "head"
        self.waited_s = 0.0
        """How long it has let us wait for what it is to send."""
        self.unread_s = 0.0
        """How long it has not taken what waits for it."""
        self.url = b""
        self.direct: Direct | None = None
        """Of the request that is being served."""
        self._head_bytes = self._header_count = self._header_bytes = 0
        self._turned_away = False
        self._express = config.express
        self._first = b""
        """What has come of a request, from its first byte on, while its head is not read."""
        self._repeated: Repeated | None = None
        """The head of the last request, where it may come again."""
        self._served: Served | None = None
        """The request under way, where the application does not serve it."""
        self._came = b""
        """All of that request; or what has come of one that may be served so."""
        self._later = b""
        """What came behind it."""
        self._since = 0.0
        """When its head came without its body, by `time.perf_counter`; 0 where they came together."""
        self._begun: object = None
        """For the application: how far the request has come that it is to end."""
        self._last = False
        """No other request is taken."""
        self._heard = False
        """Anything has come on this connection."""
        self._begins = False
        """An answer in pieces is under way that the application does not give."""
        self._over: tuple[int, str, str] | None = None
        """Status, code and message, where a limit was reached."""

    # What the event loop and the parser tell.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        over = len(self.connections) - self.guard.max_connections
        if over > 0:
            self._expect("linger")
            self._turned_away = True  # told when its request is here: sooner, it might not see it
            self.guard.counts["too_many_connections"] += 1
        if over > MOST_LINGERING:
            self._turn_away()  # each that lingers holds a file descriptor

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.waits_for == "linger":
            if self._turned_away:
                self._turn_away()
            return
        if self._served is not None:
            self._later += data  # a client that sends its next request already
            if len(self._later) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()  # not sooner: unread, it could not be seen to leave
            return
        if self._express is not None and (
            self.waits_for == "next" or self._came or not self._heard
        ):
            self._heard = True
            whole = self._came + data if self._came else data
            if self._goes_express(self._express, whole):
                return
            data, self._came = whole, b""
            self._expect("next")
        if self.waits_for in ("nothing", "next"):
            self._expect("head")
            self._head_bytes = 0
        if self.waits_for == "head":
            self._first = b"" if self._head_bytes else data
            self._head_bytes += len(data)
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        # Of a header that has no end `on_header` is not told.
        if self.waits_for == "head" and self._head_bytes > self.guard.limits.max_header_bytes:
            self._refuse(*self._too_large())

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        if (
            self._came and self._served is None
        ):  # in the middle of a body: the application counts it
            came, self._came, self._express = self._came, b"", None
            self._head_bytes = len(came)
            self._expect("head")
            self._parse(came)
        super().connection_lost(exc)
        served, self._served, self._came = self._served, None, b""
        if served is not None:
            served.gone()
        if self.direct is not None:
            self.direct.be_gone()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._header_count = self._header_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        limits = self.guard.limits
        most = limits.max_header_bytes
        if self._header_count > limits.max_headers or self._header_bytes > most:
            self._over = self._too_large()
            raise ValueError("a limit was reached")  # the parser stops; send_400_response follows
        # As uvicorn does, without a second call for each header.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: the application takes over."""
        self._expect("body")
        if self._express is not None:
            first, self._first = self._first, b""
            self._repeated = None
            if first:
                self._repeated = self._express.head_of(
                    first,
                    self.parser.get_method(),
                    self.url,
                    self.parser.get_http_version(),
                    self.headers,
                )
        super().on_headers_complete()
        if len(self.pipeline) == 1 and self.direct is not None and self.direct.watched:
            self.flow.resume_reading()  # see `Direct.watch`; a second one behind it has to wait
        if self._last:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The application gets a request, with a way to answer directly."""
        scope: Any = cycle.scope  # its type knows no keys but ASGI's
        scope[WRITER] = self.direct = Direct(cycle)
        if self._begun is not None:
            scope[BEGUN], self._begun = self._begun, None
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.waits_for == "body":
            self._expect("nothing")
        elif self.waits_for == "rest":  # it was answered before
            self._expect("next")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written. As uvicorn does, but for a timer with each: the sweep ends idle ones."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.waits_for == "nothing":
            self._expect("next")
        elif self.waits_for == "body" and self.cycle.response_complete:
            self._expect("rest")  # it was answered before it was read

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """What came cannot be served as it is."""
        status, code, message = self._over or (400, "invalid_http", "this is not HTTP/1.1")
        self._refuse(status, code, message)

    def shutdown(self) -> None:
        """The server ends: what is under way is answered first."""
        if self._served is None and not self._came:
            super().shutdown()
        else:
            self._last = True

    def resume_writing(self) -> None:
        """The client takes more again."""
        super().resume_writing()
        if self._served is not None:
            self._served.writable()

    # The express way.

    def _goes_express(self, express: Express, data: bytes) -> bool:
        """Whether a request is served, or may be when it is whole, without the application."""
        head = self._repeated
        found = None if head is None else head.body_at(data)
        if found is None:
            head = self._repeated = express.known(data)
            found = None if head is None else head.body_at(data)
        if found is None or self.flow.write_paused:
            return False  # who does not read is waited for by the application
        start, size = found
        missing = start + size - len(data)
        if missing > 0:
            if not self._came:  # there is one time for all of a body
                self._since = time.perf_counter()
                self._expect("body")
            self._came = data
            return True
        if missing < 0:  # another request stands behind it
            return False
        self._expect("nothing")
        since = self._since if self._came else 0.0
        try:
            self._served = express.begin(self, head, data[start:], since)
        except Exception as error:  # noqa: BLE001 - the process edge; its trace is logged
            # Not the message: an error that is not ours may quote the prompt.
            log.error("request failed with %s", safe_traceback(error))
            self.fail()
            return True
        if self._served is None:
            return False
        self._came = data
        return True

    def answer(self, lines: bytes, content: bytes) -> None:
        """Write a whole answer to a request that is served without the application."""
        head = self._head_lines(lines)
        head.append(b"content-length: %d\r\n\r\n" % len(content))
        head.append(content)
        self.transport.write(b"".join(head))
        self._is_over()

    def begin(self, lines: bytes, content: bytes) -> None:
        """Write the beginning of an answer in pieces to such a request, and the first of them."""
        head = self._head_lines(lines)
        head.append(b"transfer-encoding: chunked\r\n\r\n")
        if content:
            head.append(b"%x\r\n%b\r\n" % (len(content), content))
        self._begins = True
        self.transport.write(b"".join(head))

    def piece(self, content: bytes) -> bool:
        """Write a piece of it; False: the client does not read so fast, and nothing was written."""
        if self.flow.write_paused:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(content), content))
        return True

    def reads(self) -> bool:
        """Whether the client reads as fast as it is written to."""
        return not self.flow.write_paused

    def last(self, content: bytes) -> None:
        """Write the last piece of it, and its end."""
        if content:
            self.transport.write(b"%x\r\n%b\r\n%b" % (len(content), content, LAST_CHUNK))
        else:
            self.transport.write(LAST_CHUNK)
        self._is_over()

    def _head_lines(self, lines: bytes) -> list[bytes]:
        first = self.guard.first_lines(self.server_state.default_headers)
        return [first, lines, b"connection: close\r\n"] if self._last else [first, lines]

    def _is_over(self) -> None:
        """The answer is written: the next request may come."""
        self._served, self._came, self._begins = None, b"", False
        self.server_state.total_requests += 1
        self._expect("next")
        if self._last or self.transport.is_closing():
            self.transport.close()
            return
        self.flow.resume_reading()
        if self._later:
            later, self._later = self._later, b""
            self.data_received(later)

    def goes_on(self, served: Served) -> None:
        """The request under way is served by this from now on."""
        self._served = served

    def hand_over(self, begun: object) -> None:
        """Let the application end a request, or serve it (None): it is parsed now, as any other is."""
        data, later, self._served, self._came = self._came, self._later, None, b""
        self._later, self._begun = b"", begun
        self._expect("head")
        self._head_bytes, self._first = len(data), data
        self._parse(data)
        if self._begun is not None:
            raise RuntimeError("a request that was read before could not be read again")
        self.flow.resume_reading()
        if later:
            self.data_received(later)

    def fail(self) -> None:
        """Answer that something went wrong here, and hear no more; an answer that has begun breaks off."""
        begins, self._served, self._came, self._later = self._begins, None, b"", b""
        self._expect("linger")
        if begins:
            self.transport.abort()  # an answer that ends early must not look whole
            return
        self._answer(500, "internal_error", INTERNAL_MESSAGE)
        self.transport.close()

    def end(self) -> None:
        """This process ends, and its time for running answers is over."""
        served, self._served = self._served, None
        if served is not None:
            served.end()
            self.fail()

    # What the sweep does.

    def sweep(self, seconds: float) -> None:
        """So much time has passed; cut off a client that has used up its time."""
        limits = self.guard.limits
        if self.flow.write_paused or self.transport.is_closing():
            self.unread_s += seconds
            if self.unread_s >= limits.write_timeout_s:
                self._cut("slow_reader")
            return
        self.unread_s = 0.0
        if self.waits_for == "nothing" or self.flow.read_paused:
            return  # it is we who let it wait
        self.waited_s += seconds
        most = {
            "head": limits.header_timeout_s,
            "body": limits.body_timeout_s,
            "rest": LINGER_S,
            "linger": LINGER_S,
            "next": self.timeout_keep_alive,
        }[self.waits_for]
        if self.waited_s + seconds <= most:
            return
        if self.waits_for == "next":
            self.transport.close()
        else:
            self._cut(f"slow_{self.waits_for}")  # not later than it says

    def _expect(self, what: Waiting) -> None:
        self.waits_for, self.waited_s = what, 0.0

    def _cut(self, reason: str) -> None:
        if reason not in ("slow_linger", "slow_rest"):
            self.guard.counts[reason] += 1
            log.info("client cut off: %s", reason)
        self.transport.abort()

    def _too_large(self) -> tuple[int, str, str]:
        limits = self.guard.limits
        message = f"send at most {limits.max_headers} headers of {limits.max_header_bytes} bytes"
        return 431, "headers_too_large", message

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer without asking the application, and hear no more."""
        if self.waits_for == "linger":
            return
        self._expect("linger")
        self.guard.counts[code] += 1
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an answer is under way: this one would stand in its middle
            return
        self._answer(status, code, message)
        if self.transport.can_write_eof():
            self.transport.write_eof()  # it is closed by the client, or by the sweep

    def _turn_away(self) -> None:
        self._answer(503, "too_many_connections", "this gateway has all connections it takes")
        self.transport.close()

    def _answer(self, status: int, code: str, message: str) -> None:
        dialect: Dialect = "messages" if b"/messages" in self.url[:64] else "chat"
        body = http_error_body(status, message, code=code, dialect=dialect)
        content = json_bytes(body)
        head = [
            STATUS_LINE[status],
            b"content-type: application/json\r\n",
            b"x-turnout-reason: " + code.encode() + b"\r\n",
            b"retry-after: 1\r\n" if status == 503 else b"",
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(content),
        ]
        self.transport.write(b"".join(head) + content)


def end(connections: Iterable[Any]) -> None:
    """Give up what is served without the application, which no task waits for."""
    for connection in list(connections):
        if isinstance(connection, GuardedProtocol):
            connection.end()


def sweep(connections: Iterable[Any], seconds: float) -> None:
    """Let so much time pass for every connection."""
    for connection in list(connections):
        if isinstance(connection, GuardedProtocol):
            connection.sweep(seconds)
