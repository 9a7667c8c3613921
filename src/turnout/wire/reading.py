"""What reading a request of any dialect for routing has in common: limits, sizes, words for values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.errors import RequestError
from turnout.types import EFFORTS, estimate_tokens

TEXT_CAP = 20_000
"""Characters of a text that routers read; of a longer one, head and tail are kept."""

IMAGE_TOKENS = 765
"""Input tokens of an image: OpenAI's figure for one of 1024 x 1024 in high detail."""

AUDIO_TOKENS = 600
"""Input tokens of an audio clip: about a minute at OpenAI's ten tokens a second."""

FILE_TOKENS = 1_500
"""Input tokens of a file: about three pages of text."""

MESSAGE_TOKENS = 4
"""Tokens around each message (role and separators) in OpenAI's chat format."""

_MOST_OUTPUT_TOKENS = 1_000_000_000

OBJECT = (dict, Mapping)
"""For `isinstance`: parsed JSON is a dict, which is told at a fraction of what asking an ABC costs."""


class Kind(str):
    """A JSON type's name, shown in place of a value that must not be repeated in an error."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def kind(value: object) -> Kind:
    """What a JSON value is, in words."""
    if value is None:
        return Kind("null")
    if isinstance(value, bool):
        return Kind("a boolean")
    if isinstance(value, int | float):
        return Kind("a number")
    if isinstance(value, str):
        return Kind("a string")
    if isinstance(value, OBJECT):
        return Kind("an object")
    return Kind("a list")


def objects(body: Mapping[str, Any], name: str, example: str) -> Sequence[Mapping[str, Any]]:
    """A field that must be a list of objects with at least one.

    Raises:
        RequestError: it is missing, empty or something else. No value appears in the error.
    """
    if name not in body:
        raise RequestError(name, Kind("a missing field"), example)
    value = body[name]
    if not isinstance(value, list):
        raise RequestError(name, kind(value), example)
    if not value:
        raise RequestError(name, Kind("an empty list"), example)
    return value


def content_parts(field: str, content: Any, example: str) -> None:
    """Check that a content is a string, a list of parts or null.

    Raises:
        RequestError: it is not. No value appears in the error.
    """
    if content is not None and not isinstance(content, str | list):
        raise RequestError(field, kind(content), "give a string, a list of content parts or null")
    for i, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, (str, *OBJECT)):
            raise RequestError(
                f"{field}[{i}]", kind(part), f"give a content part, such as {example}"
            )


def parts_of(content: Any) -> Iterator[Mapping[str, Any]]:
    """The parts of a content that are objects."""
    if isinstance(content, list):
        yield from (part for part in content if isinstance(part, OBJECT))


def cut(text: str, what: str, notes: list[str]) -> str:
    """Head and tail of a text longer than the cap, free of lone surrogates."""
    if len(text) > TEXT_CAP:
        notes.append(f"{what} was cut for routing from {len(text)} to {TEXT_CAP} characters")
        half = TEXT_CAP // 2
        text = text[:half] + text[-half:]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def json_tokens(value: Any) -> int:
    """Estimated tokens of any JSON value, whatever its depth."""
    tokens, left = 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            tokens += estimate_tokens(item)
        elif isinstance(item, OBJECT):
            left += item
            left += item.values()
        elif isinstance(item, list):
            left += item
        elif item is not None:
            tokens += 1
    return tokens


def output_limit(body: Mapping[str, Any], *names: str) -> int | None:
    """What the caller allows; a value that makes no sense is the upstream's to refuse."""
    for name in names:
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return min(value, _MOST_OUTPUT_TOKENS)
    return None


def effort_of(value: Any) -> str | None:
    """A reasoning effort, where it is a known one; another is the upstream's to refuse."""
    return value if isinstance(value, str) and value in EFFORTS else None
