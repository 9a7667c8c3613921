"""Progress on standard error: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(total: int | None, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """What to call with each step's name.

    Args:
        total: how many steps there will be; None where that is not known: then lines, no bar.
        quiet: tell nothing.
    """
    if quiet:
        yield lambda _: None
        return
    if total is None or not sys.stderr.isatty():
        yield lambda text: click.echo(f"  {text}", err=True)
        return
    with click.progressbar(
        length=total, file=sys.stderr, item_show_func=lambda text: text, show_eta=False
    ) as bar:
        # A step is told as it begins, so the bar stands at those that are behind it.
        yield lambda text: bar.update(1, text)
