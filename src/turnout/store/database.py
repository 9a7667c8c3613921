"""A database behind one small seam: the same statements in SQLite and in PostgreSQL.

Statements are written once, with `?` for values, and use what both understand: `TEXT` and `BIGINT`
columns (0 and 1 for no and yes), `INSERT … ON CONFLICT … DO UPDATE`, whole-number division.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from turnout.errors import StoreError

Value: TypeAlias = str | int | float | None
"""What a column holds."""
Row: TypeAlias = tuple[Any, ...]

POSTGRES_URL = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)


class Database(Protocol):
    """One connection, safe to share between threads: each waits while another one is in a transaction.

    Every method raises `StoreError` where the database fails; what a failed transaction had written is
    undone. A connection that was lost is made again by the next call.
    """

    @property
    def name(self) -> str:
        """What messages call it: a path, or a URL without user and password."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All that is done inside is kept, or nothing of it; others see it afterwards.

        What is read inside to be written back is safe from others behind `lock` alone.
        """
        ...

    def run(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run one statement; its rows, where it gives any."""
        ...

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run one statement for each row."""
        ...

    def lock(self, name: str) -> None:
        """Inside a transaction: wait for whoever holds this name, and hold it until the end."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def open_database(where: Path | str, *, check: bool = True, read_only: bool = False) -> Database:
    """Open a database.

    Args:
        where: the path of an SQLite file, made where it is absent, or a `postgresql://` URL.
        check: look through an SQLite file for damage first.
        read_only: leave an SQLite file as it is, and do not make one.

    Raises:
        StoreError: it cannot be opened or is damaged.
        MissingExtraError: the URL needs psycopg, which is not installed.
    """
    if isinstance(where, str) and POSTGRES_URL.match(where):
        from turnout.store.postgres import PostgresDatabase

        return PostgresDatabase(where)
    from turnout.store.sqlite import SqliteDatabase

    return SqliteDatabase(Path(where), check=check, read_only=read_only)


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that belong together, and how they came to be what they are."""

    name: str
    migrations: tuple[tuple[str, ...], ...]
    """Each is run once, in order, all of its statements or none. Never edit one that has shipped."""


_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS turnout_schemas (name TEXT PRIMARY KEY, version BIGINT NOT NULL)"
)


def migrate(database: Database, schema: Schema) -> int:
    """Bring tables up to date; safe while other processes do the same.

    Returns:
        How many migrations were run.

    Raises:
        StoreError: the database failed, or its tables were made by a later version.
    """
    with database.transaction():
        version = _version(database, schema)
        for statements in schema.migrations[version:]:
            for statement in statements:
                database.run(statement)
        database.run(
            "INSERT INTO turnout_schemas (name, version) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            (schema.name, len(schema.migrations)),
        )
    return len(schema.migrations) - version


def tables_in(database: Database) -> set[str]:
    """The names of its tables."""
    from turnout.store.sqlite import SqliteDatabase

    listed = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if isinstance(database, SqliteDatabase)
        else "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    )
    return {str(row[0]) for row in database.run(listed)}


def waiting_migrations(database: Database, schema: Schema) -> int:
    """How many migrations would be run; nothing is written.

    Raises:
        StoreError: the database has no tables of ours, or they were made by a later version.
    """
    return len(schema.migrations) - _read_version(database, schema)


def _version(database: Database, schema: Schema) -> int:
    database.lock("schemas")
    database.run(_VERSIONS)
    return _read_version(database, schema)


def _read_version(database: Database, schema: Schema) -> int:
    found = database.run("SELECT version FROM turnout_schemas WHERE name = ?", (schema.name,))
    version = int(found[0][0]) if found else 0
    if version > len(schema.migrations):
        why = f"its {schema.name} tables are of version {version}, made by a later Turnout"
        raise StoreError(database.name, why, "run that version here, or name another database")
    return version


def clean_text(text: str) -> str:
    """Text that every database takes: no NUL, which PostgreSQL refuses, and no half of a character."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")
