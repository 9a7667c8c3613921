"""A database in one file: SQLite in WAL mode."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from turnout.errors import StoreError
from turnout.store.database import Row, Value

BUSY_S = 5.0
"""Longest wait for another process's write."""


class SqliteDatabase:
    """A database in a file. See `Database`.

    Args:
        path: of the file; made where it is absent.
        check: look through it for damage first.
        read_only: leave it as it is; then it must be there.

    Raises:
        StoreError: it cannot be opened or is damaged.
    """

    def __init__(self, path: Path, *, check: bool = True, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self._said():
            # Transactions are begun by hand: the module's own would begin too late to read in.
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro" if read_only else path,
                uri=read_only,
                timeout=BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                if not read_only:
                    # Of a new file: records are long, and a page of 4 KiB holds two of them.
                    self._db.execute("PRAGMA page_size = 8192")
                    self._db.execute("PRAGMA journal_mode = WAL")
                    self._db.execute("PRAGMA synchronous = NORMAL")
                if check:
                    self._check()
            except BaseException:
                self._db.close()
                raise

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. See `Database.transaction`."""
        with self._lock:
            with self._said():
                self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                with self._said():
                    self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    def run(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run one statement. See `Database.run`."""
        with self._lock, self._said():
            return self._db.execute(statement, values).fetchall()

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run one statement for each row. See `Database.run_many`."""
        with self._lock, self._said():
            self._db.executemany(statement, rows)

    def lock(self, name: str) -> None:
        """Nothing to do: a transaction is the only one that writes to the file."""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _check(self) -> None:
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Errors in our words, with what to do about a damaged file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(str(self._path), error, _remedy(self._path, error)) from error


def _remedy(path: Path, error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return "see that its folder is there and can be written, and that no other program locks it"
    return f"the file is damaged; `turnout store repair --store {path}` saves what can be read"
