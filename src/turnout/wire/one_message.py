"""A chat request of one user message, taken apart without reading the rest of it again.

An application's requests mostly differ in what is said alone: all else of the body, from the model to the
system's text and the temperature, comes again byte for byte. What follows from that rest is found once
(`Frame`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined] # what its decoders call
from typing import Any, NamedTuple

from turnout.types import Query
from turnout.wire import chat
from turnout.wire.body import Body, read_body
from turnout.wire.conversation import by_harness
from turnout.wire.reading import TEXT_CAP

_S = "[ \t\r\n]*"
_TEXT = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_SYSTEM = rf'\{{{_S}"role"{_S}:{_S}"(?:system|developer)"{_S},{_S}"content"{_S}:{_S}{_TEXT}{_S}\}}{_S},{_S}'
_OPENING = re.compile(
    rf'"messages"{_S}:{_S}\[{_S}(?:{_SYSTEM})?\{{{_S}"role"{_S}:{_S}"user"{_S},{_S}"content"{_S}:{_S}"',
    re.DOTALL,
)
_CLOSING = re.compile(rf'"{_S}\}}{_S}\]')
_STANDS_IN = f"({secrets.token_hex(16)})"
"""What no client can write: found as the content of the one message, it is that which was cut out."""


class Said(NamedTuple):
    """A request that was taken apart."""

    before: str
    """What stands before the content of its user's message, the opening quote included."""
    written: str
    """The content as it was written."""
    after: str
    text: str
    """What it says."""


def take_apart(body: str) -> Said | None:
    """Cut out the content of a user's message that is the only one, or stands behind a system's alone.

    None for other requests; whether these are the request's messages is for `frame_of` to say.
    """
    opening = _OPENING.search(body)
    if opening is None:
        return None
    start = opening.end()
    try:
        text, end = scanstring(body, start, True)
    except JSONDecodeError:
        return None
    if _CLOSING.match(body, end - 1) is None:
        return None
    written = body[start : end - 1]
    # An escaped surrogate may be half of a pair, and a text of a harness is no task.
    if not 0 < len(text) <= TEXT_CAP or "\\u" in written or by_harness(text):
        return None
    return Said(body[:start], written, body[end - 1 :], text)


class Frame(NamedTuple):
    """All of a request but the content of its user's message."""

    body: Body
    """With a text that stands for any."""
    query: Query
    """Of that text."""

    @property
    def tokens(self) -> int:
        """Input tokens beside those of `chat.plain_tokens`."""
        return self.query.input_tokens - chat.plain_tokens(_STANDS_IN)

    def around(self, values: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """What stands before and after the content, with these fields set as `Body.with_fields` does."""
        before, _, after = self.body.with_fields(values).partition(_STANDS_IN.encode())
        return before, after


def frame_of(said: Said) -> Frame | None:
    """The rest of a request, if its messages are those, and no other field says more than they do.

    Raises:
        RequestError: it cannot be read; as of `read_body` and `chat.read_query`.
    """
    body = read_body(f"{said.before}{_STANDS_IN}{said.after}".encode())
    query = chat.read_query(body.fields)
    *before, last = body.fields["messages"]
    if last != {"role": "user", "content": _STANDS_IN} or query.text != _STANDS_IN:
        return None
    if query.notes:
        return None  # of the system's text: decisions have them
    system = [{"role": message["role"], "content": message["content"]} for message in before]
    if before != system or len(before) > 1 or not chat.says_no_more(body.fields):
        return None
    if before and before[0]["role"] not in ("system", "developer"):
        return None
    return Frame(body, query)
