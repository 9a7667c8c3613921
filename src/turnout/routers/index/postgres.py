"""Exact search by pgvector in a PostgreSQL database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from turnout.errors import InputError, MissingExtraError, RouterError
from turnout.routers.index.base import (
    Ids,
    at_least_one,
    check_dimension,
    distinct_ids,
    unit_rows,
)
from turnout.types import Floats


class PgvectorIndex:
    """Vectors in a table, which is made afresh.

    Args:
        dimension: of every vector.
        dsn: a connection string of libpq; empty takes `PGHOST` and its like from the environment,
            so that a password need not stand in a file.
        table: its name; an existing one of that name is replaced.

    Raises:
        MissingExtraError: psycopg is not installed.
        RouterError: no connection, or the database lacks the extension `vector`.
    """

    def __init__(self, dimension: int, *, dsn: str = "", table: str = "turnout_routes") -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError("the pgvector index", "pgvector") from error
        self.dimension = check_dimension(dimension)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", table):
            raise InputError("table", table, "give a name of a-z, 0-9 and _")
        self._table, self._error = table, psycopg.Error  # `_table` is a plain name: see above
        with self._said():
            self._connection: Any = psycopg.connect(dsn, autocommit=True, connect_timeout=5)
        self._run("CREATE EXTENSION IF NOT EXISTS vector")
        self._run(f"DROP TABLE IF EXISTS {table}")
        self._run(f"CREATE TABLE {table} (id bigint PRIMARY KEY, row vector({dimension}))")

    def __len__(self) -> int:
        count = f"SELECT count(*) FROM {self._table}"  # noqa: S608
        return int(self._run(count).fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def add(self, ids: Sequence[int], vectors: Floats) -> None:
        """Add or replace vectors. See `Index.add`."""
        rows = unit_rows(vectors, self.dimension, "vectors")
        new = distinct_ids(ids, len(rows))
        insert = (
            f"INSERT INTO {self._table} VALUES (%s, %s::vector) "  # noqa: S608
            "ON CONFLICT (id) DO UPDATE SET row = excluded.row"
        )
        with self._said(), self._connection.cursor() as cursor:
            values = [(key, _text(row)) for key, row in zip(new.tolist(), rows, strict=True)]
            cursor.executemany(insert, values)

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors. See `Index.remove`."""
        delete = f"DELETE FROM {self._table} WHERE id = ANY(%s)"  # noqa: S608
        self._run(delete, [int(key) for key in ids])

    def search(self, queries: Floats, k: int) -> tuple[Ids, Floats]:
        """The nearest vectors, exactly; ties in the order of ids. See `Index.search`."""
        wanted = unit_rows(queries, self.dimension, "queries")
        k = min(at_least_one(k), len(self))
        ids = np.empty((len(wanted), k), dtype=np.int64)
        similarity = np.empty((len(wanted), k), dtype=np.float32)
        # <#> is the negative inner product, since rows have unit length: zeros are then far.
        select = (
            f"SELECT id, -(row <#> %s::vector) FROM {self._table} "  # noqa: S608
            "ORDER BY 2 DESC, 1 LIMIT %s"
        )
        for i, query in enumerate(wanted):
            found = self._run(select, _text(query), k).fetchall()
            ids[i] = [key for key, _ in found]
            similarity[i] = [near for _, near in found]
        return ids, similarity

    def _run(self, statement: str, *values: Any) -> Any:
        with self._said():
            return self._connection.execute(statement, values or None)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            # Not libpq's own message, which may quote the connection string.
            raise RouterError(
                f"the pgvector index failed ({type(error).__name__}); check the database that dsn "
                "or PGHOST names, and that it has the extension vector"
            ) from error


def _text(row: Floats) -> str:
    return "[" + ",".join(map(str, row.tolist())) + "]"
