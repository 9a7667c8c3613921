"""A journal of requests in files: what is written here survives this process.

A request writes a line when it begins and one when it is over, before its client sees the end. Another
thread folds whole files into the database and deletes them; a database that is slow or gone only lets
files wait. Folding twice does no harm, since a record's id is its key. A begun request without an end
is one during which the process died: its outcome is unknown.

Lines are in memory that the operating system holds (a file mapped and shared) before a request goes on,
so that a killed process loses none. Compared with a write, that is no system call, and above all the
interpreter's lock is not let go, for which a thread that folds would make every request wait. A machine
that loses power may lose the last moments, unless `sync` is asked for.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from turnout.store.record import DECIDED, Record, Row, written
from turnout.store.segments import BEGUN, OVER, RowsAtHand, read_segment

SEGMENT_BYTES = 4 << 20
"""Size of a file while it is written; what is left of it is cut off when the next one is begun."""
MOST_BYTES = 1 << 30
"""Of all files that wait, unless told otherwise."""
AHEAD_BYTES = 64 << 10
"""Of the file under way that are mapped at once: a fault for each page costs three times as much."""
AT_HAND = 2
"""Closed files whose rows are held in memory: what waits longer is read when its time comes."""
_POPULATE_WRITE = 23
"""Linux's MADV_POPULATE_WRITE, since 5.14; `mmap` has no name for it yet."""
_SUFFIX = ".journal"


