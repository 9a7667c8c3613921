from __future__ import annotations

import pytest

from turnout import errors
from turnout.wire.errors import error_body, error_status

CASES: list[tuple[errors.TurnoutError, int, str, str | None, str]] = [
    (errors.RequestError("messages", 1, "x"), 400, "invalid_request", "messages", "request"),
    (errors.RouteNameError("model", 1, "x"), 400, "invalid_route", "model", "request"),
    (errors.TranslationError("n", 2, "x"), 400, "untranslatable", "n", "request"),
    (errors.ReplyError("x"), 502, "invalid_upstream_reply", None, "server"),
    (errors.BodyTooLargeError("body", 1, "x"), 413, "request_too_large", "body", "request"),
    (errors.UnknownNameError("model", "a", []), 404, "model_not_found", "model", "request"),
    (errors.UnknownNameError("router", "a", []), 404, "model_not_found", "model", "request"),
    (errors.UnknownNameError("encoder", "a", []), 404, "not_found", None, "request"),
    (errors.NoCandidateError({"a": "b"}), 400, "no_candidate", None, "request"),
    (errors.SettingsError("a", 1, "x"), 500, "invalid_settings", "a", "server"),
    (errors.ArtifactError("x"), 500, "invalid_artifact", None, "server"),
    (errors.RouterError("x"), 500, "router_failed", None, "server"),
    (errors.MissingExtraError("x", "y"), 500, "missing_extra", None, "server"),
    (errors.UpstreamError("x", candidate="a"), 502, "upstream_error", None, "server"),
    (errors.UpstreamError("x", candidate="a", status=418), 418, "upstream_error", None, "request"),
    (errors.UpstreamTimeoutError("x", candidate="a"), 504, "upstream_timeout", None, "server"),
]


@pytest.mark.parametrize(("error", "status", "code", "param", "side"), CASES)
def test_status_and_body(
    error: errors.TurnoutError, status: int, code: str, param: str | None, side: str
) -> None:
    assert error_status(error) == status
    form = {"request": "invalid_request_error", "server": "server_error"}[side]
    expected = {"message": str(error), "type": form, "param": param, "code": code}
    assert error_body(error) == {"error": expected}


def tree(kind: type[errors.TurnoutError]) -> set[type[errors.TurnoutError]]:
    ours = (k for k in kind.__subclasses__() if k.__module__ == errors.__name__)
    return {kind}.union(*map(tree, ours))


def test_every_error_has_a_case() -> None:
    abstract = {errors.TurnoutError, errors.InputError, errors.DataError}
    assert tree(errors.TurnoutError) - abstract == {type(case[0]) for case in CASES}
