from __future__ import annotations

import json

import openai
import pytest
from judges import anthropic_client, openai_client, replying

from turnout import errors
from turnout.wire.dialects import DIALECTS
from turnout.wire.errors import (
    error_body,
    error_status,
    http_error_body,
    read_fault,
    write_fault,
)

CASES: list[tuple[errors.TurnoutError, int, str, str | None, str]] = [
    (errors.RequestError("messages", 1, "x"), 400, "invalid_request", "messages", "request"),
    (errors.RouteNameError("model", 1, "x"), 400, "invalid_route", "model", "request"),
    (errors.TranslationError("n", 2, "x"), 400, "untranslatable", "n", "request"),
    (errors.ReplyError("x"), 502, "invalid_upstream_reply", None, "server"),
    (errors.BodyTooLargeError("body", 1, "x"), 413, "request_too_large", "body", "request"),
    (errors.UnknownDecisionError("d", 1, "x"), 404, "decision_not_found", "d", "request"),
    (errors.UnknownNameError("model", "a", []), 404, "model_not_found", "model", "request"),
    (errors.UnknownNameError("router", "a", []), 404, "model_not_found", "model", "request"),
    (errors.UnknownNameError("encoder", "a", []), 404, "not_found", None, "request"),
    (errors.NoCandidateError({"a": "b"}), 400, "no_candidate", None, "request"),
    (errors.UnavailableError(["a"], retry_after_s=1), 503, "upstream_unavailable", None, "server"),
    (errors.OverloadedError(retry_after_s=1), 503, "overloaded", None, "server"),
    (errors.KeyInUseError(2.0), 409, "idempotency_key_in_use", None, "request"),
    (errors.KeyReusedError("k", 1, "x"), 422, "idempotency_key_reused", "k", "request"),
    (errors.LoopError(2), 508, "loop_detected", None, "server"),
    (errors.DeadlineError(1.5), 504, "deadline_exceeded", None, "server"),
    (errors.AccessError("x"), 403, "access_refused", None, "request"),
    (errors.ForbiddenError("x"), 403, "not_allowed", None, "request"),
    (errors.AuthenticationError("x"), 401, "invalid_api_key", None, "request"),
    (errors.LimitError("x", retry_after_s=1), 429, "rate_limit_exceeded", None, "rate"),
    (errors.BudgetError("x", retry_after_s=None), 429, "insufficient_quota", None, "quota"),
    (errors.AccessDownError("x"), 503, "access_unavailable", None, "server"),
    (errors.NotCertifiedError("x"), 500, "not_certified", None, "server"),
    (errors.CapReachedError("cap_usd", 1, "x"), 400, "cap_reached", "cap_usd", "request"),
    (errors.SettingsError("a", 1, "x"), 500, "invalid_settings", "a", "server"),
    (errors.ArtifactError("x"), 500, "invalid_artifact", None, "server"),
    (errors.StoreError("x.db", "locked", "wait"), 500, "store_failed", None, "server"),
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
    form = {
        "request": "invalid_request_error",
        "server": "server_error",
        "rate": "rate_limit_error",
        "quota": "insufficient_quota",
    }[side]
    expected = {"message": str(error), "type": form, "param": param, "code": code}
    assert error_body(error) == {"error": expected}


def tree(kind: type[errors.TurnoutError]) -> set[type[errors.TurnoutError]]:
    ours = (k for k in kind.__subclasses__() if k.__module__ == errors.__name__)
    return {kind}.union(*map(tree, ours))


def test_every_error_has_a_case() -> None:
    abstract = {errors.TurnoutError, errors.InputError, errors.DataError}
    assert tree(errors.TurnoutError) - abstract == {type(case[0]) for case in CASES}


def test_anthropics_body() -> None:
    error = errors.RequestError("messages", 1, "give messages")
    assert error_body(error, dialect="messages", request_id="req_1") == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": str(error)},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("status", "form"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropics_types(status: int, form: str) -> None:
    body = http_error_body(status, "x", dialect="messages")
    assert body["error"]["type"] == form


OPENAI = json.dumps(
    {
        "error": {
            "message": "Slow down",
            "type": "rate_limit_error",
            "param": "model",
            "code": "rate_limit_exceeded",
        }
    }
).encode()
ANTHROPIC = json.dumps(
    {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_9",
    }
).encode()


def test_an_upstreams_error_in_the_other_form() -> None:
    status, body = write_fault(read_fault(429, OPENAI), "messages")
    assert status == 429
    assert body["error"] == {"type": "rate_limit_error", "message": "Slow down"}
    status, body = write_fault(read_fault(529, ANTHROPIC), "chat")
    assert status == 503
    assert body["error"] == {
        "message": "Overloaded",
        "type": "server_error",
        "param": None,
        "code": "overloaded_error",
    }
    status, body = write_fault(read_fault(529, ANTHROPIC), "messages")
    assert (status, body) == (529, json.loads(ANTHROPIC))
    assert write_fault(read_fault(429, OPENAI), "responses") == (429, json.loads(OPENAI))
    assert write_fault(read_fault(503, OPENAI), "messages")[0] == 529


@pytest.mark.parametrize(
    "page", [b"", b"<html>secret</html>", b"[1]", b'{"detail": "secret"}', b"\xff", b'{"error": 5}']
)
def test_a_body_that_is_no_error_says_no_more_than_its_status(page: bytes) -> None:
    for dialect in DIALECTS:
        status, body = write_fault(read_fault(502, page), dialect)
        assert status == 502
        assert body["error"]["message"] == "the upstream answered with status 502"


def test_an_error_that_is_only_a_text() -> None:
    assert read_fault(500, b'{"error": "boom"}').message == "boom"


def test_sdks_raise_by_status() -> None:
    status, body = write_fault(read_fault(529, ANTHROPIC), "chat")
    raw = json.dumps(body).encode()
    with pytest.raises(openai.InternalServerError, match="Overloaded"):
        openai_client(replying(raw, status=status)).models.list()
    status, body = write_fault(read_fault(429, OPENAI), "messages")
    raw = json.dumps(body).encode()
    sdk = anthropic_client(replying(raw, status=status))
    with pytest.raises(Exception, match="Slow down") as caught:
        sdk.messages.create(model="m", max_tokens=1, messages=[])
    assert type(caught.value).__name__ == "RateLimitError"
