"""A server on a free loopback port, in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from turnout.errors import TurnoutError

START_SECONDS = 30.0


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application while the block runs; yields its base URL.

    Raises:
        TurnoutError: it did not start.
    """
    import uvicorn

    started = threading.Event()

    class _Server(uvicorn.Server):
        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            started.set()

    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        if not started.wait(START_SECONDS) or not server.servers:
            raise TurnoutError("a local server did not start; see the messages above")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
