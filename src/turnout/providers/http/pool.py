"""A client of one origin: connections that are kept alive, and one exchange on each at a time."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from turnout.errors import InputError
from turnout.providers.http.connection import Connection, Waits
from turnout.providers.http.errors import ConnectError, ExhaustedError, SilentError, TlsError
from turnout.providers.http.resolving import Resolver
from turnout.providers.http.turns import Turns
from turnout.settings.hosts import is_metadata_address

KEPT_S = 30.0
"""An idle connection older than this is not used again: upstreams close theirs after some 60 s."""
MOST_KEPT = 256
"""Idle connections that are kept."""
_BREAKS = str.maketrans("", "", "\r\n\0")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Origin:
    """Sends requests to one scheme, host and port.

    Args:
        url: its scheme, host, port; a path is kept as the prefix of every request's path.
        tls: for https; default: the system's certificates.
        allow_link_local: whether a name may lead to a link-local address or a cloud's metadata
            service, which is known when it is connected to.

    Raises:
        InputError: not an http or https URL.
    """

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, allow_link_local: bool = False
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("base_url", url, "give a URL such as https://api.openai.com/v1")
        self._host, self._tls = parts.hostname, None
        if parts.scheme == "https":
            self._tls = tls or ssl.create_default_context()
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._resolver = None if _is_address(self._host) else Resolver(self._host, self._port)
        self._authority = parts.netloc.rpartition("@")[2]
        self._allow_link_local = allow_link_local
        self._head: tuple[Mapping[str, str], str, bytes] = ({}, "", b"")
        """The headers and path of the last request, and its head up to its length."""
        self._idle: list[tuple[float, Connection]] = []
        self._busy: set[Connection] = set()
        self._turns = Turns()

    async def post(
        self, path: str, headers: Mapping[str, str], body: bytes, waits: Waits
    ) -> Exchange:
        """Send a POST, and return when status and headers of the answer are in.

        Args:
            path: after the prefix, with its slash.
            headers: names and values; Host and Content-Length are added.
            body: sent as it is.
            waits: longest waits.

        Raises:
            HttpError: see `turnout.providers.http.errors`.
        """
        head = self.head(path, headers, len(body))
        connection = self._kept() or await self._connect(waits.connect_s)
        self._busy.add(connection)
        try:
            await connection.start(head + body, waits)
        except BaseException:
            self._busy.discard(connection)
            raise
        return Exchange(self, connection)

    def idle(self) -> Connection | None:
        """A connection that is open and carries nothing, for `Connection.send`; see `give_back`."""
        connection = self._kept()
        if connection is not None:
            self._busy.add(connection)
        return connection

    def head(self, path: str, headers: Mapping[str, str], size: int) -> bytes:
        """Request line and headers. Line breaks cannot be smuggled in: they are taken out.

        The same mapping again, which must not have changed, is not written anew.
        """
        known, known_path, start = self._head
        if headers is not known or path != known_path:
            start = self.opening(path, headers)
            self._head = (headers, path, start)
        return b"%b%d\r\n\r\n" % (start, size)

    def opening(self, path: str, headers: Mapping[str, str]) -> bytes:
        """The head of a request, up to its length."""
        lines = [f"POST {self._prefix}{path} HTTP/1.1\r\nhost: {self._authority}"]
        lines += [f"{n}: {v}".translate(_BREAKS) for n, v in headers.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\ncontent-length: "

    def _kept(self) -> Connection | None:
        """The idle connection that was used last, if it still stands."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, connection = self._idle.pop()
            if connection.reusable and now - since < KEPT_S:
                return connection
            connection.abort()
        return None

    async def _connect(self, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await self._first_of(await self._addresses())
        except TimeoutError:
            raise SilentError("connect", seconds) from None
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise TlsError(type(error).__name__) from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise ExhaustedError("no file descriptor is left") from error
            raise ConnectError(type(error).__name__) from error

    async def _addresses(self) -> list[str]:
        return [self._host] if self._resolver is None else await self._resolver.addresses()

    async def _first_of(self, addresses: list[str]) -> Connection:
        """A connection to the first address that takes one."""
        loop = asyncio.get_running_loop()
        name = self._host if self._tls else None
        failed: OSError | None = None
        for address in addresses:
            if is_metadata_address(address) and not self._allow_link_local:
                raise ConnectError("its name leads to a link-local address or a metadata service")
            try:
                _, connection = await loop.create_connection(
                    partial(Connection, self._turns),
                    address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=name,
                )
            except ssl.SSLError:
                raise  # another address of the same name is no better
            except (OSError, asyncio.CancelledError) as error:
                if self._resolver is not None:
                    self._resolver.put_last(address)
                if not isinstance(error, OSError):
                    raise
                failed = error
            else:
                return connection
        raise failed or OSError("the name has no address")

    def give_back(self, connection: Connection) -> None:
        """An exchange is over: keep its connection, or cut it where its answer was not read whole."""
        if connection not in self._busy:
            return  # it was given back, or cut, before
        self._busy.discard(connection)
        if not connection.reusable:
            connection.abort()
            return
        if len(self._idle) >= MOST_KEPT:
            self._idle.pop(0)[1].abort()
        self._idle.append((asyncio.get_running_loop().time(), connection))

    def close(self) -> None:
        """Cut every connection."""
        for connection in [*self._busy, *(kept for _, kept in self._idle)]:
            connection.abort()
        self._busy.clear()
        self._idle.clear()


class Exchange:
    """An answer that is still arriving."""

    __slots__ = ("_connection", "_origin", "headers", "status")

    def __init__(self, origin: Origin, connection: Connection) -> None:
        self.status, self.headers = connection.status, connection.headers
        self._origin: Origin = origin
        self._connection: Connection | None = connection

    async def chunk(self) -> bytes | None:
        """The next piece of the body as it arrives; None at its end.

        Raises:
            HttpError: it broke off.
        """
        if self._connection is None:
            return None
        found = await self._connection.chunk()
        if found is None:
            self.close()
        return found

    async def hand(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Give the body to `take` as it arrives. See `Connection.hand`."""
        if self._connection is None:
            return b""
        found = await self._connection.hand(take)
        if found is not None:
            self.close()
        return found

    def rest(self) -> bytes | None:
        """The rest of the body, where all of it has come; None where some is awaited."""
        if self._connection is None:
            return b""
        found = self._connection.rest()
        if found is not None:
            self.close()
        return found

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece. See `chunk`."""
        while (piece := await self.chunk()) is not None:
            yield piece

    def close(self) -> None:
        """Give the connection back, or cut it where the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._origin.give_back(connection)
