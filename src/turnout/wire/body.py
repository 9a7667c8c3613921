"""Request bodies: strict JSON in, the client's own bytes out with one value replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from turnout.errors import RequestError, show
from turnout.wire.reading import Kind, kind

_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*')
"""A name without escapes, as nearly all are, up to its value."""
_MARKS = frozenset(",}")
_encode = json.JSONEncoder().encode
_SPACES = frozenset(" \t\r\n")
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped surrogate, one of a pair or alone; bytes that are UTF-8 hold no other."""
_LONE = re.compile("[\ud800-\udfff]")
_PLAIN = re.compile(r"[A-Za-z0-9_.:@/-]{1,60}\Z")
_OBJECT = 'give a JSON object, such as {"model": "auto", "messages": [...]}'


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Body:
    """A JSON object as it was sent, and what it says."""

    text: str
    fields: dict[str, Any]
    spans: dict[str, tuple[int, int]]
    """Where in `text` the value of each field stands."""

    def with_field(self, name: str, value: Any) -> bytes:
        """The body with the value of one of its fields replaced, all else byte for byte as sent.

        Number formats, key order, spacing and fields that we do not know stay what they were.
        """
        start, end = self.spans[name]
        return (self.text[:start] + _encode(value) + self.text[end:]).encode()

    def without(self, name: str) -> Body:
        """The body without one of its fields, all else byte for byte as sent."""
        names, (_, end) = list(self.spans), self.spans[name]
        place = names.index(name)
        if place:  # from the end of the field before it, its comma included
            start = self.spans[names[place - 1]][1]
        else:
            start = self.text.index("{") + 1
            after = _skip(self.text, end)
            end = after + 1 if self.text[after] == "," else after
        gone = end - start
        return Body(
            self.text[:start] + self.text[end:],
            {other: value for other, value in self.fields.items() if other != name},
            {
                other: (at, to) if to <= start else (at - gone, to - gone)
                for other, (at, to) in self.spans.items()
                if other != name
            },
        )

    def with_fields(self, values: Mapping[str, Any]) -> bytes:
        """The body with fields replaced, or added at its start, all else byte for byte as sent."""
        text, spans = self.text, self.spans
        there = [name for name in values if name in spans]
        if len(there) > 1:
            there.sort(key=lambda name: spans[name], reverse=True)  # from the end on
        for name in there:
            start, end = spans[name]
            text = f"{text[:start]}{_encode(values[name])}{text[end:]}"
        if len(there) < len(values):
            new = {name: value for name, value in values.items() if name not in spans}
            at = text.index("{") + 1
            comma = ", " if spans else ""
            text = f"{text[:at]}{_encode(new)[1:-1]}{comma}{text[at:]}"
        return text.encode()


def read_body(raw: bytes) -> Body:
    """Read a JSON object strictly (RFC 8259, each name once).

    Raises:
        RequestError: not UTF-8, not JSON, not an object, NaN or Infinity, a name given twice, half
            of a surrogate pair, or nested or numbered beyond what can be read.
    """
    if not raw or raw.isspace():
        raise RequestError("body", Kind("an empty body"), _OBJECT)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = Kind(f"the byte at {error.start}")
        raise RequestError("body", where, "send JSON in UTF-8") from None
    try:
        fields, spans = _read_object(text)
    except json.JSONDecodeError as error:
        where = Kind(f"the JSON at line {error.lineno}, column {error.colno}")
        raise RequestError("body", where, f"{error.msg}; {_OBJECT}") from None
    except RecursionError:
        raise RequestError("body", Kind("its nesting"), "nest JSON less deeply") from None
    except RequestError:
        raise
    except ValueError:  # int() refuses more than 4300 digits
        raise RequestError("body", Kind("a number"), "write numbers with fewer digits") from None
    if "\\u" in text and _ESCAPED.search(text):
        _refuse_lone(fields)
    return Body(text, fields, spans)


def _refuse_lone(fields: Mapping[str, Any]) -> None:
    """Half of a surrogate pair is no text: most providers refuse it, and UTF-8 cannot hold it.

    Raises:
        RequestError: a name or a text has one; names the place.
    """
    left: list[tuple[str, Any]] = [("", fields)]
    while left:
        at, value = left.pop()
        if isinstance(value, str) and _LONE.search(value):
            remedy = "UTF-8 cannot hold it; replace or remove it"
            raise RequestError(at, Kind("a lone surrogate"), remedy)
        if isinstance(value, dict):
            for name, inner in value.items():
                plain = name if _PLAIN.match(name) else "(a field)"
                place = f"{at}.{plain}" if at else plain
                left += ((place, inner), (place, name))
        elif isinstance(value, list):
            left += ((f"{at}[{i}]", item) for i, item in enumerate(value))


def _read_object(text: str) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """The fields of a JSON object and the span of each value."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        value = _DECODER.decode(text)
        raise RequestError("body", kind(value), _OBJECT)
    fields: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if fields:
            at = _skip(text, _expect(text, at, ","))
        plain = _NAME.match(text, at)
        name, start = (plain[1], plain.end()) if plain else _name(text, at)
        try:
            value, end = _SCAN(text, start)
        except StopIteration as error:
            raise json.JSONDecodeError("Expecting value", text, error.value) from None
        if name in fields:
            raise _twice(name)
        fields[name] = value
        spans[name] = (start, end)
        at = end if text[end : end + 1] in _MARKS else _skip(text, end)
    if at + 1 != len(text) and _skip(text, at + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)
    return fields, spans


def _name(text: str, at: int) -> tuple[str, int]:
    """A field's name, and where its value begins."""
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("Expecting a name in double quotes", text, at)
    name, at = _DECODER.raw_decode(text, at)
    return name, _skip(text, _expect(text, _skip(text, at), ":"))


def _skip(text: str, at: int) -> int:
    """Where the next mark stands, behind what space there is."""
    if text[at : at + 1] not in _SPACES:
        return at
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return at + 1


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _twice(name)
        found[name] = value
    return found


def _twice(name: str) -> RequestError:
    return RequestError("body", Kind(f"the name {show(name)}"), "give each name once")


def _constant(name: str) -> NoReturn:
    raise RequestError("body", Kind(name), "JSON has no such number; leave it out or give null")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_constant)
_SCAN = _DECODER.scan_once  # type: ignore[attr-defined] # what `raw_decode` calls
