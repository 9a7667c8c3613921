"""Random ids, drawn from the operating system many at a time."""

from __future__ import annotations

import os
from collections.abc import Callable

_DRAWN = 256
"""Ids for which randomness is drawn at once: a system call for each would be most of an id's cost."""


def id_maker(prefix: str, size: int) -> Callable[[], str]:
    """A maker of ids that no one can guess: `prefix` and `size` random bytes in hex.

    Randomness that was drawn before a process forked is not used after it, by either side twice.
    Safe to share between threads: popping from a list is one step.
    """
    drawn: list[str] = []
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=drawn.clear)

    def make() -> str:
        try:
            return prefix + drawn.pop()
        except IndexError:
            text = os.urandom(size * _DRAWN).hex()
            step = 2 * size
            drawn.extend(text[i : i + step] for i in range(step, len(text), step))
            return prefix + text[:step]

    return make
