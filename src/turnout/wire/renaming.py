"""Replies that name another model than the one that answered; all else byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.wire.dialects import Dialect

_WHOLE = ("model",)
_STREAM: Mapping[Dialect, Sequence[str]] = {
    "chat": ("model",),
    "responses": ("response", "model"),
    "messages": ("message", "model"),
}
"""Where an event names the model."""
_KEY = b'"model"'
_BYTES = "surrogateescape"
"""Bytes that are no UTF-8 come out as they went in."""
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def renamed_reply(content: bytes, model: str) -> bytes:
    """A whole reply of any dialect that names `model`; one that names none stays as it is."""
    return _renamed(content, _WHOLE, model) if _KEY in content else content


def renamed_lines(lines: bytes, dialect: Dialect, model: str) -> bytes:
    """Whole lines of a stream whose events name `model` where they name one."""
    if _KEY not in lines:
        return lines
    path = _STREAM[dialect]
    return b"".join(
        b"data:" + _renamed(line[5:], path, model)
        if line.startswith(b"data:") and _KEY in line
        else line
        for line in lines.splitlines(keepends=True)
    )


def with_first_field(content: bytes, name: str, value: Any) -> bytes:
    """A JSON object with a field more at its start; what is no object stays as it is."""
    start = len(content) - len(content.lstrip())
    if content[start : start + 1] != b"{":
        return content
    rest = content[start + 1 :]
    comma = b"" if rest.lstrip()[:1] == b"}" else b", "
    field = json.dumps({name: value}, separators=(",", ":")).encode()[1:-1]
    return content[: start + 1] + field + comma + rest


def _renamed(content: bytes, path: Sequence[str], model: str) -> bytes:
    text = content.decode("utf-8", _BYTES)
    try:
        span = _span(text, path)
    except (ValueError, IndexError, RecursionError):
        return content  # not JSON: the client's to refuse
    if span is None or text[span[0]] != '"':
        return content
    return (text[: span[0]] + json.dumps(model) + text[span[1] :]).encode("utf-8", _BYTES)


def _span(text: str, path: Sequence[str]) -> tuple[int, int] | None:
    """Where in a JSON text the value at a path of names stands."""
    at, end = 0, len(text)
    for name in path:
        found = _value(text, at, name)
        if found is None:
            return None
        at, end = found
    return at, end


def _value(text: str, at: int, name: str) -> tuple[int, int] | None:
    """The span of a value in the object that starts at a place; None where it is none or lacks it."""
    at = _skip(text, at)
    if text[at] != "{":
        return None
    at = _skip(text, at + 1)
    while text[at] == '"':
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if key == name:
            return start, end
        at = _skip(text, _skip(text, end) + 1)
    return None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
