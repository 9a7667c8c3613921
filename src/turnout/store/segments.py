"""Reads a journal's files: the rows of requests, those that only began among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from turnout.errors import DataError
from turnout.store.record import DECIDED, DECISION, STATUS, Row, as_read, decision_of, read_row

READ_BYTES = 256 << 10
"""Of a file that are read at once: for each piece the interpreter's lock is let go."""
BEGUN, OVER = b"b", b"o"
"""How lines begin: of a request that begins, and of one that is over."""


@dataclass(slots=True)
class RowsAtHand:
    """The rows of one file, held by those who wrote it."""

    over: list[Row] = field(default_factory=list)
    begun: dict[str, int] = field(default_factory=dict)
    """Where the lines begin of requests that are not over, by their ids."""
    lines: list[bytes] = field(default_factory=list)
    """Those lines, of a file that is closed."""

    def rows(self, on_bad: Callable[[int], None]) -> Iterator[Row]:
        """See `read_segment`."""
        for number, row in enumerate(self.over, start=1):
            try:
                yield as_read(row)
            except DataError:
                on_bad(number)
        yield from _begun_rows(enumerate(self.lines, start=1), on_bad)


def read_segment(path: Path, on_bad: Callable[[int], None]) -> Iterator[Row]:
    """The rows of a file.

    The beginning of a request that is over in the same file is left out, unless its end cannot be
    read; what has only begun comes last. Rows are not made into `Record`s, and but for those that
    have only begun no line is held: the memory for a whole file would cost as much as all else here.

    Args:
        path: one of `Journal.segments`.
        on_bad: told the number of a line that is no record (the last one, where a process died
            while it wrote).
    """
    begun: dict[bytes, tuple[int, bytes]] = {}
    with path.open("rb", READ_BYTES) as file:
        for number, line in enumerate(file, start=1):
            if line[:1] != OVER:
                begun[_id_part(line)] = number, line
                continue
            row = _row(line)
            if row is None:  # its end was half written: the beginning is what is known
                on_bad(number)
                continue
            _, beginning = begun.pop(_id_part(line), (0, b""))
            if not row[DECISION]:  # an end in the same file does not say it again
                row[DECISION] = _decision(beginning)
            yield row
    yield from _begun_rows(begun.values(), on_bad)


def _begun_rows(lines: Iterable[tuple[int, bytes]], on_bad: Callable[[int], None]) -> Iterator[Row]:
    """The rows of numbered lines that have only begun: the process died meanwhile, or they go on."""
    for number, line in lines:
        row = _row(line)
        if row is not None:
            row[STATUS] = "unknown"  # their outcome
            yield row
        elif line.strip(b"\0\n"):  # a process that died did not cut off what it left empty
            on_bad(number)


def _decision(line: bytes) -> str:
    """What the beginning of a request says of its decision."""
    written = line[line.find(DECIDED) + 1 : -1] if DECIDED in line else b""
    with suppress(DataError):  # damaged: the record itself is whole
        if written:
            return decision_of(written)
    row = _row(line)  # an earlier version's, or of a request without a decision
    return "" if row is None else str(row[DECISION])


def _row(line: bytes) -> Row | None:
    """The row of a line; None where it is no record, or only a part of it was written."""
    if not line.endswith(b"\n") or b"\0" in line:
        return None
    try:
        return read_row(line[1:-1])
    except DataError:
        return None


def _id_part(line: bytes) -> bytes:
    """What stands before the first comma: the id, which a record names first and has no comma."""
    end = line.find(b",")
    return line[1:end] if end > 0 else line
