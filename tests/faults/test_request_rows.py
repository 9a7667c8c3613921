"""Rows 2, 34, 44 to 47 and 51: names, JSON, clocks, routers, keys and requests that go round."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fault_site import (
    ASK,
    EVENTS,
    GOOD,
    RESILIENCE,
    Site,
    engine_of,
    kept,
    settings_of,
    site,
    until,
)
from gateway_fakes import BrokenRouter, LengthRouter, NanRouter, serving

from scripted import WAIT
from turnout.engine import Engine
from turnout.errors import ArtifactError, InputError, SettingsError
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_engine, build_pool
from turnout.settings import Settings, parse_settings
from turnout.settings.loops import check_loops
from turnout.types import Candidate, Prediction, Query

DEEP = b"[" * 200_000
LINE = b'"model": "cheap", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]'
BAD_JSON = {
    "nothing": b"",
    "no json": b"{model: cheap}",
    "nan": b"{" + LINE + b', "temperature": NaN}',
    "infinity": b"{" + LINE + b', "temperature": -Infinity}',
    "deep": b"{" + LINE + b', "x": ' + DEEP,
    "deep and whole": b"{" + LINE + b', "x": ' + DEEP + b"]" * 200_000 + b"}",
    "deep objects": b"{" + LINE + b', "x": ' + b'{"a":' * 100_000,
    "a name twice": b'{"model": "cheap", ' + LINE + b"}",
    "a name twice below": b"{" + LINE + b', "x": {"a": 1, "a": 2}}',
    "a huge number": b"{" + LINE + b', "seed": ' + b"9" * 5000 + b"}",
    "a lone surrogate": b"{" + LINE.replace(b"Hello", b"\\uDC00 Hello") + b"}",
    "no utf-8": b"{" + LINE.replace(b"Hello", b"\xff\xfe") + b"}",
    "a list": b"[1]",
    "cut": b"{" + LINE,
    "utf-16": ("{" + LINE.decode() + "}").encode("utf-16"),
}
PATHS = (
    "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/route", "/v1/responses/input_tokens",
    "/v1/messages/count_tokens",
)  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> Iterator[Site]:
    with site() as here:
        yield here


@pytest.mark.parametrize("path", PATHS)
def test_row_34_bad_json_is_a_400_in_the_right_dialect(plain: Site, path: str) -> None:
    with httpx2.Client(base_url=plain.url, timeout=20) as http:
        for name, body in BAD_JSON.items():
            reply = http.post(path, content=body)
            assert reply.status_code == 400, (name, reply.text[:300])
            said = reply.json()
            assert (said.get("type") == "error") is ("/messages" in path), name
            assert said["error"]["message"], name
            assert "Hello" not in reply.text, name
            lone = "messages[0].content: a lone surrogate" in said["error"]["message"]
            assert lone is (name == "a lone surrogate")
    until(lambda: not plain.app.admission.in_flight)


def test_row_02_a_lookup_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real, go = socket.getaddrinfo, threading.Event()

    def lookup(host: Any, *given: Any, **more: Any) -> Any:
        if host == "slow.invalid":
            go.wait(20)
            raise socket.gaierror("unknown")
        return real(host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with site(one_url="http://slow.invalid:80") as here, ThreadPoolExecutor(20) as pool:
        # Both candidates of this site have the name that hangs; only the decision alone needs none.
        waiting = [pool.submit(here.ask) for _ in range(20)]
        with httpx2.Client(base_url=here.url, timeout=20) as http:
            body = {"model": "auto", "messages": ASK}
            took = [http.post("/v1/route", json=body).elapsed.total_seconds() for _ in range(20)]
        replies = [one.result(20) for one in waiting]
        threads = [t for t in threading.enumerate() if t.name == "turnout-dns-slow.invalid"]
        go.set()
    assert sorted(took)[10] < 0.5
    assert {reply.status_code for reply in replies} == {504}
    assert max(reply.elapsed.total_seconds() for reply in replies) < 10
    assert len(threads) == 1


def test_row_44_clocks_that_jump_make_no_time_negative_and_no_wait_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_ns, real, jump = time.time_ns, time.time, [0.0]
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(jump[0] * 1e9))
    monkeypatch.setattr(time, "time", lambda: real() + jump[0])
    file = tmp_path / "turnout.db"
    with site(rest=f"{RESILIENCE}store: {{path: {file}}}\n") as here:
        for step in (0.0, 3600.0, -3600.0, 0.0):
            jump[0] = step
            start = time.monotonic()
            assert here.ask().status_code == 200
            assert time.monotonic() - start < 5
    monkeypatch.undo()
    records = kept(file)
    assert len(records) == 4
    assert all(0 <= record.duration_ms < 5000 for record in records)
    assert all(0 <= record.first_byte_ms < 5000 for record in records)


def routed(settings: Settings, router: Any) -> Engine:
    return Engine(build_pool(settings), {"length": router})


def ask_with(router: Any, count: int, **server: Any) -> tuple[list[httpx2.Response], float, Any]:
    """Replies to `auto` under a router, how long they took, and the application."""
    with site() as here:
        settings = settings_of(here.one.url, here.two.url)
        given = settings.server.model_copy(update=server)
        settings = settings.model_copy(update={"server": given})
        app = create_app(settings, engine=routed(settings, router))
        with serving(app) as url, httpx2.Client(base_url=url, timeout=20) as http:
            start = time.monotonic()
            body = {"model": "auto", "messages": ASK}
            replies = [http.post("/v1/chat/completions", json=body) for _ in range(count)]
            return replies, time.monotonic() - start, app


@dataclass(frozen=True)
class HungRouter(LengthRouter):
    """Does not come back until it is let go."""

    go: threading.Event = field(default_factory=threading.Event)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        self.go.wait(20)
        return super().predict(queries, candidates)


def test_row_45_a_router_that_hangs_is_not_waited_for() -> None:
    router = HungRouter()
    replies, took, app = ask_with(router, 12, decision_timeout_s=0.1)
    router.go.set()
    assert {reply.status_code for reply in replies} == {200}
    assert {reply.headers["x-turnout-model"] for reply in replies} == {"strong"}
    assert {reply.headers["x-turnout-reason"].partition(":")[0] for reply in replies} == {
        "router_failed"
    }
    assert took < 10
    assert app.deployed().serving.deciding.beside.late == 13  # and one before


@dataclass(frozen=True)
class BusyRouter(LengthRouter):
    """Computes for 20 ms."""

    threads: set[int] = field(default_factory=set)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        self.threads.add(threading.get_ident())
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return super().predict(queries, candidates)


def test_row_45_a_router_that_computes_long_does_not_hold_the_loop_up() -> None:
    busy = BusyRouter()
    replies, _, _ = ask_with(busy, 10)
    assert {reply.headers["x-turnout-reason"].partition(":")[0] for reply in replies} == {
        "win_rate_below_threshold"
    }
    assert not any(
        t.ident in busy.threads and "turnout" not in t.name for t in threading.enumerate()
    )


@pytest.mark.parametrize("router", [BrokenRouter("length"), NanRouter("length")])
def test_row_46_a_router_that_fails_serves_the_default(router: Any) -> None:
    (reply,), _, _ = ask_with(router, 1)
    assert reply.status_code == 200
    assert reply.headers["x-turnout-model"] == "strong"
    assert reply.headers["x-turnout-reason"].startswith("router_failed: ")


def test_row_45_a_model_file_that_is_missing_or_corrupt_stops_the_start(tmp_path: Path) -> None:
    text = """
