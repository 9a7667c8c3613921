"""Work beside the event loop that is waited for a certain time, whatever becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

log = logging.getLogger("turnout.gateway")

T = TypeVar("T")

THREADS = 8


class Beside:
    """Threads for decisions, and how long one is waited for.

    A thread cannot be stopped: work that hangs keeps its own. Once all are kept, no more is begun, and
    nobody waits.

    Args:
        timeout_s: longest wait for work.
    """

    def __init__(self, timeout_s: float = 5.0) -> None:
        self.timeout_s = timeout_s
        self.late = 0
        """Works that did not come in time."""
        self._hung = 0
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T], within_s: float | None = None) -> T:
        """What a work gives.

        Args:
            work: to do.
            within_s: longest wait for this one, where that is less than `timeout_s`.

        Raises:
            TimeoutError: it did not end in time.
        """
        longest_s = self.timeout_s if within_s is None else min(within_s, self.timeout_s)
        if self._hung >= THREADS:
            self.late += 1
            raise TimeoutError
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="turnout-decide")
        begun = self._threads.submit(work)
        try:
            async with asyncio.timeout(longest_s):
                return await asyncio.shield(asyncio.wrap_future(begun))
        except TimeoutError:
            self.late += 1
            if not begun.cancel():
                self._hung += 1
                begun.add_done_callback(partial(self._back, asyncio.get_running_loop()))
            raise

    def close(self) -> None:
        """Lend no more threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _back(self, loop: asyncio.AbstractEventLoop, _: Future[T]) -> None:
        try:
            loop.call_soon_threadsafe(self._came_back)
        except RuntimeError:
            log.debug("work came to its end after the loop did")

    def _came_back(self) -> None:
        self._hung -= 1
