"""Lines of a text or JSONL file, with errors that name file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turnout.errors import DataError


def at(path: Path, line: int, field: str = "") -> str:
    """`my.jsonl:12 score`: where something stands, for an error's field."""
    return f"{path.name}:{line} {field}".rstrip()


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank; a byte-order mark is dropped.

    Raises:
        DataError: no such file, or bytes that are not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    remedy = f"byte {error.start} is not UTF-8; save the file as UTF-8"
                    raise DataError(at(path, number), raw[:40], remedy) from None
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise DataError("file", str(path), f"{why}; give the path of a file") from None


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of every line of a JSONL file.

    Raises:
        DataError: see `text_lines`; or a line that is not a JSON object.
    """
    for number, line in text_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                at(path, number), line, f"not JSON ({error}); one object on each line"
            ) from None
        if not isinstance(row, dict):
            raise DataError(at(path, number), row, "each line must be a JSON object")
        yield number, row
