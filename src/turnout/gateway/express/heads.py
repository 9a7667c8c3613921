"""Heads of requests that come again: what they say is read once.

A client's connection brings one head after another that differ in the length of the body alone. The
parser reads the first; what is equal to it, byte for byte, says the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from turnout.access.keyring import hash_of
from turnout.gateway.http.headers import to_upstream
from turnout.gateway.kept.idempotency.once import HEADER as IDEMPOTENCY_KEY
from turnout.wire.asks import HEADER as ASKS
from turnout.wire.session import CLIENT_HEADERS

PATHS = (b"/v1/chat/completions", b"/chat/completions")
MOST_BODY_BYTES = 64 * 1024
"""Longer requests are not held until they are whole."""
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})\r\n", re.IGNORECASE)
_ASK_MORE = frozenset({
    "transfer-encoding", "expect", "upgrade", "origin", "traceparent", "tracestate", IDEMPOTENCY_KEY,
    *CLIENT_HEADERS,
})  # fmt: skip
"""Headers of requests that are no longer like any other."""


class Head:
    """A head that was read.

    Args:
        start: its bytes up to the length of the body.
        end: those behind it.
        headers: names in small letters.
    """

    __slots__ = ("_end", "_start", "hashed", "headers", "key", "onward")

    def __init__(self, start: bytes, end: bytes, headers: Mapping[str, str]) -> None:
        self._start, self._end, self.headers = start, end, headers
        self.key = (start, end)
        self.hashed = hash_of(headers)
        """Of the key that it brings; None where it brings none."""
        self.onward = to_upstream(headers)
        """What an upstream may see of it."""

    def body_at(self, data: bytes) -> tuple[int, int] | None:
        """Where the body of a request with this head begins in `data`, and how long it is.

        None: another head, or a body that is not for here.
        """
        start, end = self._start, self._end
        if not data.startswith(start):
            return None
        at = data.find(b"\r", len(start), len(start) + 10)
        if at < 0 or not data.startswith(end, at):
            return None
        digits = data[len(start) : at]
        if not digits.isdigit():
            return None
        size = int(digits)
        return (at + len(end), size) if 0 < size <= MOST_BODY_BYTES else None


def around_length(data: bytes) -> tuple[bytes, bytes] | None:
    """The head by which `data` begins, around the length of its body: the `key` of a `Head`."""
    size = data.find(b"\r\n\r\n") + 4
    found = _LENGTH.search(data, 0, size) if size > 3 else None
    return None if found is None else (data[: found.start(1)], data[found.end(1) : size])


def head_of(
    data: bytes, method: bytes, url: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]
) -> Head | None:
    """The head by which `data` begins, as the parser has read it; None where others are not like it.

    Args:
        data: what has come, from the first byte of a request on.
        method: of the request.
        url: of the request.
        version: of HTTP.
        headers: of the request, names in small letters.
    """
    if method != b"POST" or url not in PATHS or version != "1.1":
        return None
    size = data.find(b"\r\n\r\n") + 4
    lengths = _LENGTH.findall(data, 0, size) if size > 3 else []
    # Each line by itself: a parser is lenient in ways that need not be known here.
    if len(lengths) != 1 or data.count(b"\r\n", 0, size) != len(headers) + 2:
        return None
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    if len(given) != len(headers) or not _ASK_MORE.isdisjoint(given):
        return None
    if given.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    if given.get("content-length") != lengths[0].decode() or ASKS in "\n".join(given):
        return None
    around = around_length(data)
    return None if around is None else Head(*around, given)
