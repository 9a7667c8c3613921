"""A database behind a URL: PostgreSQL, by psycopg."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from turnout.errors import MissingExtraError, StoreError
from turnout.store.database import Row, Value

if TYPE_CHECKING:
    import psycopg

# Nothing waits for ever: a server that fell silent is an error after these, and is tried again.
_WAITS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "options": "-c statement_timeout=30s -c lock_timeout=10s "
    "-c idle_in_transaction_session_timeout=60s",
}
_REFUSALS = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "pg_hba.conf",
    "permission denied",
)
_REMEDY = "see that the server that the URL names is up, and that this user may make tables in it"


class PostgresDatabase:
    """A database behind a `postgresql://` URL. See `Database`.

    Args:
        url: as libpq takes it; its time limits go over the ones here.

    Raises:
        StoreError: no connection.
        MissingExtraError: psycopg is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError("a PostgreSQL store", "postgres") from error
        self._psycopg = psycopg
        self._given = self._read(url)
        self._lock = threading.RLock()
        self._db: psycopg.Connection[Row] | None = None
        with self._lock, self._said():
            self._connection()

    @property
    def name(self) -> str:
        """The URL without user, password and options."""
        host, port = self._given.get("host", "localhost"), self._given.get("port", "5432")
        return f"postgresql://{host}:{port}/{self._given.get('dbname', '')}"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. See `Database.transaction`."""
        with self._lock, self._said(), self._connection().transaction():
            yield

    def run(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run one statement. See `Database.run`."""
        with self._lock, self._said():
            cursor = self._connection().execute(_own(statement), values)
            return cursor.fetchall() if cursor.description else []

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run one statement for each row. See `Database.run_many`."""
        with self._lock, self._said(), self._connection().cursor() as cursor:
            cursor.executemany(_own(statement), rows)

    def lock(self, name: str) -> None:
        """An advisory lock. See `Database.lock`."""
        self.run("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"turnout.{name}",))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._db is not None:
                self._db.close()

    def _read(self, url: str) -> dict[str, Any]:
        from psycopg.conninfo import conninfo_to_dict

        try:
            given = conninfo_to_dict(url)
        except self._psycopg.ProgrammingError:
            # Not libpq's words, which quote the URL and so its password; nor as this error's cause.
            remedy = (
                "write postgresql://user:password@host:5432/database, with % before two hex digits"
            )
            raise StoreError("PostgreSQL", "its URL cannot be read", remedy) from None
        return {"application_name": "turnout", **_WAITS, **given}

    def _connection(self) -> psycopg.Connection[Row]:
        """The connection, made again where it was lost."""
        if self._db is None or self._db.closed:
            self._db = self._psycopg.connect(autocommit=True, **self._given)
        return self._db

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Errors in our words, without values of rows and without the password."""
        try:
            yield
        except self._psycopg.Error as error:
            why = error.diag.message_primary or str(error).partition("\n")[0]
            password = self._given.get("password")
            if password:
                why = why.replace(password, "***")
            words = f"{type(error).__name__}: {why}"
            raise StoreError(self.name, words, _REMEDY, away=_away(error)) from None


def _away(error: psycopg.Error) -> bool:
    """Whether no server was reached, or one that is starting, stopping, or full."""
    state = error.sqlstate
    refused = state is not None and state[:2] not in ("08", "53", "57")
    if state is None:  # while connecting: libpq gives the server's words alone
        refused = any(said in str(error) for said in _REFUSALS)
    return error.__class__.__name__.endswith("OperationalError") and not refused


def _own(statement: str) -> Any:
    """With psycopg's marks for values; none of our statements has a `?` of another meaning."""
    return statement.replace("%", "%%").replace("?", "%s")
