"""Rows of a file in any format that outcomes come in: JSONL, a JSON array, CSV or Parquet.

What the file holds decides, then its extension. A pickle is never opened: loading one can run code.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from turnout.data.lines import at, json_lines, raw_lines
from turnout.errors import DataError, MissingExtraError

Format: TypeAlias = Literal["jsonl", "json", "csv", "parquet"]
Rows: TypeAlias = Iterator[tuple[int, dict[str, Any]]]
Skip: TypeAlias = Callable[[str], bool]
"""Tells columns that are not wanted: CSV and Parquet leave them out."""

CSV_SUFFIXES: Final = (".csv", ".tsv")
PARQUET_SUFFIXES: Final = (".parquet", ".pq")
_JSONL_SUFFIXES: Final = (".jsonl", ".ndjson")
_HEAD_BYTES = 4096
_BATCH_ROWS = 4096
_EXPORT = (
    "a pickle is never opened, since loading one can run code; where you trust it, export it with "
    "pandas: pandas.read_pickle(FILE).to_parquet('out.parquet', index=False)"
)
_REFUSED: Final = {
    b"\x1f\x8b": "it is gzip; decompress it first",
    b"(\xb5/\xfd": "it is Zstandard; decompress it first",
    b"PK\x03\x04": "it is a zip archive or a spreadsheet; unpack it, or export a sheet as CSV",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
}


def read_rows(path: Path, *, skip: Skip | None = None) -> Rows:
    """Number and fields of every row.

    Args:
        path: a file; `-` is standard input, as JSONL.
        skip: columns that are not wanted. JSON keeps all its fields.

    Returns:
        Line numbers of text, numbers of array elements and of Parquet rows, from 1. Fields of a
        CSV are text, empty where nothing stands; `flat.outcome_row` makes numbers of them.

    Raises:
        DataError: the file cannot be read, or a row cannot: it names file, line and remedy.
        MissingExtraError: a Parquet file without pyarrow.
    """
    kind = format_of(path)
    if kind == "jsonl":
        return json_lines(path)
    if kind == "json":
        return _array_rows(path)
    return _parquet_rows(path, skip) if kind == "parquet" else _csv_rows(path, skip)


def format_of(path: Path) -> Format:
    """The format of a file, by its first bytes and then by its extension.

    Raises:
        DataError: it cannot be opened, or is of a format that is not read, such as a pickle.
    """
    if str(path) == "-":
        return "jsonl"
    head, suffix = _head(path), path.suffix.lower()
    _refuse(path, head, suffix)
    if head.startswith(b"PAR1"):
        return "parquet"
    if suffix in PARQUET_SUFFIXES:
        raise DataError("file", str(path), "it is not Parquet, or was cut short; copy it again")
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith("{"):
        return "jsonl"
    if text.startswith("[") and suffix not in _JSONL_SUFFIXES:
        return "json"
    # A file without a telling name is CSV where its header says so.
    names = text.partition("\n")[0].strip().replace('"', "").split(_delimiter(text))
    return "csv" if suffix in CSV_SUFFIXES or "prompt" in names else "jsonl"


def read_json(path: Path) -> Any:
    """The one JSON value of a whole file.

    Raises:
        DataError: it cannot be read, or is not JSON; line and column are named.
    """
    text = "".join(line for _, line in raw_lines(path))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise DataError(
            at(path, line), text[-40:], f"not JSON ({error}); was the file cut short?"
        ) from None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise DataError("file", str(path), f"{why}; give the path of a file") from None


def _refuse(path: Path, head: bytes, suffix: str) -> None:
    if suffix in (".pkl", ".pickle") or (head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5"):
        raise DataError("file", str(path), _EXPORT)
    for magic, remedy in _REFUSED.items():
        if head.startswith(magic):
            raise DataError("file", str(path), remedy)


def _array_rows(path: Path) -> Rows:
    for number, row in enumerate(read_json(path), start=1):
        if not isinstance(row, dict):
            raise DataError(at(path, number), row, "each element must be a JSON object")
        yield number, row


def _delimiter(header: str) -> str:
    first = header.partition("\n")[0]
    return max(",\t;", key=first.count)


def _csv_rows(path: Path, skip: Skip | None) -> Rows:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # an answer may be long
    lines = (line for _, line in raw_lines(path))
    first = next(lines, "")
    reader = csv.reader(_chained(first, lines), delimiter=_delimiter(first), strict=True)
    number = 1
    try:
        names = _header(next(reader, []), path)
        wanted = [j for j, name in enumerate(names) if skip is None or not skip(name)]
        number = reader.line_num + 1
        for values in reader:
            if values:
                if len(values) != len(names):
                    remedy = f"the header has {len(names)} columns; is a quote or comma missing?"
                    raise DataError(at(path, number), f"{len(values)} fields", remedy)
                yield number, {names[j]: values[j] for j in wanted}
            number = reader.line_num + 1
    except csv.Error as error:
        remedy = f"not CSV ({error}); quote fields that hold commas, quotes or line ends"
        raise DataError(at(path, number), "this row", remedy) from None


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _header(names: list[str], path: Path) -> list[str]:
    """Column names; one without a name (the index that pandas writes) is called by its place."""
    found = [name.strip() or f"(column {j})" for j, name in enumerate(names, start=1)]
    for name in found:
        if found.count(name) > 1:
            raise DataError(at(path, 1), name, "two columns have this name; rename one")
    return found


def _parquet_rows(path: Path, skip: Skip | None) -> Rows:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "parquet") from error
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = [n for n in file.schema_arrow.names if skip is None or not skip(n)]
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        why = str(error).partition("\n")[0]
        remedy = f"it cannot be read as Parquet ({why}); copy or export it again"
        raise DataError(at(path, number + 1), "this row", remedy) from None
