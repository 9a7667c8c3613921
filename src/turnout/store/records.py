"""The table of records: what the ledger folds its journal into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from turnout.store.database import Database, Schema, Value, migrate
from turnout.store.record import COLUMNS, ID, Record, Row, record_of, row_of

SCHEMA = Schema(
    "records",
    (
        (
            # IF NOT EXISTS: SQLite files of before there were schemas have these already.
            """
            CREATE TABLE IF NOT EXISTS records (
                id TEXT PRIMARY KEY, at_ms BIGINT NOT NULL, status TEXT NOT NULL,
                key TEXT NOT NULL, model TEXT NOT NULL, router TEXT NOT NULL,
                candidate TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL,
                code TEXT NOT NULL, http_status BIGINT NOT NULL, stream BIGINT NOT NULL,
                calls BIGINT NOT NULL, input_tokens BIGINT NOT NULL,
                cache_read_tokens BIGINT NOT NULL, cache_write_tokens BIGINT NOT NULL,
                output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
                cost_picousd BIGINT, cost_basis TEXT NOT NULL, duration_ms BIGINT NOT NULL,
                first_byte_ms BIGINT NOT NULL, session TEXT NOT NULL, decision TEXT NOT NULL
            )
            """,
            "CREATE INDEX IF NOT EXISTS records_at ON records (at_ms)",
            "CREATE INDEX IF NOT EXISTS records_key_at ON records (key, at_ms)",
        ),
        (
            "ALTER TABLE records ADD COLUMN cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE records ADD COLUMN service TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE records ADD COLUMN flags TEXT NOT NULL DEFAULT ''",
        ),
        (
            "ALTER TABLE records ADD COLUMN kind TEXT NOT NULL DEFAULT 'request'",
            "ALTER TABLE records ADD COLUMN of TEXT NOT NULL DEFAULT ''",
        ),
        ("ALTER TABLE records ADD COLUMN saved_picousd BIGINT",),
    ),
)

_PAGE = 1_000
_LIST = ", ".join(COLUMNS)
_AT_ONCE = 32
"""Rows of one statement: between two of them SQLite lets go of the interpreter's lock and asks for it
again, which costs a process that is busy more than the row does."""


def _put(rows: int) -> str:
    """The statement that folds in so many rows, no two of one id."""
    values = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * rows)
    return (
        f"INSERT INTO records ({_LIST}) VALUES {values} "  # noqa: S608
        "ON CONFLICT (id) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "id")
        + " WHERE records.status = 'unknown'"
    )


_PUT, _PUT_MANY = _put(1), _put(_AT_ONCE)


class RecordTable:
    """Records in a database; made or brought up to date at once.

    Raises:
        StoreError: the database fails, or its tables are of a later version.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        migrate(database, SCHEMA)

    def put(self, records: Iterable[Record]) -> None:
        """Fold records in, in one transaction. A record that is there stays, unless it was `unknown`.

        Raises:
            StoreError: the database is locked, full, gone or damaged; nothing was folded in.
        """
        self.put_rows(map(row_of, records))

    def put_rows(self, rows: Iterable[Row]) -> None:
        """`put` of rows, whose text databases take already (`read_row`)."""
        given = iter(rows)
        with self._db.transaction():
            while block := list(islice(given, _AT_ONCE)):
                if len({row[ID] for row in block}) == _AT_ONCE:
                    self._db.run(_PUT_MANY, list(chain.from_iterable(block)))
                else:
                    self._db.run_many(_PUT, block)

    def get(self, record_id: str) -> Record | None:
        """One record, or None."""
        found = self._select("WHERE id = ?", (record_id,))
        return found[0] if found else None

    def has(self, record_id: str) -> bool:
        """Whether there is a record of this id."""
        return bool(self._db.run("SELECT 1 FROM records WHERE id = ?", (record_id,)))

    def latest(self, count: int, *, before_ms: int | None = None) -> list[Record]:
        """The latest records, newest first."""
        if before_ms is None:
            return self._select("ORDER BY at_ms DESC, id LIMIT ?", (count,))
        return self._select("WHERE at_ms < ? ORDER BY at_ms DESC, id LIMIT ?", (before_ms, count))

    def since(self, since_ms: int) -> Iterator[Record]:
        """All records since then, oldest first, read in pages: what is written meanwhile may be missed."""
        at_ms, last = since_ms, ""
        while True:
            clause = "WHERE at_ms > ? OR (at_ms = ? AND id > ?) ORDER BY at_ms, id LIMIT ?"
            page = self._select(clause, (at_ms, at_ms, last, _PAGE))
            yield from page
            if len(page) < _PAGE:
                return
            at_ms, last = page[-1].at_ms, page[-1].id

    def spent_picousd(self, *, since_ms: int, key: str | None = None) -> int:
        """What the records since then cost, of one key or of all; an unknown cost counts as 0."""
        values: list[Value] = [since_ms] if key is None else [since_ms, key]
        # In two parts, since a sum over 9.2 million dollars in picodollars overflows SQLite's.
        [(high, low)] = self._db.run(
            "SELECT SUM(cost_picousd / 1000000), SUM(cost_picousd % 1000000) FROM records "  # noqa: S608
            f"WHERE at_ms >= ?{'' if key is None else ' AND key = ?'}",
            values,
        )
        return int(high or 0) * 1_000_000 + int(low or 0)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _select(self, clause: str, values: Sequence[Value]) -> list[Record]:
        rows = self._db.run(f"SELECT {_LIST} FROM records {clause}", values)  # noqa: S608
        return [record_of(row) for row in rows]
