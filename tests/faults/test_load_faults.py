"""Rows 35 to 37 and 50: more requests than can be served, the end of a process, no files left."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fault_site import ASK, GOOD, Upstream, in_thread, kept, site, until

from scripted import PAUSE, WAIT
from served import served
from turnout.errors import OverloadedError
from turnout.gateway.http.admission import Admission, patience_s
from turnout.observe.trail import Trail
from turnout.settings.server import ServerSettings

FEW = "server: {{max_in_flight: {flight}, max_queue: {queue}, queue_timeout_s: {timeout}}}\n"


class Slow(Upstream):
    """Takes a fixed time for each answer."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def before(self) -> None:
        await asyncio.sleep(self.seconds)


async def offered(url: str, per_second: float, seconds: float) -> list[tuple[int, float, str]]:
    """Status, time and `retry-after` of requests that come at a rate, whatever becomes of them."""
    limits = httpx2.Limits(max_connections=2000, max_keepalive_connections=2000)
    async with httpx2.AsyncClient(base_url=url, timeout=20, limits=limits) as http:

        async def one() -> tuple[int, float, str]:
            start = time.perf_counter()
            reply = await http.post(
                "/v1/chat/completions", json={"model": "cheap", "messages": ASK}
            )
            took = time.perf_counter() - start
            return reply.status_code, took, reply.headers.get("retry-after", "")

        tasks = []
        for i in range(round(per_second * seconds)):
            tasks.append(asyncio.create_task(one()))
            await asyncio.sleep(1 / per_second if i % 2 else 0)
        return await asyncio.gather(*tasks)


class Stopwatch:
    """How long the gateway took over requests that it refused, from their arrival to their end."""

    def __init__(self) -> None:
        self.refused_s: list[float] = []

    def over(self, trail: Trail) -> None:
        if trail.status == 503:
            self.refused_s.append(trail.duration_s)


async def peak(url: str, clients: int, seconds: float) -> float:
    """Answers a second where as many clients ask as are served at once, each as soon as it can."""
    end = time.monotonic() + seconds
    served = 0

    async def one(http: httpx2.AsyncClient) -> None:
        nonlocal served
        while time.monotonic() < end:
            reply = await http.post(
                "/v1/chat/completions", json={"model": "cheap", "messages": ASK}
            )
            served += reply.status_code == 200

    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        await asyncio.gather(*(one(http) for _ in range(clients)))
    return served / seconds


