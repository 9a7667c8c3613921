"""Ids of replies and of their items, made from the upstream's id: the same id gives the same ids."""

from __future__ import annotations

import re

from turnout.wire.dialects import Dialect

_PREFIXES = {"chat": "chatcmpl-", "responses": "resp_", "messages": "msg_"}
_KNOWN = re.compile(r"(?:chatcmpl-|gen-|resp_|msg_|cmpl-)")
_PLAIN = re.compile(r"[^A-Za-z0-9_-]")
_CAP = 96


def core(given: str) -> str:
    """An id without its API's prefix, in letters, digits, `_` and `-`."""
    return _PLAIN.sub("_", _KNOWN.sub("", given, count=1))[:_CAP] or "0"


def reply_id(given: str, dialect: Dialect) -> str:
    """The upstream's id as a dialect's own would look."""
    return _PREFIXES[dialect] + core(given)


def item_id(prefix: str, given: str, index: int) -> str:
    """The id of one item of a Responses reply."""
    return f"{prefix}_{core(given)}_{index}"
