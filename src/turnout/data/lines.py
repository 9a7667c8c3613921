"""Lines of a text or JSONL file, or of standard input, with errors that name file and line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from turnout.errors import DataError


def at(path: Path, line: int, field: str = "") -> str:
    """`my.jsonl:12 score`: where something stands, for an error's field."""
    return f"{path.name}:{line} {field}".rstrip()


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank; a byte-order mark is dropped.

    Args:
        path: a file; `-` is standard input.

    Raises:
        DataError: no such file, or bytes that are not UTF-8.
    """
    for number, line in raw_lines(path):
        if line.strip():
            yield number, line.rstrip("\r\n")


def raw_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line with its end; a byte-order mark is dropped.

    Raises:
        DataError: see `text_lines`.
    """
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            yield from _decoded(file, path)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise DataError("file", str(path), f"{why}; give the path of a file") from None


def _decoded(file: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(file, start=1):
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            remedy = f"byte {error.start} is not UTF-8; save the file as UTF-8"
            raise DataError(at(path, number), raw[:40], remedy) from None


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of every line of a JSONL file.

    Raises:
        DataError: see `text_lines`; or a line that is not a JSON object.
    """
    return parse_lines(text_lines(path), path)


def parse_lines(
    lines: Iterable[tuple[int, str]], path: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Parse numbered lines as JSON objects.

    Raises:
        DataError: a line that is not one.
    """
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                at(path, number), line, f"not JSON ({error}); one object on each line"
            ) from None
        if not isinstance(row, dict):
            raise DataError(at(path, number), row, "each line must be a JSON object")
        yield number, row
