"""`turnout store`: look after the database of records."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from turnout.cli.stores import journal_folder, open_store_of, store_options, store_place
from turnout.errors import InputError
from turnout.gateway.setup.building import SCHEMAS
from turnout.store.database import Database, migrate
from turnout.store.ledger import waiting
from turnout.store.repairing import repair as repair_file


def _migrate(database: Database) -> int:
    return sum(migrate(database, schema) for schema in SCHEMAS)


@click.group()
def store() -> None:
    """Check, repair or migrate the store that a gateway keeps its records in."""


@store.command()
@store_options
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def check(config: Path | None, store: str | None, as_json: bool) -> None:
    """Look through the database, and count what is in it and what waits.

    A damaged file is an error, with what to do about it.
    """
    database = open_store_of(config, store, check=True)
    try:
        _migrate(database)
        [(count, unknown, first, last)] = database.run(
            "SELECT COUNT(*), COUNT(CASE WHEN status = 'unknown' THEN 1 END), MIN(at_ms), MAX(at_ms) "
            "FROM records"
        )
    finally:
        database.close()
    folder = journal_folder(config, store)
    files, size = (0, 0) if folder is None else waiting(folder)
    found = {
        "store": database.name,
        "records": count,
        "unknown": unknown,
        "first_at_ms": first,
        "last_at_ms": last,
        "journal_files": files,
        "journal_bytes": size,
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{database.name}: well; {count} records, {unknown} of unknown outcome")
    if files:
        click.echo(f"  {size} bytes in {files} files of the journal wait to be folded in")


@store.command("migrate")
@store_options
def migrate_tables(config: Path | None, store: str | None) -> None:
    """Bring the tables up to date; a gateway does it as well when it starts."""
    database = open_store_of(config, store)
    try:
        done = _migrate(database)
    finally:
        database.close()
    click.echo(f"{database.name}: {done} migrations were run" if done else "nothing to do")


@store.command()
@store_options
def repair(config: Path | None, store: str | None) -> None:
    """Save what can be read of a damaged SQLite file into a new one, in its place.

    The damaged file is kept beside it. Stop the gateway first. Exit code 1 says that rows were lost.
    """
    place = store_place(config, store)
    if isinstance(place, str):
        remedy = "PostgreSQL has tools of its own; this is for SQLite files"
        raise InputError("store", "a postgresql:// URL", remedy)
    done = repair_file(place, journal_folder(config, store))
    for table, rows in done.rows.items():
        lost = f"; {done.gaps[table]} places could not be read" if done.gaps[table] else ""
        click.echo(f"{table}: {rows} rows saved{lost}")
    click.echo(f"{place} is new; the damaged file is {done.aside}")
    sys.exit(1 if any(done.gaps.values()) else 0)
