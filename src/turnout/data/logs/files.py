"""Log files as numbered records: plain, gzip or zstd; JSON lines, a JSON array or document, CSV, SQLite.

Nothing is held in memory but the record at hand (of one JSON document, the document). Standard input
is copied to a temporary file first, since it is read more than once.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from turnout.data.lines import at
from turnout.data.logs.fields import Row
from turnout.data.logs.llm_cli import read_database
from turnout.errors import DataError, MissingExtraError

Form = Literal["lines", "array", "document", "csv", "sqlite"]

CHUNK_BYTES = 8_000_000
"""Plain JSON lines are worked on in chunks of about this many bytes."""
MOST_DOCUMENT = 256_000_000
"""Characters of a JSON document that is read whole."""
_HEAD = 1_000_000
_BLOCK = 1 << 20
_SQLITE = b"SQLite format 3\0"
_PROMPT_COLUMNS = frozenset(
    "prompt messages input question query text instruction user_message request request_body".split()
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record with the line it begins on: JSON not parsed yet, or an object, or what is wrong."""

    line: int
    value: bytes | Row | None
    wrong: str = ""
    """A code of `REASONS`; then `value` is None."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file whose form was found out from its content."""

    path: Path
    form: Form
    packing: Literal["", "gzip", "zstd"] = ""

    @property
    def splits(self) -> bool:
        """Whether chunks of it can be read alone."""
        return self.form == "lines" and not self.packing

    def chunks(self, size: int = CHUNK_BYTES) -> list[tuple[int, int]]:
        """Byte ranges of whole lines that cover a file that `splits`; of any other one range."""
        length = self.path.stat().st_size
        if not self.splits:
            return [(0, length)]
        found, start = [], 0
        with self.path.open("rb") as file:
            while start < length:
                file.seek(min(start + size, length))
                file.readline()
                found.append((start, file.tell()))
                start = file.tell()
        return found

    def chunk(self, start: int, end: int) -> bytes:
        """The bytes of a range."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def records(self) -> Generator[Record, None, None]:
        """Every record in order.

        Raises:
            DataError: the file cannot be opened, or is no database of a known kind.
        """
        if self.form == "sqlite":
            for number, row in read_database(self.path):
                yield Record(number, row)
            return
        try:
            with closing(self._bytes()) as file:
                yield from self._parsed(file)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            yield Record(0, None, "broken_archive")
            del error
        except OSError as error:
            why = error.strerror or "it cannot be read"
            raise DataError("file", str(self.path), f"{why}; give the path of a log") from None

    def _parsed(self, file: BinaryIO) -> Iterator[Record]:
        if self.form == "lines":
            yield from lines_of(file)
            return
        with _text(file) as text:
            if self.form == "csv":
                yield from _csv(text)
            elif self.form == "array":
                yield from _array(text)
            else:
                yield Record(1, self._document(text))

    def _document(self, text: io.TextIOWrapper) -> bytes:
        document = text.read(MOST_DOCUMENT + 1)
        if len(document) > MOST_DOCUMENT:
            remedy = "this JSON document is too long to be read whole; write one object a line"
            raise DataError(at(self.path, 1), document[:40], remedy)
        return document.encode("utf-8", "replace")

    def _bytes(self) -> Any:
        return _unpacked(self.path, self.packing)


def lines_of(file: Any) -> Iterator[Record]:
    """Records of JSON lines, blank lines left out."""
    for number, raw in enumerate(file, start=1):
        line = raw.strip()
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line:
            yield Record(number, line)


def expand(patterns: Sequence[str | Path]) -> list[Path]:
    """Paths that patterns mean: files, folders with all below them, globs (`**` too), `-` once.

    Raises:
        DataError: a pattern that nothing matches.
    """
    found: dict[Path, None] = {}
    for pattern in map(str, patterns):
        if pattern == "-":
            found[Path("-")] = None
            continue
        paths = [Path(p) for p in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute patterns too
        if Path(pattern).exists():
            paths = [Path(pattern)]
        if not paths:
            raise DataError("file", pattern, "no such file; give logs by path, folder or pattern")
        for path in paths:
            inner = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            found.update(dict.fromkeys(inner))
    return list(found)


def spooled(path: Path, folder: Path) -> Path:
    """Standard input copied to a file of its own in a folder; any other path as it is."""
    if str(path) != "-":
        return path
    inner = Path(tempfile.mkdtemp(dir=folder, prefix="stdin-"))  # for its owner alone
    with (inner / "stdin").open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, _BLOCK)
    return inner / "stdin"


def open_log(path: Path) -> LogFile:
    """Find out what a file is from its first bytes; names and suffixes are not looked at.

    Raises:
        DataError: it cannot be read, is empty, or is nothing that a log can be.
        MissingExtraError: it is packed by zstd, and what unpacks it is not installed.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(16)
        if magic == _SQLITE:
            return LogFile(path, "sqlite")
        packing: Literal["", "gzip", "zstd"] = ""
        if magic[:2] == b"\x1f\x8b":
            packing = "gzip"
        elif magic[:4] == b"\x28\xb5\x2f\xfd":
            packing = "zstd"
        with closing(_unpacked(path, packing)) as file:
            head = file.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "its first bytes cannot be read"
        raise DataError("file", str(path), f"{why}; give the path of a log") from None
    return LogFile(path, _form(head.removeprefix(b"\xef\xbb\xbf").lstrip(), path), packing)


