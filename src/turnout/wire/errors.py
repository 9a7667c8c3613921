"""The one place that maps errors to HTTP status codes and to the error bodies of the dialects.

OpenAI: `{"error": {message, type, param, code}}`. Anthropic: `{"type": "error", "error": {type, message},
"request_id"}`. A body of one can be given in the form of the other; so can an upstream's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import (
    AccessDownError,
    AccessError,
    AuthenticationError,
    BodyTooLargeError,
    DeadlineError,
    InputError,
    KeyInUseError,
    KeyReusedError,
    LimitError,
    LoopError,
    NoCandidateError,
    OverloadedError,
    ReplyError,
    SettingsError,
    TurnoutError,
    UnavailableError,
    UnknownDecisionError,
    UnknownNameError,
    UpstreamError,
    UpstreamTimeoutError,
)
from turnout.wire.dialects import Dialect

INTERNAL_MESSAGE = "the gateway failed on this request; its log has the details"

OVERLOADED = 529
"""Anthropic's status for what OpenAI answers with 503."""

_ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_OPENAI_LIMITS: Mapping[str, str] = {
    "insufficient_quota": "insufficient_quota",
    "rate_limit_exceeded": "rate_limit_error",
}
"""The `type` of errors that clients tell from a wrong request by it."""
_STATUSES: tuple[tuple[type[TurnoutError], int], ...] = (
    (UnavailableError, 503),
    (AccessDownError, 503),
    (OverloadedError, 503),
    (DeadlineError, 504),
    (LoopError, 508),
    (ReplyError, 502),
    (BodyTooLargeError, 413),
    (KeyReusedError, 422),
    (KeyInUseError, 409),
    (UnknownNameError, 404),
    (UnknownDecisionError, 404),
    (NoCandidateError, 400),
    (SettingsError, 500),
    (InputError, 400),
)
"""The first that an error is; one of none of them is the gateway's own fault."""
_MESSAGE_CAP = 4_000


def error_status(error: TurnoutError) -> int:
    """The HTTP status that an error is answered with; an upstream's own status is kept."""
    if isinstance(error, UpstreamError):
        unreachable = 504 if isinstance(error, UpstreamTimeoutError) else 502
        return error.status or unreachable
    if isinstance(error, AccessError):
        return _access_status(error)
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def _access_status(error: AccessError) -> int:
    if isinstance(error, AuthenticationError):
        return 401
    return 429 if isinstance(error, LimitError) else 403


def error_body(
    error: TurnoutError, *, dialect: Dialect = "chat", request_id: str | None = None
) -> dict[str, Any]:
    """The error body of a dialect; `request_id` stands in Anthropic's."""
    param, code = None, error.code
    if isinstance(error, InputError):
        param = error.field
    if isinstance(error, UnknownNameError) and error.kind in ("model", "router"):
        param, code = "model", "model_not_found"
    return http_error_body(
        error_status(error),
        str(error),
        param=param,
        code=code,
        dialect=dialect,
        request_id=request_id,
    )


def http_error_body(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    dialect: Dialect = "chat",
    request_id: str | None = None,
) -> dict[str, Any]:
    """The error body for a status that no `TurnoutError` stands behind (405, say)."""
    if dialect == "messages":
        return _anthropic(anthropic_type(status), message, request_id)
    form = "server_error" if status >= 500 else "invalid_request_error"
    form = _OPENAI_LIMITS.get(code or "", form)
    return {"error": {"message": message, "type": form, "param": param, "code": code}}


def anthropic_type(status: int) -> str:
    """Anthropic's name for a status."""
    plain = "api_error" if status >= 500 else "invalid_request_error"
    return _ANTHROPIC_TYPES.get(status, plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFault:
    """An upstream's error, read from its body in whatever form that came."""

    status: int
    message: str
    type: str | None = None
    param: str | None = None
    code: str | None = None
    request_id: str | None = None


def read_fault(status: int, body: bytes) -> UpstreamFault:
    """Read an upstream's error body; one that is neither form says no more than its status."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    return fault_of(status, given)


def fault_of(status: int, given: Any) -> UpstreamFault:
    """The error that a parsed body, or an event in a stream, tells of."""
    outer = given if isinstance(given, Mapping) else {}
    inner = outer.get("error")
    if isinstance(inner, str):
        inner = {"message": inner}
    if not isinstance(inner, Mapping):
        inner = outer if outer.get("type") == "error" else {}
    message = _text(inner.get("message")) or f"the upstream answered with status {status}"
    form = _text(inner.get("type"))
    return UpstreamFault(
        status=status,
        message=message[:_MESSAGE_CAP],
        type=None if form == "error" else form,
        param=_text(inner.get("param")),
        code=_text(inner.get("code")),
        request_id=_text(outer.get("request_id")),
    )


def write_fault(fault: UpstreamFault, dialect: Dialect) -> tuple[int, dict[str, Any]]:
    """Status and body of an upstream's error in a client's dialect."""
    if dialect == "messages":
        status = OVERLOADED if fault.status == 503 else fault.status
        return status, _anthropic(anthropic_type(status), fault.message, fault.request_id)
    status = 503 if fault.status == OVERLOADED else fault.status
    plain = "server_error" if status >= 500 else "invalid_request_error"
    error = {
        "message": fault.message,
        "type": _OPENAI_TYPES.get(status, plain),
        "param": fault.param,
        "code": fault.code or fault.type,
    }
    return status, {"error": error}


def status_of_type(form: str | None) -> int:
    """The status that an error inside a stream would have had before it, by its type."""
    if form == "overloaded_error":
        return OVERLOADED
    found = {name: status for status, name in _ANTHROPIC_TYPES.items()}
    found |= {name: status for status, name in _OPENAI_TYPES.items()}
    found |= {"invalid_request_error": 400, "rate_limit_exceeded": 429}
    return found.get(form or "", 502)


def _anthropic(form: str, message: str, request_id: str | None) -> dict[str, Any]:
    error = {"type": form, "message": message}
    return {"type": "error", "error": error, "request_id": request_id}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
