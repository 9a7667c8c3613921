"""The gateway under uvicorn: guarded connections, a stop that lets answers end, and reloads."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import uvicorn

from turnout.gateway.http.door import Door
from turnout.gateway.http.protocol import Guard, GuardedConfig, end, sweep
from turnout.settings.server import ServerSettings

log = logging.getLogger("turnout.gateway")

SWEEP_S = 0.25
"""Between two looks at how long clients have let us wait."""
RESERVED_FILES = 96
"""File descriptors for what is no connection (databases, journals, libraries), and for connections
that are being refused."""
ACCEPTED_AT_ONCE = 16
"""Connections that are accepted before they are counted."""
WAITING_CONNECTIONS = 2048
"""Connections that the kernel holds until they are accepted."""
MOST_CONNECTIONS = 32_768
TURN_S = 0.0005
"""How long a thread keeps the interpreter at most while another one waits for it."""
KEEP_ALIVE_S = 75
"""Load balancers keep idle connections for 60 s; the side that closes first must be theirs."""


class Reloads(Protocol):
    """Gives a running application other settings."""

    async def reload(self, server: GatewayServer) -> None:
        """Take them, or log what is wrong with them."""
        ...

    async def watching(self, ask: Callable[[], None]) -> None:
        """Ask for a reload whenever they have changed."""
        ...


class GatewayServer(uvicorn.Server):
    """Runs an application until a signal, or `should_exit`.

    SIGTERM and SIGINT: the application is told at once; after `notice_s` (SIGTERM alone) no connection
    is taken any more; answers under way have `drain_s`. A second SIGINT ends at once. SIGHUP reloads.

    Args:
        app: an ASGI application.
        limits: see `ServerSettings`.
        drain: tells the application that its end is near; called by a signal handler too.
        serves: called once the application is open and connections are taken.
        reloads: takes other settings. None: SIGHUP is left alone.
        watch: whether they are taken when they change, without a signal.
    """

    def __init__(
        self,
        app: Any,
        limits: ServerSettings | None = None,
        *,
        drain: Callable[[], None] | None = None,
        serves: Callable[[], None] | None = None,
        reloads: Reloads | None = None,
        watch: bool = False,
    ) -> None:
        given = limits or ServerSettings()
        self.guard = Guard(given, given.max_connections or most_connections())
        self._drain, self._serves = drain, serves
        self._reloads, self._watch = reloads, watch
        self._reload_asked = False
        self._reloading: asyncio.Task[None] | None = None
        self._swept = time.monotonic()
        self._notice = False
        door = getattr(app, "door", None)
        if isinstance(door, Door):
            door.guard = self.guard  # the application shows what its server counts
        config = GuardedConfig(
            app,
            self.guard,
            getattr(app, "entrance", None),
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(given.drain_s)),
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application, then listen."""
        await super().startup(sockets)
        for listener in sockets or ():
            # asyncio takes one number for how many it accepts at once and for how many may wait.
            listener.listen(WAITING_CONNECTIONS)
        if self._serves is not None and self.started:
            self._serves()

    def take_limits(self, limits: ServerSettings) -> None:
        """Other limits from now on; of the time to drain at the next start."""
        self.guard.limits = limits
        self.guard.max_connections = limits.max_connections or most_connections()

    def ask_reload(self, *_: Any) -> None:
        """Reload soon; may be called by a signal handler."""
        self._reload_asked = True

    async def on_tick(self, counter: int) -> bool:
        """The server's tick, ten times a second."""
        self.sweep()
        idle = self._reloading is None or self._reloading.done()
        if self._reload_asked and idle and self._reloads is not None:
            self._reload_asked = False
            self._reloading = asyncio.ensure_future(self._reloads.reload(self))
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """The server's loop of ticks, until it is to end."""
        if self._reloads is None or not self._watch:
            await super().main_loop()
            return
        watching = asyncio.ensure_future(self._reloads.watching(self.ask_reload))
        try:
            await super().main_loop()
        finally:
            watching.cancel()

    def sweep(self) -> None:
        """Cut off clients that have used up their time."""
        now = time.monotonic()
        if now - self._swept >= SWEEP_S:
            # A loop that was held up is not the clients' fault.
            sweep(self.server_state.connections, min(now - self._swept, 2 * SWEEP_S))
            self._swept = now

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections after the notice, let answers end, close the application."""
        if self._drain is not None:
            self._drain()
        end = time.monotonic() + (self.guard.limits.notice_s if self._notice else 0.0)
        while time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.05)
            self.sweep()
        sweeping = asyncio.ensure_future(self._sweep_on())
        try:
            await super().shutdown(sockets)
        finally:
            sweeping.cancel()

    async def _wait_tasks_to_complete(self) -> None:
        """Let what is under way end; what has not when its time is over is cancelled."""
        try:
            await super()._wait_tasks_to_complete()
        except asyncio.CancelledError:
            end(self.server_state.connections)  # what has no task
            raise

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """A signal to stop."""
        if self._drain is not None:
            self._drain()
        self._notice = sig == signal.SIGTERM
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals while the block runs.

        Uvicorn raises them once more at the end; here a stop that was asked for is a success.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Any] = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
        }
        if sys.platform == "win32":
            handlers[signal.SIGBREAK] = self.handle_exit
        elif self._reloads is not None:
            handlers[signal.SIGHUP] = self.ask_reload
        before = {sig: signal.signal(sig, handler) for sig, handler in handlers.items()}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def calm_collector() -> None:
    """Let the garbage collector leave alone what stays, and look less often at what does not.

    For a process that serves, and does nothing else. Without this it took a tenth of a request's
    time. Hardly anything here refers to itself, so that what it would find is little: memory is given
    back when its last reference goes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def share_interpreter() -> None:
    """Let a request that another thread keeps waiting have the interpreter after .5 ms, not 5.

    For a process that serves: what its other threads do, such as folding the journal, can wait.
    """
    sys.setswitchinterval(TURN_S)


def most_connections() -> int:
    """How many connections of clients leave enough file descriptors for those to upstreams."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(8, min((soft - RESERVED_FILES) // 2, MOST_CONNECTIONS))


def raise_file_limit() -> None:
    """Take as many file descriptors as this process is allowed, up to what it can use."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + RESERVED_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            log.warning("the limit of open files stays %d: %s", soft, error)
