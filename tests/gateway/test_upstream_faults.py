"""Upstreams that break, hang or are not there; clients that leave."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from gateway_fakes import CLIENT_KEY, PROVIDER_KEY, Deployment, deployment, make_settings, serving

from turnout.engine import Engine
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_pool
from turnout.providers.fake import Fault
from turnout.wire.sse import EventReader, read_events

SECRET = "prompt-canary-7f3a"
ASK: Any = [{"role": "user", "content": SECRET}]


@pytest.fixture(scope="module")
def hasty() -> Iterator[Deployment]:
    """A gateway that waits a quarter of a second for its upstream."""
    with deployment(timeout_s=0.25) as running:
        yield running


def post(url: str, **body: Any) -> httpx2.Response:
    with httpx2.Client(timeout=10) as http:
        return http.post(f"{url}/v1/chat/completions", json={"messages": ASK, **body})


def test_no_answer_in_time_is_a_504(hasty: Deployment) -> None:
    hasty.upstream.script.append(Fault(hang=True))
    reply = post(hasty.url, model="auto")
    assert reply.status_code == 504
    assert reply.json()["error"] == {
        "message": "provider up did not answer for cheap in time: nothing for 0.25 s (first byte)",
        "type": "server_error",
        "param": None,
        "code": "upstream_timeout",
    }
    assert reply.headers["x-turnout-model"] == "cheap"


def test_a_stream_that_falls_silent_ends_with_an_error_event(hasty: Deployment) -> None:
    hasty.upstream.script.append(Fault(hang_after=3))
    events = read_events(post(hasty.url, model="auto", stream=True).content)
    assert json.loads(events[-1])["error"]["code"] == "upstream_timeout"
    assert len(events) == 4


def test_an_unreachable_upstream_is_a_502(gateway: Deployment) -> None:
    settings = make_settings(gateway.url)
    gone = [c.model_copy(update={"provider": "down"}) for c in settings.candidates]
    settings = settings.model_copy(update={"candidates": tuple(gone)})
    engine = Engine(build_pool(settings), gateway.engine.routers)
    with serving(create_app(settings, engine=engine)) as url:
        reply = post(url, model="auto")
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_error"
    assert "provider down could not be reached for cheap" in reply.json()["error"]["message"]
    assert reply.headers["x-turnout-decision-id"]


@pytest.mark.parametrize(
    ("tail", "complete"),
    [
        (b"", False),
        (b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', True),
        (b"data: [DONE]\n\n", True),
        (b'data: {"choices":[{"finish_reason":null}]}\n\n', False),
        (b'data: {"half', False),
    ],
)
def test_a_stream_that_ends_too_early_is_not_a_success(
    gateway: Deployment, tail: bytes, complete: bool
) -> None:
    body = b'data: {"choices":[{"delta":{"content":"\\"finish_reason\\":\\"x\\""}}]}\n\n' + tail
    gateway.upstream.script.append(
        Fault(body=body, headers={"content-type": "text/event-stream; charset=utf-8"})
    )
    received = post(gateway.url, model="auto", stream=True).content
    assert received.startswith(body)
    assert (b'"error"' in received) is not complete


def test_stream_bytes_are_the_upstreams_own(gateway: Deployment) -> None:
    body = b"\xef\xbb\xbf: hello\r\n\r\nretry: 5\r\ndata: \xc3\xa9\r\ndata: x\r\n\r\ndata: [DONE]"
    gateway.upstream.script.append(Fault(body=body, headers={"content-type": "text/event-stream"}))
    assert post(gateway.url, model="auto", stream=True).content == body


def test_an_encoded_answer_is_passed_on_as_it_is(gateway: Deployment) -> None:
    headers = {"content-type": "text/event-stream", "content-encoding": "x-own"}
    gateway.upstream.script.append(Fault(body=b"\x00\x01", headers=headers))
    reply = post(gateway.url, model="auto", stream=True)
    assert reply.content == b"\x00\x01"
    assert reply.headers["content-encoding"] == "x-own"


def test_chunks_arrive_while_the_upstream_is_still_speaking(gateway: Deployment) -> None:
    gateway.upstream.script.append(Fault(hang_after=4))
    before = gateway.upstream.abandoned
    reader = EventReader()
    with httpx2.Client(base_url=gateway.url, timeout=10) as http:
        body = {"model": "auto", "stream": True, "messages": ASK}
        with http.stream("POST", "/v1/chat/completions", json=body) as reply:
            seen: list[str] = []
            for chunk in reply.iter_raw():
                seen += reader.feed(chunk)
                if len(seen) == 4:
                    break
    # The client has left in mid-stream: the upstream is told.
    _until(lambda: gateway.upstream.abandoned > before)


def test_a_client_that_leaves_before_the_answer_cancels_the_upstream(gateway: Deployment) -> None:
    gateway.upstream.script.append(Fault(hang=True))
    before = gateway.upstream.abandoned
    with pytest.raises(httpx2.ReadTimeout), httpx2.Client(timeout=0.2) as http:
        http.post(f"{gateway.url}/v1/chat/completions", json={"model": "auto", "messages": ASK})
    _until(lambda: gateway.upstream.abandoned > before)


def _until(true: Any) -> None:
    """Wait up to five seconds for another thread."""
    waiting = threading.Event()
    for _ in range(500):
        if true():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not happen within five seconds")


def test_a_failing_router_serves_the_default(
    gateway: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    before = gateway.engine.fallbacks
    with caplog.at_level(logging.ERROR):
        reply = post(gateway.url, model="router-broken-0.5")
    assert reply.status_code == 200
    assert reply.json()["model"] == "strong-model"
    assert reply.headers["x-turnout-fallback"] == "true"
    assert reply.headers["x-turnout-reason"] == (
        "router_failed: router broken failed, strong serves by default"
    )
    assert gateway.engine.fallbacks == before + 1
    assert "router broken failed" in caplog.text


def test_a_router_that_predicts_no_numbers_has_failed(gateway: Deployment) -> None:
    reply = post(gateway.url, model="router-nan-0.5")
    assert reply.json()["model"] == "strong-model"
    assert reply.headers["x-turnout-fallback"] == "true"


def test_prompts_and_keys_stay_out_of_logs_and_headers(
    gateway: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [Fault(), Fault(status=500, body=SECRET.encode()), Fault(cut_after=2)]
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    shown = []
    with caplog.at_level(logging.DEBUG), httpx2.Client(headers=headers) as http:
        for fault in faults:
            gateway.upstream.script.append(fault)
            body = {"model": "auto", "messages": ASK, "stream": fault.cut_after is not None}
            shown.append(http.post(f"{gateway.url}/v1/chat/completions", json=body))
        bad = {"model": "auto", "messages": [{"role": SECRET, "content": {"x": SECRET}}]}
        shown.append(http.post(f"{gateway.url}/v1/chat/completions", json=bad))
    text = caplog.text + "".join(str(reply.headers) for reply in shown)
    assert SECRET not in shown[-1].text
    for canary in (SECRET, CLIENT_KEY, PROVIDER_KEY):
        assert canary not in text


def test_the_official_client_sees_a_broken_stream(
    client: openai.OpenAI, gateway: Deployment
) -> None:
    gateway.upstream.script.append(Fault(cut_after=3))
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.chat.completions.create(model="auto", messages=ASK, stream=True))
