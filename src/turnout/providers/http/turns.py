"""Turns at the event loop, for what arrives on many connections at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 2
"""Turns in a round of the loop."""
FREE = 8
"""Turns in a moment that need not be waited for."""
MOMENT_S = 0.0005
"""Less than the step of the loop's clock, which may be a millisecond."""
MANY = 8
"""More that wait than this are many: what they wait with grows faster than it is dealt with."""


class Turns:
    """Calls functions in the order in which they came, a few in each round of the event loop.

    A loop serves every socket that is ready before any task goes on. With many streams under way, a
    request that begins would wait at each of its steps until all of them have been written. Like this
    it waits for a few; and what arrives for a stream before its turn goes out in one write.
    """

    __slots__ = ("_coming", "_free", "_moment", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._coming = False
        """A round is to come."""
        self._moment, self._free = 0.0, FREE

    def free(self, now: float) -> bool:
        """Whether a turn may be had at once: none waits, and few were had in this moment.

        Args:
            now: the loop's time, in seconds.
        """
        if self._waiting:
            return False
        if now - self._moment > MOMENT_S:
            self._moment, self._free = now, FREE
        self._free -= 1
        return self._free >= 0

    def take(self, turn: Callable[[], None]) -> bool:
        """Call this when its turn has come, and not before; it must not raise.

        Returns:
            Whether there are many before it.
        """
        self._waiting.append(turn)
        if not self._coming:
            self._coming = True
            asyncio.get_running_loop().call_soon(self._round)
        return len(self._waiting) > MANY

    def _round(self) -> None:
        waiting = self._waiting
        turns = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
        self._coming = bool(waiting)
        if waiting:
            asyncio.get_running_loop().call_soon(self._round)
        for turn in turns:
            turn()
