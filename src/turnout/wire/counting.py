"""`POST /v1/messages/count_tokens` and `/v1/responses/input_tokens`, answered by our own estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.wire import chat, messages, responses
from turnout.wire.dialects import Dialect

ESTIMATED = {"x-turnout-estimated": "input_tokens"}
"""The header that says that a count is an estimate and not the model's own tokenizer's."""


@dataclass(frozen=True, slots=True)
class CountedTokens:
    """A reply in the dialect's form, and the header that flags it as an estimate."""

    body: dict[str, Any]
    headers: Mapping[str, str]


def count_tokens(dialect: Dialect, body: Mapping[str, Any]) -> CountedTokens:
    """Estimate the input tokens of a request: bytes over four, and fixed sizes for media.

    Raises:
        RequestError: not a request of that dialect.
    """
    readers = {"chat": chat, "responses": responses, "messages": messages}
    tokens = readers[dialect].read_query(body).input_tokens
    found: dict[str, Any] = {"input_tokens": tokens}
    if dialect == "responses":
        found = {"object": "response.input_tokens", **found}
    return CountedTokens(found, ESTIMATED)
