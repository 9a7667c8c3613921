"""A second listener of this process, for pages that the API's callers should not reach."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import uvicorn

from turnout.errors import SettingsError
from turnout.gateway.http.asgi import Receive, Scope, Send

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Beside(uvicorn.Server):
    """Leaves the process's signals to the server of the API."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served_beside(app: App, host: str, port: int) -> AsyncIterator[int]:
    """Serve an application on an address of its own while the block runs; gives the port.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        remedy = f"choose another address: {error.strerror or error}"
        raise SettingsError("metrics.listen", f"{host}:{port}", remedy) from None
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = _Beside(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()
