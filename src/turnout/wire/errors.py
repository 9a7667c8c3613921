"""The one place that maps Turnout's errors to HTTP status codes and OpenAI's error body."""

from __future__ import annotations

from typing import Any

from turnout.errors import (
    BodyTooLargeError,
    InputError,
    NoCandidateError,
    SettingsError,
    TurnoutError,
    UnavailableError,
    UnknownNameError,
    UpstreamError,
    UpstreamTimeoutError,
)

INTERNAL_MESSAGE = "the gateway failed on this request; its log has the details"


def error_status(error: TurnoutError) -> int:
    """The HTTP status that an error is answered with; an upstream's own status is kept."""
    if isinstance(error, UpstreamError):
        unreachable = 504 if isinstance(error, UpstreamTimeoutError) else 502
        return error.status or unreachable
    if isinstance(error, UnavailableError):
        return 503
    if isinstance(error, BodyTooLargeError):
        return 413
    if isinstance(error, UnknownNameError):
        return 404
    if isinstance(error, InputError | NoCandidateError) and not isinstance(error, SettingsError):
        return 400
    return 500


def error_body(error: TurnoutError) -> dict[str, Any]:
    """OpenAI's error body: `{"error": {message, type, param, code}}`."""
    param, code = None, error.code
    if isinstance(error, InputError):
        param = error.field
    if isinstance(error, UnknownNameError) and error.kind in ("model", "router"):
        param, code = "model", "model_not_found"
    return http_error_body(error_status(error), str(error), param=param, code=code)


def http_error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """OpenAI's error body for a status that no `TurnoutError` stands behind (405, say)."""
    form = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": form, "param": param, "code": code}}
