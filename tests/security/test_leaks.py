"""Marked strings in every place of a request: none is in a log, a metric, a record or a crash's trace."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import PROVIDER_KEY, Deployment, deployment

from turnout.observe.logs import logging_to
from turnout.observe.redaction import Redactor
from turnout.providers.fake import Fault
from turnout.settings import StoreSettings
from turnout.settings.secrets import secrets_in

MARK = "canary7f3a"
PLACES = (
    "prompt", "system", "tool", "schema", "user", "metadata", "field", "header", "query", "cookie",
    "path", "model", "upstream_body", "upstream_header", "answer",
)  # fmt: skip


def mark(place: str) -> str:
    return f"{MARK}-{place}"


def marked_body(**changes: Any) -> dict[str, Any]:
    return {
        "model": "auto",
        "messages": [
            {"role": "system", "content": mark("system")},
            {"role": "user", "content": mark("prompt")},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": mark("tool"),
                    "parameters": {"type": "object", "properties": {mark("schema"): {}}},
                },
            }
        ],
        "user": mark("user"),
        "metadata": {"m": mark("metadata")},
        "unknown_field": mark("field"),
        **changes,
    }


HEADERS = {
    "authorization": f"Bearer {mark('header')}",
    "x-api-key": mark("header"),
    "cookie": f"session={mark('cookie')}",
    "user-agent": mark("header"),
    "traceparent": mark("header"),
    "openai-beta": mark("header"),
}


@contextmanager
def watched(
    home: Path, form: str = "json"
) -> Iterator[tuple[Deployment, io.StringIO, httpx2.Client]]:
    """A gateway that logs all it has to say, a debugger's lines included."""
    stream = io.StringIO()
    with deployment(store=StoreSettings(path=home / "turnout.db")) as running:
        redactor = Redactor(secrets_in(running.app.settings))
        with (
            logging_to(stream, form=form, level="debug", redactor=redactor),  # type: ignore[arg-type]
            httpx2.Client(base_url=running.url, timeout=20) as http,
        ):
            yield running, stream, http


def send(http: httpx2.Client, path: str, body: Any) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post(f"{path}?key={mark('query')}", content=content, headers=HEADERS)


def everything(http: httpx2.Client) -> None:
    """Requests that go well, that are refused, and that fail in every way."""
    for path in ("/v1/chat/completions", "/v1/route", "/v1/messages", "/v1/responses"):
        for body in (
            marked_body(),
            marked_body(stream=True),
            marked_body(model=mark("model")),
            marked_body(model=f"router-{mark('model')}-0.5"),
            marked_body(model="router-broken-0.5"),
            marked_body(model="router-nan-0.5"),
            marked_body(messages=mark("prompt")),
            marked_body(messages=[{"role": mark("prompt"), "content": {"a": mark("prompt")}}]),
            marked_body(response_format={"type": mark("schema")}),
            marked_body(max_tokens=mark("field")),
            [mark("prompt")],
            f'{{"model": "auto", "{mark("field")}": nope'.encode(),
            f'{{"{mark("field")}": 1, "{mark("field")}": 2}}'.encode(),
            b'{"model": "\xff' + mark("prompt").encode(),
        ):
            send(http, path, body)
    send(http, f"/v1/{mark('path')}", marked_body())
    send(http, f"/v1/models/{mark('path')}", b"")
    http.get(f"/v1/models/{mark('path')}", headers=HEADERS)
    http.request(mark("path").upper(), "/v1/models")


def failing_upstream(running: Deployment, http: httpx2.Client) -> None:
    bad = mark("upstream_body").encode()
    for fault in (
        Fault(status=500, body=bad, headers={"x-up": mark("upstream_header")}),
        Fault(status=400, body=json.dumps({"error": {"message": mark("upstream_body")}}).encode()),
        Fault(status=401, body=PROVIDER_KEY.encode()),
        Fault(body=b"<html>" + bad, headers={"content-type": "text/html"}),
        Fault(body=b"{" + bad),
    ):
        running.upstream.script.append(fault)
        send(http, "/v1/chat/completions", marked_body(model="cheap"))
        running.upstream.script.append(fault)
        send(http, "/v1/messages", marked_body(model="cheap", max_tokens=5))
        running.app.opened().resilience.forget()
    for fault in (Fault(cut_after=1), Fault(error_after=1)):
        running.upstream.script.append(fault)
        send(http, "/v1/chat/completions", marked_body(model="cheap", stream=True))


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_marked_string_is_in_what_is_written(tmp_path: Path, form: str) -> None:
    with watched(tmp_path, form) as (running, stream, http):
        everything(http)
        failing_upstream(running, http)
        metrics, ready = http.get("/metrics").text, http.get("/readyz").text
        deadline = time.monotonic() + 10
        while "turnout.requests" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    written = {"log": stream.getvalue(), "metrics": metrics, "readyz": ready}
    assert len(written["log"].splitlines()) > 60
    for name, text in written.items():
        assert MARK not in text.lower(), (name, _around(text))
        assert PROVIDER_KEY not in text, name
    assert PROVIDER_KEY.encode() not in kept
    # Of all that a client writes, a record keeps what `model` said; see `Record.model`.
    for place in set(PLACES) - {"model"}:
        assert mark(place).encode() not in kept, place


def _around(text: str) -> str:
    at = text.lower().index(MARK)
    return text[max(0, at - 300) : at + 100]


class _BugError(Exception):
    pass


def test_a_bug_that_quotes_the_request_is_logged_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tmp_path) as (running, stream, http):

        def fail(*_: object, **__: object) -> None:
            raise _BugError(f"while at {mark('prompt')}")

        monkeypatch.setattr(type(running.app.opened().recorder), "begin", fail)
        reply = send(http, "/v1/chat/completions", marked_body())
        assert reply.status_code == 500
        assert MARK not in reply.text
    text = stream.getvalue()
    assert "_BugError" in text
    assert MARK not in text


def test_a_bug_after_the_answer_began_is_not_handed_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server logs what reaches it with its message and with what led to it."""
    with watched(tmp_path) as (_, stream, http):

        async def fail(*_: object) -> None:
            raise _BugError(f"while at {mark('prompt')}")

        monkeypatch.setattr("turnout.gateway.calls.relay._pass_on", fail)
        with caplog.at_level(logging.DEBUG), pytest.raises(httpx2.HTTPError):
            send(http, "/v1/chat/completions", marked_body(model="cheap", stream=True))
    seen = caplog.text + "".join(logging.Formatter().format(r) for r in caplog.records)
    assert "_BugError" in stream.getvalue()
    assert MARK not in stream.getvalue()
    assert MARK not in seen
