"""What can be saved of a damaged SQLite file: every row of it that can still be read, in a new file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import StoreError
from turnout.store.ledger import in_use

_BESIDE = ("", "-wal", "-shm")
_SAVED, _ASIDE = ".repaired", ".damaged"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of a repair."""

    rows: dict[str, int]
    """Table → rows that were saved."""
    gaps: dict[str, int]
    """Table → places at which rows could not be read."""
    aside: Path
    """Where the damaged file is now."""


def repair(path: Path, journal: Path | None) -> Repaired:
    """Copy what can be read into a new file, and put that in the place of the damaged one.

    The damaged file is kept beside it. Records that wait in the journal are folded in by the next start.

    Args:
        path: of the database.
        journal: the folder of its journal; None where it has none.

    Raises:
        StoreError: a process uses it, or nothing of it can be read; then nothing is changed.
    """
    if journal is not None and in_use(journal):
        raise StoreError(str(path), "a gateway uses it", "stop the gateway, and try again")
    fresh, aside = Path(f"{path}{_SAVED}"), Path(f"{path}{_ASIDE}")
    if aside.exists():
        raise StoreError(str(path), f"{aside} is there from before", "move it away, and try again")
    fresh.unlink(missing_ok=True)
    try:
        rows, gaps = _copy(path, fresh)
    except sqlite3.Error as error:
        fresh.unlink(missing_ok=True)
        remedy = "move it away: the next start makes a new one, and folds in what waits"
        raise StoreError(str(path), f"nothing of it can be read ({error})", remedy) from error
    for ending in _BESIDE:
        there = Path(f"{path}{ending}")
        if there.exists():
            there.rename(f"{aside}{ending}")
    fresh.rename(path)
    return Repaired(rows, gaps, aside)


def _copy(path: Path, fresh: Path) -> tuple[dict[str, int], dict[str, int]]:
    old, new = sqlite3.connect(path), sqlite3.connect(fresh)
    rows: dict[str, int] = {}
    gaps: dict[str, int] = {}
    try:
        made = old.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL "
            "AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
        ).fetchall()
        for _, _, statement in made:  # tables come before indexes
            new.execute(statement)
        for kind, name, _ in made:
            if kind != "table":
                continue
            marks = ", ".join("?" * len(old.execute(f'PRAGMA table_info("{name}")').fetchall()))
            insert = f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})'  # noqa: S608
            rows[name], gaps[name] = 0, 0
            for row in _rows(old, name):
                if row is None:
                    gaps[name] += 1
                    continue
                new.execute(insert, row)
                rows[name] += 1
        new.commit()
    finally:
        old.close()
        new.close()
    if not rows:
        raise sqlite3.DatabaseError("it has no tables")
    return rows, gaps


def _rows(db: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...] | None]:
    """A table's rows; None for a place that cannot be read.

    Damage ends a scan. So ranges of row ids are halved around it until one row, or a page's worth, is lost.
    """
    try:
        low, high = _ends(db, table)
    except sqlite3.Error:
        yield from _scan(db, f'SELECT * FROM "{table}"')  # noqa: S608 - a table without row ids
        return
    ranges = [(low, high)] if high >= low else []
    while ranges:
        start, end = ranges.pop()
        where = f'SELECT * FROM "{table}" WHERE rowid BETWEEN {start} AND {end}'  # noqa: S608
        try:
            found = db.execute(where).fetchall()
        except sqlite3.DatabaseError:
            if start == end:
                yield None
                continue
            middle = (start + end) // 2
            ranges += [(middle + 1, end), (start, middle)]
            continue
        yield from found


def _ends(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """The first and last row id; where one end is damaged, as far as anything could be."""
    found = []
    for order, if_damaged in (("ASC", 1), ("DESC", 1 << 32)):
        ask = f'SELECT rowid FROM "{table}" ORDER BY rowid {order} LIMIT 1'  # noqa: S608
        try:
            row = db.execute(ask).fetchone()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            row = (if_damaged,)
        if row is None:
            return 1, 0
        found.append(int(row[0]))
    return found[0], found[1]


def _scan(db: sqlite3.Connection, statement: str) -> Iterator[tuple[object, ...] | None]:
    """Rows until the damage."""
    cursor = db.execute(statement)
    while True:
        try:
            row = cursor.fetchone()
        except sqlite3.DatabaseError:
            yield None
            return
        if row is None:
            return
        yield row