providers: {up: {base_url: "http://127.0.0.1:1/v1"}}
candidates:
  - {name: gpt-4, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}
  - {name: mixtral, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}
routers: {knn: {artifact: broken}}
"""
    settings = parse_settings(text, {}, folder=tmp_path)
    with pytest.raises(ArtifactError, match="broken"):
        build_engine(settings)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"router"')
    with pytest.raises(ArtifactError, match="broken"):
        build_engine(settings)


LOOP = """
listen: {{host: "{host}", port: 8080}}
providers: {{up: {{base_url: "{url}"}}}}
candidates: [{{name: a}}, {{name: b}}]
"""


@pytest.mark.parametrize("stream", [False, True])
def test_row_47_one_key_is_one_call_one_row_one_answer(tmp_path: Path, stream: bool) -> None:
    keyed = {"idempotency-key": "a key"}
    held = [*(EVENTS if stream else GOOD)]
    with (
        site([WAIT, *held], rest=f"{RESILIENCE}store: {{path: {tmp_path / 't.db'}}}\n") as here,
        ThreadPoolExecutor(4) as pool,
    ):
        asked = [pool.submit(here.ask, headers=keyed, stream=stream) for _ in range(4)]
        until(lambda: here.one.requests)
        assert here.ask(headers=keyed, stream=stream, n=1).status_code == 422
        here.one.release()
        replies = [a.result(10) for a in asked]
        replies.append(here.ask(headers=keyed, stream=stream))
        other = here.ask(headers=keyed, stream=stream, seed=1)
        assert [r.status_code for r in replies] == [200] * 5
        assert len({r.content for r in replies}) == 1
        assert sum("idempotent-replayed" in r.headers for r in replies) == 4
        assert other.status_code == 422
        assert other.json()["error"]["code"] == "idempotency_key_reused"
        assert len(here.one.requests) == 1
    [record] = kept(tmp_path / "t.db")
    assert (record.status, record.calls) == ("ok", 1)


@pytest.mark.parametrize(
    ("host", "url", "loops"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/v1", True),
        ("127.0.0.1", "http://localhost:8080/v1", True),
        ("0.0.0.0", "http://127.0.0.1:8080/v1", True),
        ("10.0.0.7", "http://10.0.0.7:8080", True),
        ("10.0.0.7", "http://127.0.0.1:8080", False),
        ("127.0.0.1", "http://127.0.0.1:8081/v1", False),
        ("127.0.0.1", "https://api.openai.com/v1", False),
    ],
)
def test_row_51_a_provider_that_is_the_gateway_itself(host: str, url: str, loops: bool) -> None:
    settings = parse_settings(LOOP.format(host=host, url=url), {})
    if not loops:
        check_loops(settings)
        return
    with pytest.raises(SettingsError, match=r"providers\.up\.base_url: .* itself listens there"):
        check_loops(settings)


def test_row_51_a_request_that_comes_round_is_a_508() -> None:
    with site(usual=[b""]) as here:
        settings = settings_of(here.url, here.url)  # by a way that cannot be seen in the settings
        moved = settings_of(here.url, here.url)
        reloaded = here.app.reload(moved, engine=engine_of(settings))
        asyncio.run_coroutine_threadsafe(reloaded, here.loop).result(20)
        reply = here.ask()
        assert reply.status_code == 508
        assert reply.json()["error"]["code"] == "loop_detected"
        assert here.one.requests == []


def test_row_51_each_gateway_on_the_way_is_named() -> None:
    with site() as here:
        here.ask(headers={"x-turnout-hop": "0a0a0a0a0a0a,0b0b0b0b0b0b"})
        here.ask()
        assert (
            here.ask(headers={"x-turnout-hop": ",".join(["0c0c0c0c0c0c"] * 8)}).status_code == 508
        )
        first, second = here.one.requests
    name = here.app.hops.name.encode()
    assert b"x-turnout-hop: 0a0a0a0a0a0a,0b0b0b0b0b0b," + name in first
    assert b"x-turnout-hop: " + name + b"\r\n" in second


def test_row_51_routers_that_stand_in_for_each_other_are_refused() -> None:
    text = """
providers: {up: {base_url: "http://127.0.0.1:1/v1"}}
candidates:
  - {name: a, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}
  - {name: b, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}
routers:
  random: {fallback: router-rules-0.5}
  rules: {fallback: router-random-0.5}
"""
    with pytest.raises(InputError, match="no fallback of its own"):
        build_engine(parse_settings(text, {}))
