"""Records in SQLite: one file, in WAL mode, with migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import StoreError
from turnout.store.record import COLUMNS, Record

BUSY_S = 5.0
"""Longest wait for another process's write."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE records (
        id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, status TEXT NOT NULL, key TEXT NOT NULL,
        model TEXT NOT NULL, router TEXT NOT NULL, candidate TEXT NOT NULL, provider TEXT NOT NULL,
        upstream_model TEXT NOT NULL, code TEXT NOT NULL, http_status INTEGER NOT NULL,
        stream INTEGER NOT NULL, calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, cost_picousd INTEGER,
        cost_basis TEXT NOT NULL, duration_ms INTEGER NOT NULL, first_byte_ms INTEGER NOT NULL,
        session TEXT NOT NULL, decision TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX records_at ON records (at_ms);
    CREATE INDEX records_key_at ON records (key, at_ms);
    """,
)
"""Each is run once, in order; `PRAGMA user_version` counts them. Never edit one that has shipped."""

_PUT = (
    f"INSERT INTO records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "id")
    + " WHERE records.status = 'unknown'"
)


class SqliteRecords:
    """The ledger in a file.

    Args:
        path: of the database; made where it is absent.

    Raises:
        StoreError: it cannot be opened, is damaged, or is of a later version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._check()
            self._migrate()
        except sqlite3.Error as error:
            raise StoreError(str(path), error) from error

    def put(self, records: Iterable[Record]) -> None:
        """Fold records in, in one transaction. A record that is there stays, unless it was `unknown`.

        Raises:
            StoreError: the database is locked, full or damaged; nothing was folded in.
        """
        try:
            with self._db:
                self._db.executemany(_PUT, map(Record.values, records))
        except sqlite3.Error as error:
            raise StoreError(str(self._path), error) from error

    def get(self, record_id: str) -> Record | None:
        """One record, or None."""
        found = self._select("WHERE id = ?", (record_id,))
        return found[0] if found else None

    def latest(self, count: int, *, before_ms: int | None = None) -> list[Record]:
        """The latest records, newest first."""
        if before_ms is None:
            return self._select("ORDER BY at_ms DESC, id LIMIT ?", (count,))
        return self._select("WHERE at_ms < ? ORDER BY at_ms DESC, id LIMIT ?", (before_ms, count))

    def spent_picousd(self, *, since_ms: int, key: str | None = None) -> int:
        """What the records since then cost, of one key or of all; an unknown cost counts as 0."""
        where = "at_ms >= ?" if key is None else "at_ms >= ? AND key = ?"
        values = (since_ms,) if key is None else (since_ms, key)
        # Summed here: an SQLite integer overflows at 9.2 million dollars in picodollars.
        rows = self._rows(f"SELECT cost_picousd FROM records WHERE {where}", values)  # noqa: S608
        return sum(row[0] or 0 for row in rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _select(self, clause: str, values: Sequence[object]) -> list[Record]:
        rows = self._rows(f"SELECT {', '.join(COLUMNS)} FROM records {clause}", values)  # noqa: S608
        found = []
        for row in rows:
            given = dict(zip(COLUMNS, row, strict=True))
            found.append(Record(**{**given, "stream": bool(given["stream"])}))
        return found

    def _rows(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(str(self._path), error) from error

    def _check(self) -> None:
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StoreError(
                str(self._path), f"it is of version {version}, made by a later Turnout"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