def _form(head: bytes, path: Path) -> Form:
    if not head:
        raise DataError(at(path, 1), "", "this file is empty; leave it out")
    if head[:1] == b"[":
        return "array"
    first = head.split(b"\n", 1)[0].strip()
    if head[:1] == b"{":
        # A printed document opens its object on one line and closes it on another.
        opens = first == b"{" or (first[-1:] in b",[{" and b"\n" in head and not _is_json(first))
        return "document" if opens and head.find(b'"', 1) > 0 else "lines"
    names = {n.strip().strip('"').lower() for n in first.decode("utf-8", "replace").split(",")}
    if names & _PROMPT_COLUMNS or {"request_id", "spend"} <= names:
        return "csv"
    remedy = (
        "line 1 begins neither a JSON object or array, nor a CSV header with a column such as prompt "
        "or messages"
    )
    raise DataError(at(path, 1), first[:40], remedy)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _unpacked(path: Path, packing: str) -> Any:
    if packing == "gzip":
        return gzip.open(path, "rb")
    if packing == "zstd":
        return _zstd().open(path, "rb")
    return path.open("rb")


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # 3.14 and later
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise MissingExtraError("a log packed by zstd", "zstd") from None
    return zstd


def _text(file: IO[bytes]) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")


def _csv(text: io.TextIOWrapper) -> Iterator[Record]:
    csv.field_size_limit(2**31 - 1)  # a conversation is longer than the default of 128 kB
    rows = csv.reader(text)
    header = [name.strip() for name in next(rows, [])]
    begins = rows.line_num + 1
    try:
        for cells in rows:
            if cells and len(cells) != len(header):
                yield Record(begins, None, "ragged")
            elif cells:
                yield Record(begins, dict(zip(header, cells, strict=True)))
            begins = rows.line_num + 1
    except csv.Error:
        yield Record(begins, None, "ragged")


def _array(file: io.TextIOWrapper) -> Iterator[Record]:
    """The elements of a JSON array, one at a time."""
    decoder, buffer, line = json.JSONDecoder(), "", 1
    buffer = file.read(_BLOCK).lstrip().removeprefix("[")
    ended = False
    while True:
        stripped = buffer.lstrip(" \t\r\n,")
        line += buffer[: len(buffer) - len(stripped)].count("\n")
        buffer = stripped
        if buffer.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(buffer)
            # A number at the end of the buffer may go on; objects cannot.
            whole = isinstance(value, dict | list) or end < len(buffer)
        except ValueError:
            whole, value, end = False, None, 0
        if not whole or not buffer:
            more = "" if ended else file.read(max(_BLOCK, len(buffer)))
            ended = not more
            if ended:
                yield Record(line, None, "truncated")
                return
            buffer += more
            continue
        found = value if isinstance(value, dict) else None
        yield Record(line, found, "" if found is not None else "not_object")
        line += buffer[:end].count("\n")
        buffer = buffer[end:]
