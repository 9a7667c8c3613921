"""Records survive: crashes, failing databases, full disks, and processes that come and go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import DataError, StoreError
from turnout.store.database import clean_text, open_database
from turnout.store.journal import AT_HAND, Journal
from turnout.store.ledger import Ledger
from turnout.store.record import COLUMNS, DECISION, ID, Record, Row, json_line, read_row, record_of
from turnout.store.records import RecordTable
from turnout.store.segments import read_segment


def record(name: str = "dec_1", **changes: object) -> Record:
    return replace(Record(id=name, at_ms=1_700_000_000_000, status="ok"), **changes)  # type: ignore[arg-type]


def ledger(home: Path, **options: object) -> Ledger:
    return Ledger(
        home / "journal",
        lambda: RecordTable(open_database(home / "records.db")),
        every_s=60.0,
        **options,  # type: ignore[arg-type]
    )


def kept(home: Path) -> dict[str, str]:
    records = RecordTable(open_database(home / "records.db"))
    found = {r.id: r.status for r in records.latest(10_000)}
    records.close()
    return found


@given(
    text=st.text(st.characters(), max_size=30) | st.just("\ud800 alone"),
    cost=st.none() | st.integers(0, 2**62),
    tokens=st.integers(0, 2**40),
    flag=st.booleans(),
    decided=st.just("") | st.text().map(lambda t: json_line({"reason": t}).decode()),
)
def test_what_is_written_is_read(
    text: str, cost: int | None, tokens: int, flag: bool, decided: str
) -> None:
    given = record(
        "a", model=text, cost_picousd=cost, input_tokens=tokens, stream=flag, decision=decided
    )
    found = record_of(read_row(given.to_json()))
    assert found == replace(given, model=clean_text(text), decision=clean_text(decided))
    assert b"\n" not in given.to_json()


def test_a_decision_in_its_column_is_read_too() -> None:
    given = record(decision='{"x": 1}')
    row = json.loads(given.to_json(decision=False))
    row[DECISION] = given.decision
    assert record_of(read_row(json.dumps(row).encode())) == given


def test_a_later_versions_fields_are_passed_over() -> None:
    line = record().to_json()[:-1] + b",1]"
    assert record_of(read_row(line)) == record()


def test_an_earlier_versions_lines_are_read() -> None:
    given = {k: v for k, v in asdict(record()).items() if k not in ("kind", "of", "saved_picousd")}
    for line in (json.dumps(given), json.dumps({**given, "of_tomorrow": 1})):
        assert record_of(read_row(line.encode())) == record()


def changed(name: str, value: object) -> bytes:
    """A line with another value in one column."""
    row = json.loads(record().to_json())
    row[COLUMNS.index(name)] = value
    return json.dumps(row).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b'{"id": "x"}', b'["x", 1, "ok"]',
        changed("stream", None), changed("stream", "yes"), changed("model", {}), changed("model", ["a"]),
    ],
)  # fmt: skip
def test_what_is_no_record_says_so(line: bytes) -> None:
    with pytest.raises(DataError):
        read_row(line)


def test_a_request_ends_up_in_the_database(tmp_path: Path) -> None:
    with ledger(tmp_path) as kept_in:
        kept_in.begin(record("a", status="unknown"))
        kept_in.end(record("a", cost_picousd=5, decision='{"x": 1}'))
    records = RecordTable(open_database(tmp_path / "records.db"))
    assert records.get("a") == record("a", cost_picousd=5, decision='{"x": 1}')
    assert records.get("b") is None
    records.close()
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_request_under_way_is_unknown_until_it_is_over(tmp_path: Path) -> None:
    with ledger(tmp_path) as kept_in:
        kept_in.begin(record("a"))
        kept_in.fold()
        assert kept(tmp_path) == {"a": "unknown"}
        kept_in.end(record("a"))
        kept_in.fold()
        assert kept(tmp_path) == {"a": "ok"}


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_ledger import ledger, record
with ledger(Path(sys.argv[1])) as kept:
    kept._every_s = 0.005
    kept._now.set(); kept._now.clear()
    i = 0
    while True:
        name = f"{sys.argv[3]}-{i}"
        kept.begin(record(name, status="unknown"))
        kept.end(record(name))
        print(name, flush=True)   # the client has its answer
        i += 1
"""


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.15])
def test_a_killed_process_loses_no_answered_request_and_doubles_none(
    tmp_path: Path, after_s: float
) -> None:
    answered: list[str] = []
    for run in range(2):
        arguments = [sys.executable, "-c", WORKER, str(tmp_path), str(Path(__file__).parent)]
        with subprocess.Popen([*arguments, str(run)], stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            answered.append(worker.stdout.readline().strip())
            time.sleep(after_s)
            worker.send_signal(signal.SIGKILL)
            answered += [line.strip() for line in worker.stdout if line.endswith("\n")]
    with ledger(tmp_path):
        pass
    found = kept(tmp_path)
    assert set(answered) <= found.keys()
    assert all(found[name] == "ok" for name in answered)
    # Beside the answered ones, at most those under way when the process died.
    assert len(found) - len(set(answered)) <= 2 * 2


class Failing:
    """A database that fails a few times."""

    def __init__(self, records: RecordTable, failures: int) -> None:
        self.records, self.failures = records, failures

    def put_rows(self, rows: Iterable[Row]) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StoreError("x", "database is locked", "wait")
        self.records.put_rows(rows)

    def close(self) -> None:
        self.records.close()


def test_a_failing_database_lets_records_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> Failing:
        return Failing(RecordTable(open_database(tmp_path / "records.db")), 3)

    with Ledger(tmp_path / "journal", failing, every_s=0.001) as kept_in:
        for i in range(20):
            kept_in.end(record(f"r{i}"))
        while kept_in.failures < 3:
            time.sleep(0.001)
    assert len(kept(tmp_path)) == 20
    assert "database is locked" in caplog.text


def test_a_full_journal_drops_and_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", most_bytes=800)
    journal.open()
    for i in range(10):
        journal.end(record(f"r{i}"))
    journal.close()
    assert journal.dropped > 0
    found = [r[ID] for p in journal.segments() for r in read_segment(p, lambda _: None)]
    assert len(found) == 10 - journal.dropped


def test_a_half_written_line_is_passed_over_and_counted(tmp_path: Path) -> None:
    dead = tmp_path / "journal" / "1-dead"
    dead.mkdir(parents=True)
    half = b"o" + record("b").to_json()[:40]
    room = bytes(100)  # what a process that died had not written yet
    written = b"o" + record("a").to_json() + b"\n" + half + room
    (dead / "000000000001.journal").write_bytes(written)
    with ledger(tmp_path) as kept_in:
        assert kept_in.unreadable == 1
    assert kept(tmp_path) == {"a": "ok"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line[:-8],
        lambda line: line[:-4] + bytes(4) + b"\n",
        lambda line: line[:-9] + b"\xff\n",
    ],
)
def test_a_decision_that_is_half_written_is_no_record(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    dead = tmp_path / "journal" / "1-dead"
    dead.mkdir(parents=True)
    line = b"b" + record("b", status="unknown", decision='{"x": {"y": 1}}').to_json() + b"\n"
    whole = b"o" + record("a").to_json() + b"\n"
    (dead / "000000000001.journal").write_bytes(whole + spoil(line))
    with ledger(tmp_path) as kept_in:
        assert kept_in.unreadable == 1
    assert kept(tmp_path) == {"a": "ok"}


@pytest.mark.parametrize("pieces", [1, 3])
def test_folding_beside_requests_pauses_and_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("turnout.store.ledger.PIECE", pieces)
    monkeypatch.setattr("turnout.store.ledger.time.sleep", slept.append)
    fast = Ledger(
        tmp_path / "journal",
        lambda: RecordTable(open_database(tmp_path / "records.db")),
        every_s=0.05,
    )
    with fast as kept_in:
        for i in range(40):
            kept_in.end(record(f"r{i}"))
        late = time.monotonic() + 20.0
        while len(kept(tmp_path)) < 40 and time.monotonic() < late:
            threading.Event().wait(0.02)
    assert len(kept(tmp_path)) == 40
    assert len(slept) >= 40 // pieces
    assert 0.0 < max(slept) <= 0.0005


def test_a_request_whose_end_is_half_written_has_begun_all_the_same(tmp_path: Path) -> None:
    dead = tmp_path / "journal" / "1-dead"
    dead.mkdir(parents=True)
    begun = record("b", status="unknown", decision='{"x": 1}')
    half = b"o" + record("b").to_json()[:40]
    (dead / "000000000001.journal").write_bytes(b"b" + begun.to_json() + b"\n" + half)
    with ledger(tmp_path) as kept_in:
        assert kept_in.unreadable == 1
    records = RecordTable(open_database(tmp_path / "records.db"))
    assert records.get("b") == begun
    records.close()


def test_a_living_processs_journal_is_left_alone(tmp_path: Path) -> None:
    with ledger(tmp_path) as first:
        first.end(record("a"))
        with ledger(tmp_path) as second:
            second.end(record("b"))
        assert kept(tmp_path) == {"b": "ok"}
    assert kept(tmp_path) == {"a": "ok", "b": "ok"}


class _Word(str):
    """Text that databases would have to be told of."""

    __slots__ = ()


def test_rows_at_hand_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.store.journal.SEGMENT_BYTES", 4096)
    journal = Journal(tmp_path)
    journal.open()
    decided = json_line({"reason": "größer", "more": "x" * 300}).decode()
    texts = ("plain", "größer", "\ud800 alone", "\0", _Word("word"), 'a\tb"\n')
    asked = [
        record(f"dec_{i}", status="unknown", model=text, decision=decided if i % 3 else "")
        for i, text in enumerate(texts * 5)
    ]
    begun = [(one, journal.begin(one)) for one in asked]
    for one, where in begun[::2] + begun[1:6:2]:
        one.status, one.stream, one.cost_picousd, one.service = "ok", True, 2**62, one.model
        journal.end(one, where)
    journal.end(record("dec_alone", decision=decided))
    closed = journal.rotate()
    assert len(closed) > AT_HAND
    read = [list(read_segment(path, pytest.fail)) for path in closed]
    assert [list(journal.rows(path, pytest.fail)) for path in closed] == read
    assert {type(value) for rows in read for row in rows for value in row} == {str, int, type(None)}
    for path in closed:
        path.write_bytes(b"")
    assert [list(journal.rows(path, pytest.fail)) for path in closed[:AT_HAND]] == read[:AT_HAND]
    assert list(journal.rows(closed[AT_HAND], pytest.fail)) == []


def test_a_row_at_hand_that_is_no_record_is_counted_as_one_of_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open()
    journal.end(record("dec_bad", input_tokens=[1]))
    journal.end(record("dec_good"))
    [path] = journal.rotate()
    for rows in (journal.rows, read_segment):
        bad: list[int] = []
        assert [row[ID] for row in rows(path, bad.append)] == ["dec_good"]
        assert bad == [1]


def test_large_journals_are_cut_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.store.journal.SEGMENT_BYTES", 1000)
    with ledger(tmp_path) as kept_in:
        for i in range(30):
            kept_in.end(record(f"r{i}"))
    assert len(kept(tmp_path)) == 30


def test_a_damaged_database_stops_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="turnout store repair --store"), ledger(tmp_path):
        pass


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.open()
    journal.close()
    assert all(p.stat().st_mode & 0o077 == 0 for p in journal.segments())
