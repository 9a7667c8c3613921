"""Refusals, departures and failures of Redis as a scraper reads them, over real sockets."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, deployment, make_engine, make_settings, serving
from prometheus_client.parser import text_string_to_metric_families

from certificates_made import certificate
from counters_made import threaded_wire
from turnout.calibration.certificate import pool_fingerprint, seconds
from turnout.calibration.watch import Watch
from turnout.engine import Engine
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_pool
from turnout.providers.fake import Fault, create_fake_app
from turnout.settings.access import KeySettings
from turnout.settings.server import ServerSettings

PATH = "/v1/chat/completions"
ASK: Any = {"model": "cheap", "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(ASK).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
QUICK = ServerSettings(
    header_timeout_s=0.5, body_timeout_s=0.5, write_timeout_s=0.5, max_headers=20, drain_s=1,
    notice_s=0,
)  # fmt: skip


def key(name: str, **changes: Any) -> KeySettings:
    return KeySettings(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), **changes)


KEYED = (
    key("boss", role="admin"),
    key("plain", max_request_usd=100),
    key("often", requests_per_minute=1),
    key("much", tokens_per_minute=1),
    key("poor", budgets_usd={"total": 1e-9}),
    key("deny", deny=("cheap",)),
)


def values(url: str, token: str = "") -> dict[tuple[str, ...], float]:
    """Sample name and the values of its labels → value."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    text = httpx2.get(f"{url}/metrics", headers=headers, timeout=20).text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def refused(url: str, token: str = "") -> dict[tuple[str, str], float]:
    """(status, reason) → how often."""
    return {
        (name[2], name[1]): value
        for name, value in values(url, token).items()
        if name[0] == "turnout_refused_total"
    }


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_every_refusal_is_counted_with_its_reason() -> None:
    with (
        deployment(keys=KEYED, max_body_bytes=2000) as made,
        httpx2.Client(base_url=made.url, timeout=10) as http,
    ):

        def send(token: str, path: str = PATH, content: bytes = BODY) -> int:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            return http.post(path, content=content, headers=headers).status_code

        assert send("plain") == 200
        assert send("") == send("nobody-canary") == 401
        assert http.get("/metrics", headers={"authorization": "Bearer plain"}).status_code == 403
        assert send("deny") == 403
        assert send("plain", "/v1/canary") == 404
        assert send("plain", content=BODY.replace(b"cheap", b"canary")) == 404
        assert send("plain", content=b"x" * 3000) == 413
        assert send("plain", content=b"{") == 400
        assert [send("often") for _ in range(2)] == [200, 429]
        assert send("much") == 429
        assert send("poor") == 429
        found = refused(made.url, "boss")
        text = httpx2.get(f"{made.url}/metrics", headers={"authorization": "Bearer boss"}).text
    assert found == {
        ("401", "invalid_api_key"): 2,
        ("403", "not_allowed"): 2,
        ("404", "not_found"): 1,
        ("404", "model_not_found"): 1,
        ("413", "request_too_large"): 1,
        ("400", "invalid_request"): 1,
        ("429", "requests_per_minute"): 1,
        ("429", "tokens_per_minute"): 1,
        ("429", "budget"): 1,
    }
    assert "canary" not in text


