"""The ledger: a journal in front, a database behind, and a thread that folds one into the other."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeAlias, TypeVar

from turnout.errors import StoreError
from turnout.store.journal import MOST_BYTES, Journal
from turnout.store.record import Record, Row
from turnout.store.segments import read_segment

log = logging.getLogger("turnout.store")

EVERY_S = 1.0
"""How long a record waits at most before it is folded in, while the database is well."""
LONGEST_WAIT_S = 30.0
"""Between two tries of a database that fails."""
PIECE = 32
"""Rows that are folded in at a stretch, for which a request waits some 0.2 ms."""
PAUSE_S = 0.0005
"""Between two pieces, at most."""
_PAUSED = 0.25
"""Of `every_s` that folding a file in pauses at most."""
_ROW_BYTES = 512
"""A row of the journal is hardly shorter, its two lines taken together."""

T = TypeVar("T")
Rows: TypeAlias = Callable[[Path, Callable[[int], None]], Iterator[Row]]
"""The rows of a file. See `read_segment`."""


class Records(Protocol):
    """Where records end up."""

    def put_rows(self, rows: Iterable[Row]) -> None:
        """Fold records in, all or none. Raises `StoreError`."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Ledger:
    """Keeps records; `with` opens and closes it.

    Args:
        folder: of the journal; each process uses a folder of its own in it, and takes over those of
            processes that have died.
        open_records: opens the database, in the thread that folds.
        most_bytes: of the journal; what comes beyond it is dropped and counted.
        sync: ask the disk to keep each end of a request before its client sees it.
        every_s: how long a record waits at most.
    """

    def __init__(
        self,
        folder: Path,
        open_records: Callable[[], Records],
        *,
        most_bytes: int = MOST_BYTES,
        sync: bool = False,
        every_s: float = EVERY_S,
    ) -> None:
        self._home, self._open_records = folder, open_records
        self._most, self._sync, self._every_s = most_bytes, sync, every_s
        self._records: Records | None = None
        self._stop, self._now = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="turnout-ledger", daemon=True)
        self.failures = 0
        """Tries to fold that failed."""
        self.unreadable = 0
        """Lines of journals that were no records: of processes that died while they wrote."""

    def __enter__(self) -> Self:
        # What a damaged database says must stop the start, not a thread later on. One that is away
        # must not: records wait for it.
        try:
            self._records = self._open_records()
        except StoreError as error:
            if not error.away:
                raise
            log.error("starting without the store: %s", error)
        self._own = self._home / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._journal = Journal(self._own, most_bytes=self._most, sync=self._sync)
        self._journal.open()
        self._held = _lock(self._own)
        if self._records is not None:
            self._adopt()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._now.set()
        self._thread.join()
        self._journal.close()
        if not self._journal.segments():
            _remove(self._own)
        if self._held is not None:
            os.close(self._held)
        if self._records is not None:
            self._records.close()

    @property
    def dropped(self) -> int:
        """Lines that could not be written, because the disk or the journal is full."""
        return self._journal.dropped

    def begin(self, record: Record) -> int:
        """A request has begun. Gives what `end` takes. See `Journal.begin`."""
        return self._journal.begin(record)

    def end(self, record: Record, begun: int = 0) -> None:
        """A request is over; once this returns, no crash of this process loses it.

        Args:
            record: of it.
            begun: what `begin` gave.
        """
        self._journal.end(record, begun)

    def fold(self) -> None:
        """Fold in what is waiting, now; for tests and at the end.

        Raises:
            StoreError: the database failed; everything still waits.
            OSError: no new file can be begun, since the disk is full, say.
        """
        closed = self._journal.rotate()
        if self._records is None:
            self._records = self._open_records()
            self._adopt()
        for path in closed:
            self._fold(path, self._journal.rows, self._journal.folded)

    def _run(self) -> None:
        wait, told, tried = self._every_s, 0, False
        while True:
            self._now.wait(wait)
            stopping = self._stop.is_set()
            if self.dropped > told:
                told = self.dropped
                log.error("%d lines of records were dropped: the disk or the journal is full", told)
            well = False
            try:
                self.fold()
                well, wait = True, self._every_s
            except (StoreError, OSError) as error:
                self.failures += 1
                wait = min(2.0 * wait, LONGEST_WAIT_S)
                log.error("records wait in %s: %s", self._own, error)
            except Exception:  # a thread's edge: records wait, and the next try may do better
                self.failures += 1
                wait = LONGEST_WAIT_S
                log.exception("records wait in %s", self._own)
            # A connection that was lost meanwhile is made again by a second try.
            if stopping and (well or tried):
                return
            tried = stopping

    def _adopt(self) -> None:
        """Fold in what processes that have died left behind: what they did not end is unknown."""
        for folder in sorted(p for p in self._home.iterdir() if p.is_dir() and p != self._own):
            held = _lock(folder)
            if held is None:
                continue  # its process lives
            try:
                for path in Journal(folder).segments():
                    self._fold(path, read_segment, Path.unlink)
                _remove(folder)
            finally:
                os.close(held)

    def _fold(self, path: Path, rows: Rows, folded: Callable[[Path], None]) -> None:
        """Put a file's records into the database, then delete it.

        What has only begun goes in as unknown, which its end, in a later file, replaces: should its
        process die before, that is all that is known.
        """
        bad: list[int] = []
        found = _in_pieces(rows(path, bad.append), self._pause_s(path.stat().st_size))
        assert self._records is not None  # opened by whoever calls this
        self._records.put_rows(found)
        self.unreadable += len(bad)
        folded(path)

    def _pause_s(self, size: int) -> float:
        """How long to let requests go on between two pieces of a file; 0 where none are to come."""
        if threading.current_thread() is not self._thread or self._stop.is_set():
            return 0.0
        pieces = max(1.0, size / (PIECE * _ROW_BYTES))
        return min(PAUSE_S, _PAUSED * self._every_s / pieces)


