"""What the gateway refuses, and how it says so: reviewed as a diff of `golden_errors.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, deployment

GOLDEN = Path(__file__).with_name("golden_errors.json")
OK = '"messages": [{"role": "user", "content": "Hello"}]'


def chat(fields: str) -> tuple[str, str, bytes]:
    return ("POST", "/v1/chat/completions", fields.encode())


def asks(model: str) -> tuple[str, str, bytes]:
    return chat(f'{{"model": "{model}", {OK}}}')


REQUESTS: dict[str, tuple[str, str, bytes]] = {
    "no body": chat(""),
    "not json": chat("{model: auto}"),
    "not utf-8": ("POST", "/v1/chat/completions", b'{"model": "\xff"}'),
    "not an object": chat("[]"),
    "nan": chat(f'{{"model": "auto", "top_p": NaN, {OK}}}'),
    "a name twice": chat(f'{{"model": "a", "model": "b", {OK}}}'),
    "deep": chat('{"model": "auto", "x":' + "[" * 100_000),
    "long number": chat('{"x": ' + "1" * 5000 + "}"),
    "no model": chat(f"{{{OK}}}"),
    "model null": chat(f'{{"model": null, {OK}}}'),
    "model long": asks("router-" + "x" * 9999 + "-1"),
    "unknown model": asks("stron"),
    "unknown router": asks("router-mf-0.5"),
    "bad threshold": asks("router-length-1.5"),
    "no threshold": asks("router-length"),
    "no messages": chat('{"model": "auto"}'),
    "empty messages": chat('{"model": "auto", "messages": []}'),
    "text messages": chat('{"model": "auto", "messages": "Hello"}'),
    "number content": chat('{"model": "auto", "messages": [{"role": "user", "content": 7}]}'),
    "too long for all": chat(f'{{"model": "auto", "max_tokens": 2000000, {OK}}}'),
    "wrong method": ("GET", "/v1/chat/completions", b""),
    "unknown path": ("GET", "/v2/chat", b""),
}


def answer(http: httpx2.Client, name: str) -> dict[str, Any]:
    method, path, body = REQUESTS[name]
    reply = http.request(method, path, content=body)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.headers["x-turnout-reason"] == reply.json()["error"]["code"]
    return {"status": reply.status_code, **reply.json()}


def test_golden_errors(http: httpx2.Client, gateway: Deployment) -> None:
    answers = {name: answer(http, name) for name in REQUESTS}
    if os.environ.get("TURNOUT_UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(answers, indent=2) + "\n")
    assert answers == json.loads(GOLDEN.read_text())
    assert gateway.upstream.seen == []


def test_the_allowed_method_is_named(http: httpx2.Client) -> None:
    assert http.get("/v1/chat/completions").headers["allow"] == "POST"


@pytest.mark.parametrize(
    "content",
    [None, "", [], [{"type": "text", "text": "Hello"}], ["Hello"], "a\x00b", "é" * 5000],
)
def test_odd_content_is_served(http: httpx2.Client, content: Any) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": content}]}
    reply = http.post("/v1/chat/completions", content=json.dumps(body))
    assert reply.status_code == 200
    assert reply.headers["x-turnout-model"]


def test_a_megabyte_is_served_and_untouched(http: httpx2.Client, gateway: Deployment) -> None:
    sent = json.dumps(
        {"model": "auto", "messages": [{"role": "user", "content": "word " * 200_000}]}
    ).encode()
    reply = http.post("/v1/chat/completions", content=sent)
    assert reply.status_code == 200
    assert reply.headers["x-turnout-model"] == "strong"
    assert gateway.upstream.seen[0].body == sent.replace(b'"auto"', b'"strong-model"')


@pytest.fixture(scope="module")
def small() -> Any:
    with deployment(max_body_bytes=1000, allow_passthrough=False) as running:
        yield running


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_a_413(small: Deployment, chunked: bool) -> None:
    body = b'{"model": "auto", "x": "' + b"x" * 2000 + b'"}'
    with httpx2.Client(base_url=small.url) as http:
        reply = http.post("/v1/chat/completions", content=iter([body]) if chunked else body)
    assert reply.status_code == 413
    assert reply.json()["error"] == {
        "message": "body: its length is not usable: send at most 1000 bytes, "
        "or raise max_body_bytes in the gateway's settings",
        "type": "invalid_request_error",
        "param": "body",
        "code": "request_too_large",
    }


def test_pass_through_can_be_turned_off(small: Deployment) -> None:
    with httpx2.Client(base_url=small.url) as http:
        body = {"model": "strong", "messages": [{"role": "user", "content": "Hello"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 404
        assert "strong" not in [m["id"] for m in http.get("/v1/models").json()["data"]]
