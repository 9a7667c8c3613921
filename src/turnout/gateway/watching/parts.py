"""Readings of a part of what serves; none of them while that part is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from turnout.gateway.serving import Serving
from turnout.observe.metrics import Series

Now: TypeAlias = Callable[[], Serving | None]
"""What serves now; None where nothing does."""

T = TypeVar("T")


def read_part(
    serving: Now, part: Callable[[Serving], T | None]
) -> Callable[[Callable[[T], Series]], Callable[[], Series]]:
    """What makes readings of a part.

    Args:
        serving: what serves now.
        part: of it; None where there is none.
    """

    def of(read: Callable[[T], Series]) -> Callable[[], Series]:
        def now() -> Series:
            found = serving()
            there = None if found is None else part(found)
            return [] if there is None else read(there)

        return now

    return of
