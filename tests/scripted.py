"""An upstream on a real loopback socket that answers each request with given bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = b"<pause>"
"""In a script: wait until the client has closed."""
CLOSE = b"<close>"
RESET = b"<reset>"
WAIT = b"<wait>"
"""Wait until the test says `release`."""


class Scripted:
    """Answers the n-th request with the n-th script: pieces of bytes, and what happens between."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self.scripts = list(scripts)
        self.usual: list[bytes] | None = None
        """What follows the scripts; None: the connection is closed."""
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = 0
        self.sent = 0
        """Bytes that were given to sockets."""
        self.url = ""

    async def __aenter__(self) -> Scripted:
        self._go, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def script(self) -> list[bytes]:
        """What the next request is answered with."""
        return self.scripts.pop(0) if self.scripts else self.usual or []

    async def before(self) -> None:
        """What happens between a request and its answer."""

    def release(self) -> None:
        """Let every script that waits go on; from any thread."""
        self._loop.call_soon_threadsafe(self._go.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.scripts or self.usual is not None:
                self.requests.append(await _request(reader))
                await self.before()
                for piece in self.script():
                    if piece == PAUSE:
                        await reader.read()
                        return
                    if piece == WAIT:
                        await self._go.wait()
                        continue
                    if piece == RESET:
                        writer.transport.abort()
                        return
                    if piece == CLOSE:
                        return
                    writer.write(piece)
                    self.sent += len(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)  # so that pieces arrive as pieces
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client or the test is over
        finally:
            self.closed += 1
            writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    return head + await reader.readexactly(size)


def against(upstream: Scripted, work: Callable[[Scripted], Awaitable[T]]) -> T:
    """Run some work against a scripted upstream."""

    async def run() -> T:
        async with upstream:
            return await asyncio.wait_for(work(upstream), 10)

    return asyncio.run(run())


def ok(body: bytes, *headers: bytes) -> bytes:
    """A whole answer."""
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes) -> list[bytes]:
    """An answer in chunks, each sent on its own."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces), b"0\r\n\r\n"]
