"""Any endpoint that speaks one of the three dialects, over connections that are kept alive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from turnout.errors import OverloadedError, UpstreamError, UpstreamTimeoutError
from turnout.providers.base import hand_chunks
from turnout.providers.http.connection import Connection, Waits
from turnout.providers.http.decoding import Decoder, decodes
from turnout.providers.http.errors import (
    ConnectError,
    ExhaustedError,
    HttpError,
    SilentError,
    TlsError,
)
from turnout.providers.http.pool import Exchange, Origin
from turnout.wire.dialects import Dialect

log = logging.getLogger("turnout.providers")

ANTHROPIC_VERSION = "2023-06-01"
"""What Anthropic's API is asked for where the client does not name a version."""

HOP_HEADER = "x-turnout-hop"
"""The gateways that a request has passed, by a random name that each process has."""


class HttpProvider:
    """Calls the paths of one API below `base_url`.

    Args:
        name: for errors.
        base_url: with its version path, such as `https://api.openai.com/v1`.
        api_key: sent as a bearer token, to Anthropic's API as `x-api-key`; None sends neither.
        dialect: the API that it speaks.
        stream_usage: whether it takes `stream_options.include_usage`; some older servers refuse it.
        waits: longest waits; `first_byte_s` is for streams.
        timeout_s: longest wait for the head of an answer that is no stream: it comes when the whole
            answer is written.
        headers: sent with every call.
        allow_link_local: see `Origin`.
        hop: sent as `x-turnout-hop`, unless a call brings the way that its request has come.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        api_key: str | None = None,
        dialect: Dialect = "chat",
        stream_usage: bool = True,
        waits: Waits | None = None,
        timeout_s: float = 600.0,
        headers: Mapping[str, str] | None = None,
        allow_link_local: bool = False,
        hop: str = "",
    ) -> None:
        self.name, self.dialect, self.stream_usage = name, dialect, stream_usage
        self._base_url, self._allow_link_local = base_url, allow_link_local
        # Identity: the body passes through as it is.
        self._headers = {
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "turnout",
            "content-type": "application/json",
        }
        if api_key is not None:
            if dialect == "messages":
                self._headers["x-api-key"] = api_key
            else:
                self._headers["authorization"] = f"Bearer {api_key}"
        if hop:
            self._headers[HOP_HEADER] = hop
        self._headers.update({k.lower(): v for k, v in (headers or {}).items()})
        self._alone = self._over({})
        self._stream_waits = waits or Waits()
        self._waits = replace(self._stream_waits, first_byte_s=timeout_s)
        self._origin: Origin | None = None

    def open(self) -> Self:
        """Make it ready for calls; `close` it in the end, or use `async with`."""
        self._origin = Origin(self._base_url, allow_link_local=self._allow_link_local)
        return self

    def close(self) -> None:
        """Cut its connections."""
        if self._origin is not None:
            self._origin.close()
            self._origin = None

    async def __aenter__(self) -> Self:
        return self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        candidate: str,
        headers: Mapping[str, str],
        stream: bool = False,
    ) -> HttpReply:
        """Send a request and return once status and headers are in. See `Provider.post`."""
        if self._origin is None:
            raise RuntimeError("open the provider with `async with` before calling it")
        waits = self._stream_waits if stream else self._waits
        try:
            sent = self._over(headers) if headers else self._alone
            exchange = await self._origin.post(path, sent, body, waits)
        except HttpError as error:
            raise _upstream_error(error, self.name, candidate) from error
        return HttpReply(exchange, provider=self.name, candidate=candidate)

    def at_once(
        self, path: str, *, candidate: str, headers: Mapping[str, str], stream: bool = False
    ) -> Sends | None:
        """What sends requests like this one without a task for each; None while it is not open."""
        if self._origin is None:
            return None
        sent = self._over(headers) if headers else self._alone
        return Sends(
            self._origin,
            self._origin.opening(path, sent),
            self._stream_waits if stream else self._waits,
            provider=self.name,
            candidate=candidate,
        )

    def _over(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The provider's own headers over the client's."""
        found = {**headers, **self._headers}
        if HOP_HEADER in headers:
            found[HOP_HEADER] = headers[HOP_HEADER]
        if self.dialect == "messages":
            found.setdefault("anthropic-version", ANTHROPIC_VERSION)
        return found


