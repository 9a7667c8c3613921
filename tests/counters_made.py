"""Counters of every kind for tests, under clocks that tests move; Redis where TURNOUT_TEST_REDIS is."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from turnout.access.counters import Counters
from turnout.access.memory import MemoryCounters
from turnout.access.redis_counters import RedisCounters
from turnout.access.redis_link import RedisLink
from turnout.settings.access import CounterSettings

KINDS = ("memory", "redis")


@dataclass
class Times:
    """Wall clock and monotonic clock. It is late in this century, so that nothing in Redis is over."""

    wall_s: float = 4_000_000_000.0
    clock_s: float = 5_000.0

    def move(self, seconds: float) -> None:
        self.wall_s += seconds
        self.clock_s += seconds


def redis_url() -> str:
    """The Redis of tests, or a skip."""
    url = os.environ.get("TURNOUT_TEST_REDIS", "")
    if not url:
        pytest.skip("needs Redis: set TURNOUT_TEST_REDIS to its URL")
    pytest.importorskip("redis", reason="needs the extra redis")
    return url


@asynccontextmanager
async def in_redis(
    times: Times | None = None,
    *,
    url: str = "",
    prefix: str = "",
    timeout_s: float = 20,
    **options: Any,
) -> AsyncIterator[RedisCounters]:
    """Counters in Redis under names of their own."""
    link = RedisLink(url=url or redis_url(), timeout_s=timeout_s)
    if times is not None:
        options["now_s"] = lambda: times.wall_s
    counters = RedisCounters(link=link, prefix=prefix or f"test-{secrets.token_hex(6)}", **options)
    async with link.running():
        yield counters


@asynccontextmanager
async def counting(kind: str) -> AsyncIterator[tuple[Counters, Times]]:
    """Fresh counters of a kind."""
    times = Times()
    if kind == "memory":
        yield MemoryCounters(now_s=lambda: times.wall_s, clock=lambda: times.clock_s), times
        return
    async with in_redis(times, hold_s=1e9) as counters:
        yield counters, times


@dataclass
class Wire:
    """A way to Redis that can be cut, and be made slow."""

    url: str
    delay_s: float = 0.0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _port: int = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            # Closed while it lets somebody in, asyncio's server loses that socket: so it stops first.
            for listening in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            await asyncio.sleep(0.01)
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        for _ in range(100):  # sockets close when the loop comes round, and it may be stopped next
            await asyncio.sleep(0.01)
            if not self._open:
                break

    @property
    def here(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = urlsplit(self.url)
        opened: Callable[[], Awaitable[Any]] = (
            (lambda: asyncio.open_unix_connection(to.path))
            if to.scheme == "unix"
            else (lambda: asyncio.open_connection(to.hostname, to.port or 6379))
        )
        mine = {writer}
        self._open |= mine
        try:
            behind_reader, behind = await opened()
            mine.add(behind)
            self._open.add(behind)
            if self._server is None or self._server.is_serving():  # not cut meanwhile
                with suppress(ConnectionError):
                    await asyncio.gather(
                        self._pass(reader, behind), self._pass(behind_reader, writer)
                    )
        finally:
            self._open -= mine
            for one in mine:
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await asyncio.sleep(self.delay_s)
            writer.write(data)
        writer.close()


@dataclass(frozen=True)
class ThreadedWire:
    """A `Wire` on a loop of its own, for gateways on another."""

    wire: Wire
    loop: asyncio.AbstractEventLoop

    def mend(self) -> None:
        self._do(self.wire.mend())

    def cut(self) -> None:
        self._do(self.wire.cut())

    def settings(self) -> CounterSettings:
        """Counters behind it, of names that nobody else has."""
        return CounterSettings(redis_url=self.wire.here, prefix=f"test-{secrets.token_hex(6)}")

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@contextmanager
def threaded_wire() -> Iterator[ThreadedWire]:
    """A way to the Redis of tests, mended."""
    made = ThreadedWire(Wire(redis_url()), asyncio.new_event_loop())
    thread = threading.Thread(target=made.loop.run_forever, daemon=True)
    thread.start()
    made.mend()
    try:
        yield made
    finally:
        made.cut()
        made.loop.call_soon_threadsafe(made.loop.stop)
        thread.join(timeout=20)
        made.loop.close()