def test_an_overload_and_a_full_key_say_which_limit_it_was() -> None:
    few = ServerSettings(max_in_flight=1, max_queue=0, drain_s=1, notice_s=0)
    with deployment(server=few) as made, closing(connect(made.url)) as busy:
        made.upstream.script.append(Fault(hang=True))
        busy.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        until(lambda: made.upstream.seen)
        assert httpx2.post(f"{made.url}{PATH}", json=ASK).status_code == 503
        assert refused(made.url) == {("503", "queue_full"): 1}
    with (
        deployment(keys=(key("boss", role="admin"), key("one", concurrent=1))) as made,
        closing(connect(made.url)) as busy,
    ):
        made.upstream.script.append(Fault(hang=True))
        held = HEAD + b"authorization: Bearer one\r\n"
        busy.sendall(held + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        until(lambda: made.upstream.seen)
        reply = httpx2.post(f"{made.url}{PATH}", json=ASK, headers={"authorization": "Bearer one"})
        assert reply.status_code == 429
        assert refused(made.url, "boss") == {("429", "concurrent"): 1}


@contextmanager
def guarded() -> Iterator[str]:
    """A gateway that has no patience with connections."""
    with serving(create_fake_app(["strong-model", "cheap-model"])) as upstream:
        settings = make_settings(upstream)
        with serving(create_app(settings, engine=make_engine(settings)), QUICK) as url:
            yield url


def test_slow_and_malformed_clients_are_counted() -> None:
    with guarded() as url:
        with closing(connect(url)) as client:
            client.sendall(HEAD)
            assert client.recv(10) == b""
        with closing(connect(url)) as client:
            client.sendall(HEAD + b"content-length: 99\r\n\r\n{")
            assert client.recv(10) == b""
        for bad, status in (
            (HEAD + b"x: 1\r\n" * 30 + b"\r\n", b"431"),
            (b"NOT HTTP\r\n\r\n", b"400"),
        ):
            with closing(connect(url)) as client:
                client.sendall(bad)
                assert client.recv(65536).split(b" ")[1] == status
        found = values(url)
        cuts = {
            name[1]: n for name, n in found.items() if name[0] == "turnout_clients_cut_off_total"
        }
        assert cuts == {"slow_head": 1, "slow_body": 1, "slow_reader": 0}
        assert refused(url) == {("431", "headers_too_large"): 1, ("400", "invalid_http"): 1}
        # A client that is cut off has gone, as far as its request knows.
        assert found["turnout_clients_left_total", "request"] == 1


def test_clients_that_leave_are_told_apart() -> None:
    with deployment() as made:

        def left() -> list[float]:
            found = values(made.url)
            whens = ("request", "wait", "answer")
            return [found["turnout_clients_left_total", when] for when in whens]

        assert left() == [0, 0, 0]
        with closing(connect(made.url)) as client:
            client.sendall(HEAD + b"content-length: 99\r\n\r\n{")
            time.sleep(0.1)
        until(lambda: left() == [1, 0, 0])
        made.upstream.script.append(Fault(hang=True))
        with closing(connect(made.url)) as client:
            client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
            until(lambda: made.upstream.seen)
        until(lambda: left() == [1, 1, 0])
        made.upstream.script.append(Fault(hang_after=3))
        body = json.dumps({**ASK, "stream": True}).encode()
        with closing(connect(made.url)) as client:
            client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert client.recv(65536)
        until(lambda: left() == [1, 1, 1])


def test_a_redis_that_goes_away_is_seen() -> None:
    keys = (key("boss", role="admin"), key("often", requests_per_minute=100))
    headers = {"authorization": "Bearer often"}
    with threaded_wire() as wire, deployment(keys=keys, counters=wire.settings()) as made:
        assert httpx2.post(f"{made.url}{PATH}", json=ASK, headers=headers).status_code == 200
        before = values(made.url, "boss")
        assert before["turnout_redis_failures_total", "counters"] == 0
        assert before["turnout_redis_down", "counters"] == 0
        assert ("turnout_redis_lost_total", "counters") in before
        wire.cut()
        assert httpx2.post(f"{made.url}{PATH}", json=ASK, headers=headers).status_code == 503
        after = values(made.url, "boss")
        assert after["turnout_redis_failures_total", "counters"] >= 1
        assert after["turnout_redis_down", "counters"] == 1
        assert refused(made.url, "boss") == {("503", "access_unavailable"): 1}


def test_a_certificate_that_is_revoked_is_seen() -> None:
    with serving(create_fake_app(["strong-model", "cheap-model"])) as upstream:
        settings = make_settings(upstream, auto="")
        pool, engine = build_pool(settings), make_engine(settings)
        router = engine.routers["length"]
        clock = [seconds("2026-12-01T00:00:00Z")]
        made = certificate(
            models=pool.names,
            safe="strong",
            artifact=router.fingerprint,
            pool=pool_fingerprint(pool.candidates, priced=False),
        )
        watch = Watch(made, pool.candidates, made.artifact, now=lambda: clock[0])
        engine = Engine(pool, {"length": router}, watches=[watch])
        with serving(create_app(settings, engine=engine)) as url:
            assert values(url)["turnout_certificates_revoked",] == 0
            clock[0] = seconds("2028-01-01T00:00:00Z")
            assert values(url)["turnout_certificates_revoked",] == 1


@pytest.fixture
def plain() -> Iterator[Deployment]:
    with deployment() as made:
        yield made


def test_what_went_well_is_not_counted_as_refused(plain: Deployment) -> None:
    assert httpx2.post(f"{plain.url}{PATH}", json=ASK).status_code == 200
    plain.upstream.script.append(Fault(status=400, body=b'{"error": {"message": "no"}}'))
    assert httpx2.post(f"{plain.url}{PATH}", json=ASK).status_code == 400  # its upstream's own
    assert refused(plain.url) == {}
