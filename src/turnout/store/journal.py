"""A journal of requests in files: what is written here survives this process.

A request writes a line when it begins and one when it is over, before its client sees the end. Another
thread folds whole files into the database and deletes them; a database that is slow or gone only lets
files wait. Folding twice does no harm, since a record's id is its key. A begun request without an end
is one during which the process died: its outcome is unknown.

Lines reach the operating system before a request goes on, so that a killed process loses none. A
machine that loses power may lose the last moments, unless `sync` is asked for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from turnout.errors import DataError
from turnout.store.record import Record, read_record

SEGMENT_BYTES = 4 << 20
"""Size from which a new file is begun."""
MOST_BYTES = 1 << 30
"""Of all files that wait, unless told otherwise."""
_BEGUN, _OVER = "b", "o"
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
        self._size = 0
        self._held = 0
        """Bytes of closed files."""
        self._number = 0
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
        self._begin_file()

    def begin(self, record: Record) -> None:
        """A request has begun; `record` is what is known of it, with status `unknown`."""
        self._write(f"{_BEGUN}{record.to_json()}\n".encode(), sync=False)

    def end(self, record: Record) -> None:
        """A request is over."""
        self._write(f"{_OVER}{record.to_json()}\n".encode(), sync=self._sync)

    def rotate(self) -> list[Path]:
        """Close the file under way, if it holds anything; all closed files, oldest first."""
        with self._lock:
            if self._size:
                self._begin_file()
            current = self._path(self._number)
        return [path for path in self.segments() if path != current]

    def segments(self) -> list[Path]:
        """The files that are there, oldest first."""
        found = (p for p in self._folder.glob(f"*{_SUFFIX}") if p.stem.isdigit())
        return sorted(found, key=lambda p: int(p.stem))

    def folded(self, path: Path) -> None:
        """A file's records are in the database: it is not needed any more."""
        with self._lock:
            self._held -= path.stat().st_size
            path.unlink()

    def close(self) -> None:
        """Close the file under way, and delete it where it is empty."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
                if not self._size:
                    self._path(self._number).unlink()

    def _write(self, line: bytes, *, sync: bool) -> None:
        with self._lock:
            if self._file is None or self._held + self._size + len(line) > self._most:
                self.dropped += 1
                return
            try:
                os.write(self._file, line)
                if sync:
                    os.fsync(self._file)
            except OSError:
                self.dropped += 1
                return
            self._size += len(line)
            if self._size >= SEGMENT_BYTES:
                self._begin_file()

    def _begin_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._held += self._size
        self._number += 1
        self._size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._path(self._number), flags, 0o600)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}{_SUFFIX}"


def read_segment(path: Path, on_bad: Callable[[int], None]) -> Iterator[tuple[bool, Record]]:
    """The records of a file, and whether each is of a request that is over.

    Args:
        path: one of `Journal.segments`.
        on_bad: told the number of a line that is no record (the last one, where a process died
            while it wrote).
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.decode("utf-8", "replace")
            try:
                record = read_record(line[1:])
            except DataError:
                on_bad(number)
                continue
            yield line[0] == _OVER, record


def unknown(begun: Record) -> Record:
    """The record of a request during which the process died."""
    return replace(begun, status="unknown")
