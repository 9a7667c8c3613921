"""The options that say which candidates and which router a command works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from turnout.errors import InputError
from turnout.types import Candidate, Pool

F = TypeVar("F", bound=Callable[..., Any])

STRONG, WEAK = "gpt-4o", "gpt-4o-mini"


def pool_options(command: F) -> F:
    """`--strong`, `--weak`, `--model` (repeated, strongest first)."""
    for option in (
        click.option(
            "--model",
            "models",
            multiple=True,
            help="A candidate, strongest first; give three or more instead of --strong/--weak.",
        ),
        click.option("--weak", default=WEAK, show_default=True, help="The cheap model."),
        click.option("--strong", default=STRONG, show_default=True, help="The strong model."),
    ):
        command = option(command)
    return command


def router_options(command: F) -> F:
    """`--router`, `--artifact`."""
    for option in (
        click.option(
            "--artifact",
            type=click.Path(path_type=Path),
            help="A folder made by `turnout train`; default: the artifact in the package.",
        ),
        click.option("--router", default="blend", show_default=True, help="Which router predicts."),
    ):
        command = option(command)
    return command


def make_pool(*, strong: str, weak: str, models: Sequence[str]) -> Pool:
    """The pool that the options mean, with list prices and windows where they are known.

    Raises:
        InputError: a model is named twice.
    """
    names = list(models) if models else [strong, weak]
    for name in names:
        if names.count(name) > 1:
            raise InputError("models", name, "name each candidate once")
    return Pool(candidates=tuple(_candidate(name) for name in names), default=names[0])


def _candidate(name: str) -> Candidate:
    from turnout.pricing import list_context_tokens, list_price

    return Candidate(name=name, price=list_price(name), context_tokens=list_context_tokens(name))
