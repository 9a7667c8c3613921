"""A scripted upstream in a thread, for code that runs an event loop of its own, or a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scripted import Scripted


@contextmanager
def upstream(*pieces: bytes) -> Iterator[Scripted]:
    """Answers every request alike, from a thread of its own."""
    loop, site = asyncio.new_event_loop(), Scripted()
    site.usual = list(pieces)
    ready = threading.Event()

    async def serve() -> None:
        async with site:
            ready.set()
            await over.wait()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield site
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
