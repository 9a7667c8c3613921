"""Random ids, drawn from the operating system many at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_DRAWN = 256
"""Ids for which randomness is drawn at once: a system call for each would be most of an id's cost."""


def id_maker(prefix: str, size: int, *, ordered: bool = False) -> Callable[[], str]:
    """A maker of ids that no one can guess: `prefix` and `size` random bytes in hex.

    Args:
        prefix: of each.
        size: in bytes.
        ordered: put eight digits before them by which those that are drawn later sort behind (the
            second in which they were drawn: about when, not when, one is used). A table with such a
            key is written at its end; with one that is random alone, each row dirties a page of the
            index of its own, and a large table takes three times as long.

    Randomness that was drawn before a process forked is not used after it, by either side twice.
    Safe to share between threads: popping from a list is one step.
    """
    drawn: list[str] = []
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=drawn.clear)

    def make() -> str:
        try:
            return drawn.pop()
        except IndexError:
            text = os.urandom(size * _DRAWN).hex()
            first = f"{prefix}{int(time.time()):08x}" if ordered else prefix
            step = 2 * size
            drawn.extend(first + text[i : i + step] for i in range(step, len(text), step))
            return first + text[:step]

    return make
