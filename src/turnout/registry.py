"""Built-ins and plug-ins by name, through one door: entry points.

A plug-in declares, say, `[project.entry-points."turnout.routers"] mine = "mine:open_router"`.
Nothing is imported until a name is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from turnout.errors import UnknownNameError


@cache
def _found(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"turnout.{group}")}


def names(group: str) -> tuple[str, ...]:
    """Names registered in a group (`routers`, `benchmarks`), sorted."""
    return tuple(sorted(_found(group)))


def load(group: str, name: str) -> Any:
    """Import what is registered under a name.

    Raises:
        UnknownNameError: nothing is; the message lists what is.
    """
    point = _found(group).get(name)
    if point is None:
        raise UnknownNameError(group.removesuffix("s"), name, _found(group))
    return point.load()


def items(group: str) -> Iterator[tuple[str, Any]]:
    """All of a group, loaded, in order of name."""
    for name in names(group):
        yield name, load(group, name)
