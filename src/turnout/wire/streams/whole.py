"""A whole answer as bytes, of any dialect, stream or not → the text that it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.errors import ReplyError
from turnout.wire.dialects import Dialect
from turnout.wire.sse import read_events
from turnout.wire.streams.events import Delta, Event, Failed, Finished, Open
from turnout.wire.streams.translator import READERS as STREAM_READERS
from turnout.wire.translate.answers_read import READERS
from turnout.wire.translate.neutral import Text, Thinking
from turnout.wire.translate.replies import read_reply


def said_text(dialect: Dialect, content: bytes, *, stream: bool) -> str | None:
    """The text of an answer that came to its end and is nothing but text.

    Args:
        dialect: of the bytes.
        content: the whole body, or the whole stream of events.
        stream: which of them.

    Returns:
        The text; None where it calls a tool, declines, was cut at a limit, says nothing, or cannot be
        read. Reasoning is passed over.
    """
    try:
        text = _of_stream(dialect, content) if stream else _of_body(dialect, content)
    except ReplyError:
        return None
    return text if text and text.strip() else None


def _of_body(dialect: Dialect, content: bytes) -> str | None:
    given = read_reply(content)
    if isinstance(given.get("choices"), list) and len(given["choices"]) != 1:
        return None
    answer = READERS[dialect](given)
    said = [part for part in answer.parts if not isinstance(part, Thinking)]
    if answer.finish != "stop" or not all(isinstance(part, Text) for part in said):
        return None
    return "".join(part.text for part in said if isinstance(part, Text))


def _of_stream(dialect: Dialect, content: bytes) -> str | None:
    texts: set[int] = set()
    found: list[str] = []
    ended = False
    for event in _events(dialect, content):
        if isinstance(event, Open) and event.kind == "text":
            texts.add(event.index)
        elif isinstance(event, Open) and event.kind not in ("thinking", "redacted"):
            return None
        elif isinstance(event, Delta) and event.index in texts:
            found.append(event.text)
        elif isinstance(event, Failed):
            return None
        elif isinstance(event, Finished):
            if event.finish != "stop":
                return None
            ended = True
    return "".join(found) if ended else None


def _events(dialect: Dialect, content: bytes) -> Iterator[Event]:
    reader = STREAM_READERS[dialect]()
    for data in read_events(content):
        if data.startswith("[DONE]"):
            continue
        given = _object(data)
        if given is not None:
            yield from reader.read(given)
    yield from reader.end()


def _object(data: str) -> Mapping[str, Any] | None:
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None
