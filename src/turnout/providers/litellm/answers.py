"""What litellm gives, as a chat endpoint writes it: bodies, chunks of a stream, and errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from turnout.wire.errors import http_error_body

_LONGEST = 2000
_SHORTEST_SECRET = 6
_STATUSES: Mapping[str, int] = {
    "Timeout": 504,
    "APIConnectionError": 502,
    "APIResponseValidationError": 502,
}
"""By the names of litellm's errors: it gives these statuses that would say that the client is at fault,
or none that tells them from others."""


def body_of(given: Any, asked: str) -> bytes:
    """An answer, or a chunk of a stream, as JSON.

    Args:
        given: litellm's object.
        asked: the model that was asked for, with litellm's prefix of its provider.
    """
    body: dict[str, Any] = given.model_dump(exclude_none=True)
    named = body.get("model")
    if isinstance(named, str) and asked.endswith(f"/{named}"):
        body["model"] = asked
    for choice in body.get("choices") or ():
        choice.setdefault("finish_reason", None)
    usage = body.get("usage")
    if isinstance(usage, dict):
        usage.pop("cost", None)  # by litellm's own price list: no provider's word
    return orjson.dumps(body, default=str)


def fault_of(error: BaseException, secrets: Collection[str]) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer that says what went wrong.

    Args:
        error: that litellm raised.
        secrets: that must not be in what is said, though a provider may quote them.
    """
    name = type(error).__name__
    given = getattr(error, "status_code", None)
    status = given if isinstance(given, int) and 400 <= given <= 599 else 500
    status = _STATUSES.get(name, status)
    message = str(getattr(error, "message", None) or error)
    if given is None:  # not one of litellm's own: what it says was not made to be shown
        message = f"litellm failed with {name}"
    message = without(message, secrets)[:_LONGEST]
    code = "context_length_exceeded" if name == "ContextWindowExceededError" else _code(error)
    body = http_error_body(status, message, code=code)
    return status, orjson.dumps(body), _when_again(error)


def without(text: str, secrets: Collection[str]) -> str:
    """A text with the secrets taken out."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    return text


def _code(error: BaseException) -> str:
    given = getattr(error, "code", None)
    if isinstance(given, str) and given and given.isascii() and len(given) <= 100:
        return given
    return "upstream_error"


def _when_again(error: BaseException) -> dict[str, str]:
    """Its provider's word of when to try again, where there is one."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    found = headers.get("retry-after") if isinstance(headers, Mapping) else None
    plain = isinstance(found, str) and found.isascii() and found.isprintable()
    return {"retry-after": found} if plain and isinstance(found, str) else {}
