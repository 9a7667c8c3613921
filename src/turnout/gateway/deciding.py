"""Decisions that hold nothing up: quick ones on the event loop, all others beside it and in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from turnout.errors import RouterError
from turnout.types import Decision

log = logging.getLogger("turnout.gateway")

LONGEST_ON_LOOP_S = 0.002
"""A router that takes longer, on average, is run beside the event loop."""
THREADS = 8
_LONG_TEXT = 2_000
"""Characters; short and long texts are timed apart."""
_SHARE = 0.1


class Deciding:
    """Runs decisions. One for a deployment.

    A thread cannot be stopped: a router that hangs keeps its own, and once all are kept, the default
    serves at once.

    Args:
        timeout_s: longest wait for a decision that is made beside the event loop.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.late = 0
        """Decisions that did not come in time."""
        self._took_s: dict[tuple[str, bool], float] = {}
        self._hung = 0
        self._threads: ThreadPoolExecutor | None = None

    async def run(
        self,
        router: str,
        text: str,
        decide: Callable[[], Decision],
        instead: Callable[[Exception], Decision],
        *,
        waits: bool,
    ) -> Decision:
        """A router's decision, or what serves instead where it does not come in time.

        Args:
            router: its name; how long it takes is kept by it.
            text: of the query.
            decide: asks the router.
            instead: the decision without it.
            waits: whether it calls something, so that it never runs on the event loop.
        """
        key = (router, len(text) > _LONG_TEXT)
        took_s = self._took_s.get(key)
        if not waits and took_s is not None and took_s <= LONGEST_ON_LOOP_S:
            return self._timed(key, decide)
        if self._hung >= THREADS:
            return self._late(instead)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="turnout-decide")
        work = self._threads.submit(partial(self._timed, key, decide))
        try:
            async with asyncio.timeout(self.timeout_s):
                return await asyncio.shield(asyncio.wrap_future(work))
        except TimeoutError:
            if not work.cancel():
                self._hung += 1
                work.add_done_callback(partial(self._back, asyncio.get_running_loop()))
            return self._late(instead)

    def close(self) -> None:
        """Lend no more threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _timed(self, key: tuple[str, bool], decide: Callable[[], Decision]) -> Decision:
        """Decide, and see how long this thread worked; what others did meanwhile does not count."""
        start = time.thread_time()
        decision = decide()
        took_s = time.thread_time() - start
        # The first one may have opened something; it says nothing of the next.
        before = self._took_s.get(key, LONGEST_ON_LOOP_S)
        self._took_s[key] = before + _SHARE * (took_s - before)
        return decision

    def _back(self, loop: asyncio.AbstractEventLoop, _: Future[Decision]) -> None:
        try:
            loop.call_soon_threadsafe(self._came_back)
        except RuntimeError:
            log.debug("a decision came after the end")

    def _came_back(self) -> None:
        self._hung -= 1

    def _late(self, instead: Callable[[Exception], Decision]) -> Decision:
        self.late += 1
        return instead(RouterError(f"no decision within {self.timeout_s:g} s"))