def _in_pieces(rows: Iterable[T], pause_s: float) -> Iterator[T]:
    """The same with pauses: requests that wait for the interpreter's lock get it in between.

    Without them a request may wait until all is folded in, or for a whole turn of the interpreter.
    """
    for number, row in enumerate(rows, start=1):
        yield row
        if pause_s and not number % PIECE:
            time.sleep(pause_s)


if sys.platform == "win32":
    import msvcrt

    def _hold(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _hold(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(folder: Path) -> int | None:
    """Hold a folder for this process; None where another one holds it."""
    held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _hold(held)
    except OSError:
        os.close(held)
        return None
    return held


def in_use(home: Path) -> bool:
    """Whether a living process holds a folder of this journal."""
    for folder in _folders(home):
        held = _lock(folder)
        if held is None:
            return True
        os.close(held)
    return False


def waiting(home: Path) -> tuple[int, int]:
    """Files of a journal that wait to be folded in, and their bytes; those of living processes too."""
    sizes = []
    for folder in _folders(home):
        for path in Journal(folder).segments():
            with suppress(FileNotFoundError):  # folded in meanwhile
                sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def may_hold(home: Path, record_id: str, *, most_bytes: int = 256 << 20) -> bool:
    """Whether a record waits in a journal of this machine, or so much waits that nobody looks.

    What is folded in while this looks may be missed here: then it is in the database.
    """
    if waiting(home)[1] > most_bytes:
        return True
    wanted = record_id.encode()
    for folder in _folders(home):
        for path in Journal(folder).segments():
            with suppress(FileNotFoundError):  # folded in meanwhile
                if wanted in path.read_bytes():
                    return True
    return False


def _folders(home: Path) -> list[Path]:
    return sorted(p for p in home.iterdir() if p.is_dir()) if home.is_dir() else []


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
