"""The options that say which store a command works with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from turnout.errors import InputError
from turnout.settings import load_settings
from turnout.store.database import POSTGRES_URL, Database, open_database
from turnout.store.records import RecordTable

F = TypeVar("F", bound=Callable[..., Any])


def store_options(command: F) -> F:
    """`--config` or `--store`."""
    for option in (
        click.option(
            "--store", help="An SQLite file, or a postgresql:// URL, in place of --config."
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="A turnout.yaml, whose `store` is read.",
        ),
    ):
        command = option(command)
    return command


def store_place(config: Path | None, store: str | None) -> Path | str:
    """Where the store is.

    Raises:
        InputError: neither or both are given, the settings have no store, or there is no such file.
    """
    if (config is None) == (store is None):
        raise InputError("store", store, "give --config turnout.yaml, or --store FILE or URL")
    if config is not None:
        found = load_settings(config).store
        if found is None:
            raise InputError(
                "store", str(config), "add `store: {path: turnout.db}`; nothing is kept"
            )
        place = found.path if found.url is None else found.url.get_secret_value()
    else:
        place = store
    if isinstance(place, str) and POSTGRES_URL.match(place):
        return place
    path = Path(place or "")
    if not path.is_file():
        raise InputError("store", str(path), "no such file; a gateway makes it when it starts")
    return path


def open_store_of(config: Path | None, store: str | None, *, check: bool = False) -> Database:
    """The store that the options mean."""
    return open_database(store_place(config, store), check=check)


def open_records(config: Path | None, store: str | None) -> RecordTable:
    """Its records."""
    return RecordTable(open_store_of(config, store))
