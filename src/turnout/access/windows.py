"""Windows of budgets, in UTC: when each begins and ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from turnout.settings.access import Window

WINDOWS: tuple[Window, ...] = get_args(Window)

_HOUR, _DAY = 3_600, 86_400


def bounds(window: Window, now_s: float) -> tuple[int, int | None]:
    """Unix seconds at which the window around `now_s` begins and ends; `total` has no end."""
    now = int(now_s)
    if window == "hour":
        start = now - now % _HOUR
        return start, start + _HOUR
    if window == "day":
        start = now - now % _DAY
        return start, start + _DAY
    if window == "week":  # the first day of Unix time was a Thursday
        day = now // _DAY
        start = (day - (day + 3) % 7) * _DAY
        return start, start + 7 * _DAY
    if window == "month":
        first = datetime.fromtimestamp(now, UTC).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return int(first.timestamp()), int(following.timestamp())
    return 0, None


class Calendar:
    """The windows of now. They only roll forward: a clock that is set back keeps a window."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now: dict[Window, tuple[int, int | None]] = {}

    def at(self, window: Window, now_s: float) -> tuple[int, int | None]:
        """Begin and end of the window now, as `bounds`."""
        found = self._now.get(window)
        if found is None or (found[1] is not None and now_s >= found[1]):
            found = self._now[window] = bounds(window, now_s)
        return found
