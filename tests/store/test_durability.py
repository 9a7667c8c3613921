"""The store when things go wrong: full disks, databases that are locked, gone or damaged."""

from __future__ import annotations

import errno
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_ledger import kept, ledger, record

from store_made import KINDS, place
from turnout.cli import cli
from turnout.errors import InputError, StoreError
from turnout.store import journal as journals
from turnout.store.database import open_database
from turnout.store.ledger import Ledger
from turnout.store.records import RecordTable


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    with place(request.param, tmp_path) as found:
        yield found


def until(done: Callable[[], bool]) -> None:
    """Wait for what comes."""
    for _ in range(6000):
        if done():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


def ids(where: Path | str) -> set[str]:
    table = RecordTable(open_database(where))
    found = {r.id for r in table.latest(1_000_000)}
    table.close()
    return found


def test_a_full_disk_drops_counts_says_so_and_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journals, "SEGMENT_BYTES", 2000)
    taken = journals._take_room

    def full(file: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with Ledger(
        tmp_path / "journal",
        lambda: RecordTable(open_database(tmp_path / "records.db")),
        every_s=0.01,
    ) as kept_in:
        kept_in.end(record("before"))
        monkeypatch.setattr(journals, "_take_room", full)
        for i in range(50):
            kept_in.end(record(f"full{i}"))  # the request goes on
        assert kept_in.dropped > 0
        until(lambda: "were dropped" in caplog.text)
        monkeypatch.setattr(journals, "_take_room", taken)
        dropped = kept_in.dropped
        until(lambda: kept_in.end(record("after")) is None and "after" in kept(tmp_path))
    found = kept(tmp_path)
    assert {"before", "after"} <= found.keys()
    assert len(found) >= 2 + 50 - dropped


def test_a_locked_database_lets_records_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.store.sqlite.BUSY_S", 0.05)
    with Ledger(
        tmp_path / "journal",
        lambda: RecordTable(open_database(tmp_path / "records.db")),
        every_s=0.01,
    ) as kept_in:
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        for i in range(200):
            kept_in.begin(record(f"r{i}"))
            kept_in.end(record(f"r{i}"))
        until(lambda: kept_in.failures >= 2)
        assert time.monotonic() - start < 30
        assert "r0" not in kept_without_a_lock(tmp_path)
        other.execute("ROLLBACK")
        other.close()
    assert len(kept(tmp_path)) == 200
    assert kept_in.dropped == 0


def kept_without_a_lock(home: Path) -> set[str]:
    db = sqlite3.connect(home / "records.db")
    found = {row[0] for row in db.execute("SELECT id FROM records")}
    db.close()
    return found


class Away:
    """A database that cannot be reached until it is back."""

    def __init__(self, where: Path | str) -> None:
        self.where, self.back = where, False

    def __call__(self) -> RecordTable:
        if not self.back:
            raise StoreError("postgresql://db", "connection refused", "start it", away=True)
        return RecordTable(open_database(self.where))


def test_a_database_that_is_away_at_the_start_does_not_stop_it(
    where: Path | str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead = tmp_path / "journal" / "1-dead"
    dead.mkdir(parents=True)
    line = b"o" + record("left behind").to_json() + b"\n"
    (dead / "000000000001.journal").write_bytes(line)
    away = Away(where)
    with Ledger(tmp_path / "journal", away, every_s=0.01) as kept_in:
        assert "starting without the store" in caplog.text
        kept_in.end(record("a"))
        until(lambda: kept_in.failures >= 2)
        away.back = True
        until(lambda: ids(where) == {"left behind", "a"})


def test_an_outage_under_load_holds_what_fits_in_bounded_memory(
    where: Path | str, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource", reason="needs resource limits of Unix")
    away, most = Away(where), 1 << 20
    with Ledger(tmp_path / "journal", away, every_s=0.01, most_bytes=most) as kept_in:
        kept_in.end(record("warm up"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(20_000):
            kept_in.end(record(f"r{i}"))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        dropped = kept_in.dropped
        assert grown < 50
        assert dropped > 0, "20,000 records do not fit"
        assert sum(p.stat().st_size for p in kept_in._journal.segments()) <= most + (4 << 20)
        away.back = True
    assert len(ids(where)) == 20_001 - dropped


def test_a_server_that_restarts_is_met_again(tmp_path: Path) -> None:
    with place("postgres", tmp_path) as where:
        opened = open_database(where)
        admin = open_database(where)
        with Ledger(tmp_path / "journal", lambda: RecordTable(opened), every_s=0.01) as kept_in:
            kept_in.end(record("a"))
            until(lambda: ids(where) == {"a"})
            for i in range(5):
                admin.run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND application_name = 'turnout'"
                )
                kept_in.end(record(f"b{i}"))
        admin.close()
        opened.close()
        with Ledger(tmp_path / "journal", lambda: RecordTable(open_database(where))):
            pass  # folds in what was left, should the end have met no server
        assert ids(where) == {"a", *(f"b{i}" for i in range(5))}
        assert kept_in.failures > 0


def damaged(home: Path, rows: int = 3000) -> Path:
    """A database of which a page in the middle is overwritten."""
    path = home / "records.db"
    table = RecordTable(open_database(path))
    table.put(record(f"r{i:05d}", decision="x" * 200) for i in range(rows))
    table._db.run("PRAGMA wal_checkpoint(TRUNCATE)")
    table.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 4096 // 2 * 4096
    data[middle : middle + 8192] = b"\x5a" * 8192
    path.write_bytes(data)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["store", *arguments])


def test_a_damaged_database_is_refused_and_repaired(tmp_path: Path) -> None:
    path = damaged(tmp_path)
    with pytest.raises(StoreError, match=f"turnout store repair --store {path}"):
        ledger(tmp_path).__enter__()
    assert isinstance(run("check", "--store", str(path)).exception, StoreError)
    found = run("repair", "--store", str(path))
    assert found.exit_code == 1, (found.output, found.exception)
    assert "could not be read" in found.output
    assert (tmp_path / "records.db.damaged").exists()
    checked = json.loads(run("check", "--store", str(path), "--json").output)
    assert 2700 < checked["records"] < 3000
    with ledger(tmp_path) as kept_in:
        kept_in.end(record("new"))
    assert "new" in kept(tmp_path)
    assert run("repair", "--store", str(path)).exception is not None, "the old file is there still"


def test_a_file_that_is_well_is_repaired_without_loss(tmp_path: Path) -> None:
    table = RecordTable(open_database(tmp_path / "records.db"))
    table.put([record("a", cost_picousd=7)])
    table.close()
    assert run("repair", "--store", str(tmp_path / "records.db")).exit_code == 0
    again = RecordTable(open_database(tmp_path / "records.db"))
    assert again.get("a") == record("a", cost_picousd=7)
    again.close()


def test_a_repair_touches_nothing_that_it_cannot_mend(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    path.write_bytes(b"not a database" * 1000)
    error = run("repair", "--store", str(path)).exception
    assert isinstance(error, StoreError)
    assert "move it away" in str(error)
    assert [p.name for p in tmp_path.iterdir()] == ["records.db"]
    error = run("repair", "--store", "postgresql://h/d").exception
    assert isinstance(error, InputError)


def test_a_store_in_use_is_not_repaired(tmp_path: Path) -> None:
    with Ledger(
        tmp_path / "records.db.journal",
        lambda: RecordTable(open_database(tmp_path / "records.db")),
        every_s=60.0,
    ) as kept_in:
        kept_in.end(record("a"))
        error = run("repair", "--store", str(tmp_path / "records.db")).exception
        assert isinstance(error, StoreError)
        assert "stop the gateway" in str(error)
        found = run("check", "--store", str(tmp_path / "records.db"))
        assert "1 files of the journal wait" in found.output


def test_migrate_says_what_it_did(where: Path | str) -> None:
    open_database(where).close()
    assert " migrations were run" in run("migrate", "--store", str(where)).output
    assert run("migrate", "--store", str(where)).output == "nothing to do\n"
