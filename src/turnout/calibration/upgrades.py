"""Tells when one caller's requests go to the strong model more often than was to be expected.

Words put before a prompt can make a router take it for a hard one ("confounder gadgets": Shafran et al.,
arXiv:2501.01818), so that a caller gets the strong model for everything. No router withstands that, but it
shows: in the share of the caller's requests that are upgraded.

Each caller is bet against: that each of its requests goes to the strong model with a chance of at most
the reference, given all before it. While that is true the capital reaches 1 / alpha with a chance of at
most alpha, ever (see `turnout.calibration.drift`). The reference may change from request to request, as
long as it is known before the request: a caller may use several routes.
"""

from __future__ import annotations

import math

from turnout.calibration.drift import EProcess

STAKES = (0.1, 0.25, 0.5, 0.9)
"""Parts of the most that can be staked: small ones find a small excess, large ones a large one soon."""
LEAST, MOST = 0.01, 0.99
"""References outside are taken as these."""
WINDOW = 10_000
"""Latest requests of a route that its share is taken over, at most; at least half of it."""
LEAST_OTHERS = 200
"""Requests of others without which nothing is known of what is usual."""
_ERRORS = 4.0
"""Standard errors that a share over others is raised by, since it is an estimate."""


class UpgradeAlarm:
    """Follows one caller.

    Args:
        alpha: chance of a false alarm, ever.
    """

    __slots__ = ("_process", "requests", "strong")

    def __init__(self, alpha: float) -> None:
        self._process = EProcess(len(STAKES), alpha)
        self.requests = 0
        """Seen so far."""
        self.strong = 0
        """Those of them that went to the strong model."""

    def see(self, strong: bool, reference: float) -> bool:
        """One request more; gives whether the alarm is raised.

        Args:
            strong: whether the router chose the strong model.
            reference: largest share that is to be expected, known before the request was.
        """
        p = min(max(reference, LEAST), MOST)
        self.requests += 1
        if strong:
            self.strong += 1
            won = 1.0 / p - 1.0
            self._process.step([1.0 + stake * won for stake in STAKES])
        else:
            self._process.step([1.0 - stake for stake in STAKES])
        return self._process.alarmed


class OthersShare:
    """The share of strong calls among the latest requests of all callers but one.

    Two halves of a window take turns: the older one is forgotten when the newer one is full.

    Args:
        window: requests in both.
    """

    __slots__ = ("_half", "_new", "_old")

    def __init__(self, window: int = WINDOW) -> None:
        self._half = window // 2
        self._old, self._new = _Half(), _Half()

    def see(self, caller: str, strong: bool) -> None:
        """One request more."""
        if self._new.requests >= self._half:
            self._old, self._new = self._new, _Half()
        self._new.see(caller, strong)

    def high(self, caller: str) -> float | None:
        """An upper limit of the others' share (Wilson's, at four standard errors).

        None where fewer than `LEAST_OTHERS` requests of others are known.
        """
        n = k = 0
        for half in (self._old, self._new):
            own = half.by_caller.get(caller, _NOTHING)
            n += half.requests - own[0]
            k += half.strong - own[1]
        if n < LEAST_OTHERS:
            return None
        squared = _ERRORS * _ERRORS
        spread = _ERRORS * math.sqrt(k * (n - k) / n + squared / 4.0)
        return (k + squared / 2.0 + spread) / (n + squared)


_NOTHING = (0, 0)


class _Half:
    """Requests of some time, and how many of them were strong, by caller."""

    __slots__ = ("by_caller", "requests", "strong")

    def __init__(self) -> None:
        self.requests = self.strong = 0
        self.by_caller: dict[str, tuple[int, int]] = {}

    def see(self, caller: str, strong: bool) -> None:
        requests, upgraded = self.by_caller.get(caller, _NOTHING)
        self.by_caller[caller] = (requests + 1, upgraded + strong)
        self.requests += 1
        self.strong += strong
