"""Upstreams that fail before their answer begins: tried again, elsewhere, or refused at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from gateway_fakes import LengthRouter, serving

from turnout.engine import Engine
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_pool
from turnout.providers.fake import FakeUpstream, Fault, create_fake_app
from turnout.settings import parse_settings

CONFIG = """
providers:
  one: {{base_url: "{one}/v1", timeout_s: 5, connect_timeout_s: 1}}
  two: {{base_url: "{two}/v1", timeout_s: 5, connect_timeout_s: 1}}
candidates:
  - name: strong
    provider: one
    price: {{input_usd: 1, output_usd: 1}}
    replicas: [{{provider: two}}]
  - {{name: cheap, provider: one, price: {{input_usd: 1, output_usd: 1}}}}
routers: {{length: {{}}}}
auto: router-length-0.5
resilience: {{retries: {retries}, breaker_failures: 3, breaker_open_s: 60}}
"""
ASK: Any = [{"role": "user", "content": "Hello"}]


class Site:
    """A gateway over two upstreams."""

    def __init__(self, url: str, one: FakeUpstream, two: FakeUpstream) -> None:
        self.url, self.one, self.two = url, one, two

    def ask(self, model: str = "strong", **body: Any) -> httpx2.Response:
        with httpx2.Client(timeout=20) as http:
            sent = {"model": model, "messages": ASK, **body}
            return http.post(f"{self.url}/v1/chat/completions", json=sent)


@contextmanager
def site(*, retries: int = 0, one_url: str | None = None) -> Iterator[Site]:
    one, two = (create_fake_app(["strong", "cheap"]) for _ in range(2))
    with serving(one) as first, serving(two) as second:
        text = CONFIG.format(one=one_url or first, two=second, retries=retries)
        settings = parse_settings(text, {})
        engine = Engine(
            build_pool(settings), {"length": LengthRouter()}, spares=settings.resilience.spares
        )
        with serving(create_app(settings, engine=engine)) as url:
            yield Site(url, one, two)


def test_a_replica_serves_where_an_endpoint_is_gone() -> None:
    with site(one_url="http://127.0.0.1:9") as here:
        replies = [here.ask() for _ in range(20)]
    assert {reply.status_code for reply in replies} == {200}
    assert len(here.two.seen) == 20


def test_a_replica_serves_where_an_endpoint_fails() -> None:
    with site() as here:
        here.one.script.extend([Fault(status=503, body=b"busy")] * 100)
        replies = [here.ask() for _ in range(20)]
        failed = 100 - len(here.one.script)
    assert {reply.status_code for reply in replies} == {200}
    assert 1 <= failed <= 3  # then it was out


def test_a_failure_is_tried_again_and_then_passed_on() -> None:
    with site(retries=2) as here:
        here.one.script.append(Fault(status=500))
        assert here.ask("cheap").status_code == 200
        here.one.script.extend([Fault(status=502, body=b"bad", headers={"x": "y"})] * 3)
        reply = here.ask("cheap")
    assert (reply.status_code, reply.content) == (502, b"bad")
    assert reply.headers["x-should-retry"] == "false"
    assert len(here.one.seen) == 5


def test_all_out_is_probed_by_one_request_and_the_others_are_refused_at_once() -> None:
    with site() as here:
        here.one.script.extend([Fault(status=500, body=b"down")] * 3)
        assert [here.ask("cheap").status_code for _ in range(3)] == [500] * 3
        here.one.script.append(Fault(delay_s=1.5))
        with ThreadPoolExecutor(1) as others:
            probe = others.submit(here.ask, "cheap")
            while len(here.one.seen) < 4:
                time.sleep(0.01)
            reply = here.ask("cheap")
            assert not probe.done()
            assert probe.result().status_code == 200
        assert here.ask("cheap").status_code == 200
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "upstream_unavailable"
    assert 0 < int(reply.headers["retry-after"]) <= 60


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_our_fault_and_is_not_quoted(status: int) -> None:
    with site() as here:
        here.one.script.append(Fault(status=status, body=b"Incorrect API key provided: sk-canary"))
        reply = here.ask("cheap")
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_key_refused"
    assert "canary" not in reply.text + str(reply.headers)


def test_what_is_wrong_with_the_request_is_passed_on_unchanged_and_not_repeated() -> None:
    with site(retries=2) as here:
        here.one.script.append(Fault(status=422, body=b"no such field"))
        reply = here.ask("cheap")
    assert (reply.status_code, reply.content) == (422, b"no such field")
    assert len(here.one.seen) == 1


def test_a_limit_with_a_short_wait_is_waited_for() -> None:
    with site(retries=2) as here:
        here.one.script.append(Fault(status=429, body=b"slow", headers={"retry-after-ms": "20"}))
        assert here.ask("cheap").status_code == 200


@pytest.mark.parametrize("fault", [Fault(cut_after=1), Fault(error_after=1), Fault(cut_after=0)])
def test_a_stream_that_breaks_before_its_content_is_answered_elsewhere(fault: Fault) -> None:
    with site() as here:
        here.one.script.extend([fault] * 100)
        replies = [here.ask(stream=True) for _ in range(6)]
    assert {reply.status_code for reply in replies} == {200}
    assert all(reply.content.endswith(b"data: [DONE]\n\n") for reply in replies)
    assert all(b"error" not in reply.content for reply in replies)
    tried = [reply.headers.get("x-turnout-calls", "1") for reply in replies]
    assert set(tried) <= {"1", "2"}


def test_a_spare_candidate_serves_where_the_chosen_one_fails() -> None:
    with site() as here:
        here.one.script.append(Fault(status=503))
        reply = here.ask("auto")
    assert reply.status_code == 200
    assert reply.json()["model"] == "strong"
    assert reply.headers["x-turnout-model"] == "strong"
    assert int(reply.headers["x-turnout-calls"]) >= 2
    assert reply.headers["x-turnout-reason"].startswith("win_rate_below_threshold")


def test_a_model_asked_for_by_name_has_no_spare() -> None:
    with site() as here:
        here.one.script.extend([Fault(status=503, body=b"busy")] * 2)
        assert here.ask("cheap").status_code == 503
