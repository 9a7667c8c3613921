"""A whole reply of one dialect in another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import ReplyError
from turnout.types import Usage
from turnout.wire.dialects import Dialect
from turnout.wire.translate.answers_read import READERS
from turnout.wire.translate.answers_write import WRITERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the client asked in, and what its reply repeats of it."""

    dialect: Dialect
    now: int
    """Unix seconds, for replies whose API has a time where the upstream's has none."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """The client's request: a Responses reply repeats some of its fields."""
    model: str | None = None
    """The model to name; None names the one that the upstream names."""
    include_usage: bool = True
    """Whether a chat stream ends with usage."""
    input_tokens: int = 0
    """Estimated input, for an API that must say one when the upstream does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedReply:
    """A reply as the client is sent it."""

    body: dict[str, Any]
    usage: Usage | None
    """What the upstream says it used; None where it does not say anything believable."""
    usage_problems: tuple[str, ...]
    dropped: tuple[str, ...]
    """What the reply held that the client's dialect has no place for, by name."""
    model: str
    """The model that the upstream names."""
    service: str
    """The service tier that it says it served the call in; empty where it does not."""


def translate_reply(body: bytes, source: Dialect, client: Client) -> TranslatedReply:
    """Write an upstream's whole reply in the client's dialect.

    Args:
        body: the bytes of a reply with status 2xx.
        source: the upstream's dialect.
        client: the client's dialect and request.

    Raises:
        ReplyError: the bytes are not a reply of that dialect (an HTML page, say).
    """
    answer = READERS[source](read_reply(body))
    return TranslatedReply(
        body=WRITERS[client.dialect](answer, client),
        usage=answer.usage,
        usage_problems=answer.usage_problems,
        dropped=answer.dropped,
        model=answer.model,
        service=answer.tier or "",
    )


def read_reply(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a reply.

    Raises:
        ReplyError: it is none; nothing of it is in the error.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ReplyError("the upstream's answer is not JSON") from None
    if not isinstance(value, Mapping):
        raise ReplyError("the upstream's answer is not a JSON object")
    return value
