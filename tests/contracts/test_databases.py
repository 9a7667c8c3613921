"""What every database of the store keeps. A new one gets its tests by adding a line to `KINDS`."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from store_made import KINDS, place
from turnout.errors import StoreError
from turnout.store.database import Database, Schema, migrate, open_database
from turnout.store.record import COLUMNS, Record
from turnout.store.records import SCHEMA, RecordTable

THINGS = Schema(
    "things",
    (
        ("CREATE TABLE things (name TEXT PRIMARY KEY, count BIGINT NOT NULL)",),
        ("ALTER TABLE things ADD COLUMN note TEXT", "INSERT INTO things VALUES ('a', 1, 'n')"),
    ),
)
Open = Callable[[], Database]


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    with place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def opened(where: Path | str) -> Iterator[Open]:
    made: list[Database] = []

    def build() -> Database:
        made.append(open_database(where))
        return made[-1]

    yield build
    for database in made:
        database.close()


def record(name: str = "dec_1", **changes: object) -> Record:
    return replace(Record(id=name, at_ms=1_700_000_000_000, status="ok"), **changes)  # type: ignore[arg-type]


def test_migrations_run_once_each(opened: Open) -> None:
    database = opened()
    assert migrate(database, Schema("things", THINGS.migrations[:1])) == 1
    assert migrate(database, THINGS) == 1
    assert migrate(opened(), THINGS) == 0
    assert database.run("SELECT * FROM things") == [("a", 1, "n")]


def test_a_failed_migration_leaves_nothing(opened: Open) -> None:
    database = opened()
    broken = Schema("broken", (("CREATE TABLE broken (x BIGINT)", "SELECT nonsense FROM nowhere"),))
    with pytest.raises(StoreError):
        migrate(database, broken)
    migrate(database, Schema("broken", (("CREATE TABLE broken (x BIGINT)",),)))
    assert database.run("SELECT * FROM broken") == []


def test_a_later_versions_tables_are_refused(opened: Open) -> None:
    migrate(opened(), THINGS)
    with pytest.raises(StoreError, match="later Turnout"):
        migrate(opened(), Schema("things", THINGS.migrations[:1]))


MIGRATOR = """
import sys
from pathlib import Path
from turnout.store.database import open_database
from turnout.store.records import RecordTable
given = sys.argv[1]
sys.stdin.readline()
RecordTable(open_database(given if "://" in given else Path(given))).close()
"""


def test_processes_that_start_together_migrate_once(where: Path | str, opened: Open) -> None:
    command = [sys.executable, "-c", MIGRATOR, str(where)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert migrate(opened(), SCHEMA) == 0


def test_a_transaction_is_whole_or_nothing(opened: Open) -> None:
    database, other = opened(), opened()
    migrate(database, THINGS)
    with pytest.raises(StoreError), database.transaction():  # noqa: PT012
        database.run("UPDATE things SET count = ?", (5,))
        database.run("SELECT nonsense FROM nowhere")
    assert other.run("SELECT count FROM things") == [(1,)]
    with database.transaction():
        database.run_many("INSERT INTO things VALUES (?, ?, ?)", [("b", 2, None), ("c", 3, "ü")])
        assert other.run("SELECT count(*) FROM things") == [(1,)]
    assert other.run("SELECT name, note FROM things ORDER BY name")[1:] == [("b", None), ("c", "ü")]


def test_threads_that_add_behind_a_lock_lose_nothing(opened: Open) -> None:
    migrate(opened(), THINGS)

    def add(database: Database) -> None:
        for _ in range(20):
            with database.transaction():
                database.lock("things")
                [(count,)] = database.run("SELECT count FROM things")
                database.run("UPDATE things SET count = ?", (count + 1,))

    threads = [threading.Thread(target=add, args=(opened(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened().run("SELECT count FROM things") == [(61,)]


def test_records_come_back_as_they_went_in(opened: Open) -> None:
    table = RecordTable(opened())
    given = record("a", stream=True, cost_picousd=2**62, decision='{"x": "%s ?"}', session="ü")
    table.put([given, record("b", at_ms=5)])
    assert table.get("a") == given
    assert table.get("c") is None
    assert [r.id for r in table.latest(9)] == ["a", "b"]
    assert [r.id for r in table.latest(9, before_ms=6)] == ["b"]


def test_folding_twice_changes_nothing(opened: Open) -> None:
    table = RecordTable(opened())
    table.put([record("a", cost_picousd=1)])
    table.put([record("a", cost_picousd=2), record("b", cost_picousd=3)])
    assert table.spent_picousd(since_ms=0) == 4
    table.put([record("a", status="unknown", cost_picousd=9)])
    assert table.spent_picousd(since_ms=0) == 4


def test_spending_is_summed_exactly_by_key_and_time(opened: Open) -> None:
    table, big = RecordTable(opened()), 2**62 + 1
    rows = [record(f"r{i}", key="k" if i % 2 else "", at_ms=i, cost_picousd=big) for i in range(6)]
    table.put([*rows, record("free", key="k", at_ms=9)])
    assert table.spent_picousd(since_ms=0) == 6 * big
    assert table.spent_picousd(since_ms=2, key="k") == 2 * big
    assert table.spent_picousd(since_ms=100) == 0


def test_text_that_no_database_takes_is_cleaned(opened: Open) -> None:
    table = RecordTable(opened())
    table.put([record("a", upstream_model="gpt\0-4\ud800")])
    found = table.get("a")
    assert found is not None
    assert found.upstream_model == "gpt\ufffd-4?"


def test_the_table_holds_every_field(opened: Open) -> None:
    database = opened()
    RecordTable(database).put([record()])
    [row] = database.run("SELECT * FROM records")
    assert len(row) == len(COLUMNS)


def test_a_file_of_before_there_were_schemas_is_taken_over(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "old.db")
    for statement in SCHEMA.migrations[0]:
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    old.close()
    table = RecordTable(open_database(tmp_path / "old.db"))
    table.put([record("a")])
    assert table.get("a") == record("a")
    table.close()


def test_a_database_that_cannot_be_reached_says_so_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        open_database(tmp_path / "absent" / "x.db")
    pytest.importorskip("psycopg", reason="needs psycopg")
    with pytest.raises(StoreError) as refused:
        open_database("postgresql://me:hunter22@127.0.0.1:9/db?connect_timeout=2")
    assert "postgresql://127.0.0.1:9/db" in str(refused.value)
    assert "hunter22" not in str(refused.value)
    with pytest.raises(StoreError, match="cannot be read") as unread:
        open_database("postgresql://me:hunter22@h/db?nonsense=hunter22")
    assert "hunter22" not in str(unread.value)