class Journal:
    """Appends lines to files of one folder; safe to share between threads.

    Args:
        folder: made where it is absent; one process at a time.
        most_bytes: of all files; beyond it, lines are dropped and counted.
        sync: ask the disk to keep each end of a request before its client sees it.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, sync: bool = False) -> None:
        self._folder, self._most, self._sync = folder, most_bytes, sync
        self._lock = threading.Lock()
        self._file: int | None = None
        self._room = mmap.mmap(-1, 1)
        self._mapped = 0
        """Bytes of the file whose pages are ready."""
        self._populates = sys.platform == "linux"
        self._size = 0
        self._held = 0
        """Bytes of closed files."""
        self._number = 0
        self._rows = RowsAtHand()
        self._at_hand: dict[Path, RowsAtHand] = {}
        """Of closed files."""
        self.dropped = 0
        """Lines that could not be written: the disk or the journal is full."""

    def open(self) -> None:
        """Make the folder and begin a new file behind those that are there.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        waiting = self.segments()
        self._number = max((int(p.stem) for p in waiting), default=0)
        self._held = sum(p.stat().st_size for p in waiting)
        self._begin_file(SEGMENT_BYTES)

    def begin(self, record: Record) -> int:
        """A request has begun; `record` is what is known of it, with status `unknown`.

        Returns:
            The file that this was written to, for `end`; 0 where it was dropped.
        """
        line = record.to_json(decision=False)
        return self._write(_whole(BEGUN, line, record.decision), record.id)

    def end(self, record: Record, begun: int = 0) -> None:
        """A request is over.

        Args:
            record: of it.
            begun: what `begin` gave. In the same file the decision, most of a line, is not written
                once more: each page of a file that is touched costs more than all else here.
        """
        line, row = written(record)
        short = b"%b%b\n" % (OVER, line)
        if begun == self._number and self._write(short, record.id, row, only=begun):
            return
        self._write(_whole(OVER, line, record.decision), record.id, row)

    def rotate(self) -> list[Path]:
        """Close the file under way, if it holds anything; all closed files, oldest first.

        Raises:
            OSError: no new file can be begun; lines are dropped and counted until one can.
        """
        with self._lock:
            if self._size or self._file is None:
                self._begin_file(SEGMENT_BYTES)
            current = self._path(self._number)
        return [path for path in self.segments() if path != current]

    def segments(self) -> list[Path]:
        """The files that are there, oldest first."""
        found = (p for p in self._folder.glob(f"*{_SUFFIX}") if p.stem.isdigit())
        return sorted(found, key=lambda p: int(p.stem))

    def rows(self, path: Path, on_bad: Callable[[int], None]) -> Iterator[Row]:
        """The rows of a closed file, as `read_segment` gives them; those at hand are not read."""
        held = self._at_hand.get(path)
        return read_segment(path, on_bad) if held is None else held.rows(on_bad)

    def folded(self, path: Path) -> None:
        """A file's records are in the database: it is not needed any more."""
        with self._lock:
            self._at_hand.pop(path, None)
            self._held -= path.stat().st_size
            path.unlink()

    def close(self) -> None:
        """Close the file under way, and delete it where it is empty."""
        with self._lock:
            if self._file is not None:
                self._end_file()
                if not self._size:
                    self._path(self._number).unlink()

    def _write(self, line: bytes, key: str, row: Row | None = None, *, only: int = 0) -> int:
        """Append a line; the file that it went to, or 0.

        Args:
            line: with its end.
            key: the record's id.
            row: of a request that is over; the disk is asked to keep its line where that is wanted.
            only: write it to this file, or not at all, and count nothing.
        """
        with self._lock:
            end = self._size + len(line)
            fits = self._file is not None and end <= len(self._room)
            if only and (only != self._number or not fits):
                return 0
            if self._held + end > self._most:
                self.dropped += not only
                return 0
            try:
                if not fits:
                    self._begin_file(max(SEGMENT_BYTES, len(line)))
                    end = len(line)
                if end > self._mapped:
                    self._map_ahead(end)
                self._room[self._size : end] = line
                if row is not None and self._sync:
                    start = self._size - self._size % mmap.PAGESIZE
                    self._room.flush(start, end - start)
            except OSError:
                self.dropped += not only
                return 0
            if row is None:
                self._rows.begun[key] = self._size
            else:
                self._rows.begun.pop(key, None)
                self._rows.over.append(row)
            self._size = end
            return self._number

    def _map_ahead(self, end: int) -> None:
        """Have pages ready up to `end` and some more. A kernel that cannot does it page by page."""
        start, size = self._mapped, len(self._room)
        self._mapped = min(size, max(end, start + AHEAD_BYTES) + mmap.PAGESIZE & -mmap.PAGESIZE)
        if self._populates:
            try:
                self._room.madvise(_POPULATE_WRITE, start, self._mapped - start)
            except OSError:
                self._populates = False

    def _begin_file(self, size: int) -> None:
        """Begin the next file. Its room on the disk is taken now: a mapped file must not run short."""
        self._end_file()
        self._number += 1
        self._size, self._rows = 0, RowsAtHand()
        path = self._path(self._number)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags, 0o600)
        try:
            _take_room(file, size)
            self._room = mmap.mmap(file, size)
        except BaseException:
            os.close(file)
            path.unlink()
            raise
        self._file, self._mapped = file, 0

    def _end_file(self) -> None:
        if self._file is None:
            return
        rows = self._rows
        if len(self._at_hand) < AT_HAND:
            ends = (self._room.find(b"\n", start) + 1 for start in rows.begun.values())
            rows.lines = [self._room[a:b] for a, b in zip(rows.begun.values(), ends, strict=True)]
            self._at_hand[self._path(self._number)] = rows
        self._room.close()
        os.ftruncate(self._file, self._size)
        os.close(self._file)
        self._file = None
        self._held += self._size

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}{_SUFFIX}"


def _whole(kind: bytes, line: bytes, decision: str) -> bytes:
    """A line of the file, with its decision, if there is one, as it is."""
    if not decision:
        return b"%b%b\n" % (kind, line)
    return b"%b%b%b%b\n" % (kind, line, DECIDED, decision.encode())


if hasattr(os, "posix_fallocate"):

    def _take_room(file: int, size: int) -> None:
        os.posix_fallocate(file, 0, size)
else:

    def _take_room(file: int, size: int) -> None:
        left = size
        while left > 0:
            left -= os.write(file, bytes(min(left, 1 << 20)))