def test_row_35_ten_times_too_much_is_refused_quickly_and_the_rest_is_served() -> None:
    rest = FEW.format(flight=4, queue=4, timeout=1)
    seconds, watch = 4.0, Stopwatch()
    with site(rest=rest, first=Slow(0.4)) as here:  # 10 requests a second at most
        best = asyncio.run(peak(here.url, 4, seconds))
        here.app.observing.watchers.append(watch)
        before = _peak_mib()
        start = time.monotonic()
        found = asyncio.run(offered(here.url, 10 * 10, seconds))
        took = time.monotonic() - start
        assert here.app.admission.in_flight == here.app.admission.waiting == 0
        assert _peak_mib() - before < 100
    served = sum(status == 200 for status, _, _ in found)
    refused = sum(status == 503 and after == "1" for status, _, after in found)
    assert served + refused == len(found)
    assert refused == len(watch.refused_s)
    assert len(found) >= 5 * best * took, "this machine could not send ten times too much"
    assert served / took >= 0.8 * best
    quick = sorted(watch.refused_s)
    assert quick[len(quick) * 9 // 10] < 0.02


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_row_36_who_cannot_be_served_in_time_is_not_kept_waiting() -> None:
    rest = FEW.format(flight=1, queue=10, timeout=5)
    with site([WAIT, *GOOD], rest=rest) as here, ThreadPoolExecutor(3) as pool:
        first = pool.submit(here.ask)
        until(lambda: here.one.requests)
        start = time.monotonic()
        late = here.ask(headers={"x-turnout-timeout-ms": "200"})
        waited = time.monotonic() - start
        assert late.status_code == 503
        assert late.json()["error"]["code"] == "overloaded"
        assert 0.15 < waited < 3
        patient = pool.submit(here.ask)
        until(lambda: here.app.admission.waiting == 1)
        here.one.release()
        assert first.result(10).status_code == patient.result(10).status_code == 200
    assert here.app.admission.counts["queue_timeout"] == 1


def test_row_36_an_answer_that_does_not_begin_within_the_clients_time_is_a_504() -> None:
    with site([PAUSE]) as here:
        reply = here.ask(headers={"x-turnout-timeout-ms": "150"})
        assert reply.status_code == 504
        assert reply.json()["error"]["code"] == "deadline_exceeded"
        until(lambda: here.one.closed)  # the upstream was let go


class Clock:
    """A clock that stands until it is told to go."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_row_36_a_turn_that_would_come_too_late_is_refused_at_once() -> None:
    async def run() -> None:
        clock = Clock()
        limits = ServerSettings(max_in_flight=2, max_queue=100, queue_timeout_s=2)
        admission = Admission(limits, clock)
        for _ in range(2):
            await admission.take(None)
        admission.leave(3.0)  # requests take three seconds
        await admission.take(None)
        waiting = asyncio.ensure_future(admission.take(None))
        await asyncio.sleep(0)
        assert admission.waiting == 1
        with pytest.raises(OverloadedError) as refused:  # its turn would come after three seconds
            await admission.take(None)
        assert refused.value.retry_after_s == 3.0
        clock.now += 2.5
        admission.leave(3.0)  # who waited is late by now: he is not served in vain
        with pytest.raises(OverloadedError):
            await waiting
        assert (admission.in_flight, admission.waiting) == (1, 0)
        assert admission.counts == {"too_late": 1, "queue_timeout": 1}

    asyncio.run(run())


def test_a_place_is_not_lost_when_its_request_leaves_at_that_moment() -> None:
    async def run() -> None:
        admission = Admission(ServerSettings(max_in_flight=1), time.monotonic)
        await admission.take(None)
        waiting = asyncio.ensure_future(admission.take(None))
        await asyncio.sleep(0)
        admission.leave(0.0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert (admission.in_flight, admission.waiting) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-turnout-timeout-ms": "1500"}, 1.5),
        ({"x-stainless-read-timeout": "600"}, 600.0),
        ({"x-turnout-timeout-ms": "20", "x-stainless-read-timeout": "600"}, 0.02),
        ({"x-turnout-timeout-ms": "nan"}, None),
        ({"x-turnout-timeout-ms": "-5"}, None),
        ({"x-turnout-timeout-ms": "inf"}, 86_400.0),
        ({"x-turnout-timeout-ms": "soon"}, None),
    ],
)
def test_how_long_a_client_waits(headers: dict[str, str], seconds: float | None) -> None:
    assert patience_s(headers) == seconds


CONFIG = """
listen: {{port: 0}}
providers: {{up: {{base_url: "{url}/v1", timeout_s: 60}}}}
candidates:
  - {{name: strong, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 1000}}
  - {{name: cheap, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 1000}}
routers: {{random: {{}}}}
resilience: {{spares: 0, retries: 0, breaker_failures: 100000, breaker_share: 1}}
{store}
{rest}
"""

STORE = "store: {path: turnout.db}"


@contextmanager
def process(
    folder: Path, url: str, *, files: int = 0, rest: str = "", store: str = ""
) -> Iterator[Any]:
    """`turnout serve` in a process of its own, and where it listens."""
    config = folder / "turnout.yaml"
    config.write_text(CONFIG.format(url=url, rest=rest, store=store or STORE))
    with served(config, "--port", "0", files=files) as running:
        yield running.process, running.url, config


def test_row_37_a_signal_lets_two_hundred_streams_end(tmp_path: Path) -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    upstream = Upstream(usual=[head, event, WAIT, event, b"data: [DONE]\n\n", b"<close>"])

    async def run(url: str, gateway: Any) -> list[bytes]:
        limits = httpx2.Limits(max_connections=300)
        async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
            body = {"model": "cheap", "messages": ASK, "stream": True}
            begun = 0

            async def one() -> bytes:
                nonlocal begun
                found = b""
                async with http.stream("POST", "/v1/chat/completions", json=body) as reply:
                    async for piece in reply.aiter_raw():
                        begun += not found
                        found += piece
                return found

            tasks = [asyncio.create_task(one()) for _ in range(200)]
            while begun < 200:
                await asyncio.sleep(0.01)
            assert (await http.get("/readyz")).status_code == 200
            gateway.send_signal(signal.SIGTERM)
            while (await http.get("/readyz")).status_code != 503:
                await asyncio.sleep(0.01)
            upstream.release()
            return await asyncio.gather(*tasks)

    rest = "server: {notice_s: 10}"  # until the test has seen what it looks for
    with in_thread(upstream), process(tmp_path, upstream.url, rest=rest) as (gateway, url, _):
        streams = asyncio.run(run(url, gateway))
        assert gateway.wait(40) == 0
    assert all(stream.endswith(b"data: [DONE]\n\n") for stream in streams)
    assert [r.status for r in kept(tmp_path / "turnout.db")] == ["ok"] * 200


def test_row_37_what_does_not_end_in_time_is_cut_off_and_booked(tmp_path: Path) -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    upstream = Upstream(usual=[head, event, WAIT])
    rest = "server: {drain_s: 1, notice_s: 0}"
    with (
        in_thread(upstream),
        process(tmp_path, upstream.url, rest=rest) as (gateway, url, _),
        httpx2.Client(base_url=url, timeout=30) as http,
        http.stream(
            "POST",
            "/v1/chat/completions",
            json={"model": "cheap", "messages": ASK, "stream": True},
        ) as reply,
    ):
        pieces = reply.iter_raw()
        assert next(pieces)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(20) == 0
    assert [r.status for r in kept(tmp_path / "turnout.db")] == ["partial"]


def test_row_42_a_signal_takes_the_file_again(tmp_path: Path) -> None:
    upstream = Upstream()
    with in_thread(upstream), process(tmp_path, upstream.url) as (gateway, url, config):

        def state() -> Any:
            return httpx2.get(f"{url}/readyz", timeout=10).json()

        until(lambda: state()["status"] == "ready")
        good = config.read_text()
        config.write_text(good + "resilence: {}\n")
        gateway.send_signal(signal.SIGHUP)
        until(lambda: "reload_problem" in state())
        line = good.count("\n") + 1
        assert state()["reload_problem"] == f"turnout.yaml:{line}"
        log = (tmp_path / "turnout.log").read_text()
        assert f"{config}:{line}: resilence" in log
        assert "Did you mean 'resilience'?" in log
        config.write_text(good + "allow_passthrough: false\n")
        gateway.send_signal(signal.SIGHUP)
        until(lambda: state()["reloads"] == 1)
        assert "reload_problem" not in state()
        body = {"model": "cheap", "messages": ASK}
        assert httpx2.post(f"{url}/v1/chat/completions", json=body).status_code == 404
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(20) == 0


def test_row_50_without_files_it_refuses_and_recovers(tmp_path: Path) -> None:
    upstream = Upstream(usual=[WAIT, *GOOD])

    async def run(url: str) -> list[int]:
        limits = httpx2.Limits(max_connections=400)
        async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as http:

            async def one() -> int:
                try:
                    body = {"model": "cheap", "messages": ASK}
                    return (await http.post("/v1/chat/completions", json=body)).status_code
                except httpx2.TransportError:
                    return 0

            tasks = [asyncio.create_task(one()) for _ in range(300)]
            while sum(task.done() for task in tasks) < 150:
                await asyncio.sleep(0.02)
            upstream.release()
            return await asyncio.gather(*tasks)

    with in_thread(upstream), process(tmp_path, upstream.url, files=256) as (gateway, url, _):
        statuses = asyncio.run(run(url))
        # 0: cut off at once, where even those that are being refused have become too many.
        assert set(statuses) <= {0, 200, 503}
        assert statuses.count(200) >= 64
        assert statuses.count(503) >= 16
        with httpx2.Client(base_url=url, timeout=30) as http:
            body = {"model": "cheap", "messages": ASK}
            until(lambda: http.post("/v1/chat/completions", json=body).status_code == 200)
        assert gateway.poll() is None
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(20) == 0
    assert "Too many open files" not in (tmp_path / "turnout.log").read_text()