class HttpReply:
    """An answer that is still arriving."""

    __slots__ = ("_candidate", "_decoder", "_exchange", "_provider", "headers", "status")

    def __init__(self, exchange: Exchange, *, provider: str, candidate: str) -> None:
        self.status = exchange.status
        headers = exchange.headers
        self._decoder: Decoder | None = None
        if "content-encoding" in headers and decodes(headers["content-encoding"]):
            self._decoder = Decoder(headers["content-encoding"])
            coded = ("content-encoding", "content-length")
            headers = {name: value for name, value in headers.items() if name not in coded}
        self.headers: Mapping[str, str] = headers
        self._exchange, self._provider, self._candidate = exchange, provider, candidate

    async def chunk(self) -> bytes | None:
        """The next piece of the body; gzip, which was not asked for, is decoded. None at its end."""
        try:
            piece = await self._exchange.chunk()
            if self._decoder is None:
                return piece
            while piece is not None:
                if decoded := self._decoder.feed(piece):
                    return decoded
                piece = await self._exchange.chunk()
            self._decoder.end()
            return None
        except HttpError as error:
            raise _upstream_error(error, self._provider, self._candidate) from error

    async def hand(self, take: Callable[[bytes], bool]) -> bytes | None:
        """See `Reply.hand`."""
        if self._decoder is not None:
            return await hand_chunks(self, take)
        try:
            return await self._exchange.hand(take)
        except HttpError as error:
            raise _upstream_error(error, self._provider, self._candidate) from error

    def rest(self) -> bytes | None:
        """See `Reply.rest`."""
        return self._exchange.rest() if self._decoder is None else None

    def close(self) -> None:
        """Give the connection back, or cut it where the body was not read to its end."""
        self._exchange.close()


class Sends:
    """Sends requests that differ in their bodies alone, each without a task that waits for its answer.

    It uses connections that are open already: where none is, `HttpProvider.post` opens one.
    """

    __slots__ = ("_candidate", "_opening", "_origin", "_provider", "_waits")

    def __init__(
        self, origin: Origin, opening: bytes, waits: Waits, *, provider: str, candidate: str
    ) -> None:
        self._origin, self._opening, self._waits = origin, opening, waits
        self._provider, self._candidate = provider, candidate

    def idle(self) -> Connection | None:
        """A connection to `send` over; it is given back by `close`."""
        return self._origin.idle()

    def send(self, connection: Connection, body: bytes, told: Callable[[], None]) -> None:
        """Send a request. See `Connection.send`.

        Raises:
            HttpError: the connection has ended.
        """
        head = b"%b%d\r\n\r\n" % (self._opening, len(body))
        connection.send(head + body, self._waits, told)

    def begun(self, connection: Connection) -> bool:
        """Whether status and headers of its answer are in."""
        return connection.begun(self._waits)

    def reply(self, connection: Connection) -> HttpReply:
        """The answer whose head is in, as `HttpProvider.post` gives it."""
        connection.untold()
        exchange = Exchange(self._origin, connection)
        return HttpReply(exchange, provider=self._provider, candidate=self._candidate)

    def error(self, lost: Exception | None) -> UpstreamError:
        """What `HttpProvider.post`, or a reading of its reply, raises where a connection was lost by this."""
        if not isinstance(lost, HttpError):
            raise RuntimeError("a call ended without a word") from lost
        error = _upstream_error(lost, self._provider, self._candidate)
        if not isinstance(error, UpstreamError):  # of connections that could not be opened
            raise error
        return error

    def close(self, connection: Connection) -> None:
        """Give a connection back, or cut it where its answer was not read to its end."""
        connection.untold()
        self._origin.give_back(connection)


def _upstream_error(
    error: HttpError, provider: str, candidate: str
) -> UpstreamError | OverloadedError:
    """Our error for the HTTP client's, which holds nothing of what was sent or received."""
    if isinstance(error, ExhaustedError):  # it says nothing of the upstream
        log.error("%s; raise `ulimit -n`, or lower server.max_connections", error)
        return OverloadedError(retry_after_s=1.0)
    if isinstance(error, SilentError):
        return UpstreamTimeoutError(
            f"provider {provider} did not answer for {candidate} in time: {error}",
            candidate=candidate,
            phase=error.phase,
        )
    what = "could not be reached" if isinstance(error, ConnectError) else "broke off"
    if isinstance(error, TlsError):
        what = "could not be trusted"
    return UpstreamError(
        f"provider {provider} {what} for {candidate} ({type(error).__name__}: {error})",
        candidate=candidate,
        phase="connect" if isinstance(error, ConnectError | TlsError) else "answer",
        tls=isinstance(error, TlsError),
    )
