"""Rows 42, 43 and 47: other settings while requests are under way."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fault_site import ASK, Site, Upstream, engine_of, in_thread, settings_of, site, until
from test_load_faults import process

from scripted import WAIT
from turnout.errors import SettingsError
from turnout.settings import Settings, StoreSettings, load_settings

log = logging.getLogger(__name__)


def reload(here: Site, settings: Settings) -> None:
    """Change the settings of a gateway that runs in another thread."""
    asyncio.run_coroutine_threadsafe(
        here.app.reload(settings, engine=engine_of(settings)), here.loop
    ).result(20)


def test_row_42_what_cannot_be_used_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with site() as here:
        before = here.app.live
        settings = settings_of(here.one.url, here.two.url)
        stored = settings.model_copy(update={"store": StoreSettings(path=tmp_path / "x.db")})
        with pytest.raises(SettingsError, match=r"store: .* restart"):
            reload(here, stored)
        assert here.app.live is before
        assert here.ask().status_code == 200


def test_row_42_the_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "turnout.yaml"
    head = 'providers:\n  up: {base_url: "http://127.0.0.1:1/v1"}\ncandidates:\n  - name: a\n'
    for tail, line in (
        ("  - {name: b, price: {input_usd: -1, output_usd: 1}}\n", 5),
        ("  - name: b\n    provder: up\n", 6),
        ("default: c\n", 5),
        ("  - name: b\n    name: c\n", 6),
        ("  - [unclosed\n", 6),
    ):
        file.write_text(head + tail)
        with pytest.raises(SettingsError) as caught:
            load_settings(file, {})
        assert caught.value.place == f"{file}:{line}", tail


def test_row_42_requests_under_way_end_with_what_they_began_with() -> None:
    with site() as here, ThreadPoolExecutor(1) as pool:
        here.one.scripts.append([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{", WAIT, b"}"])
        began = pool.submit(here.ask)
        until(lambda: here.one.requests)
        old = here.app.live
        moved = settings_of(here.two.url, here.two.url)
        reload(here, moved)
        assert here.app.live is not old
        assert here.ask().status_code == 200
        assert len(here.two.requests) == 1
        assert not began.done()  # its connection is still open
        here.one.release()
        assert began.result(10).status_code == 200


def test_row_42_health_goes_on_where_the_provider_is_the_same() -> None:
    with site() as here:
        here.one.scripts.append([b"HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n"])
        assert [here.ask().status_code for _ in range(2)] == [502, 503]
        reload(here, settings_of(here.one.url, here.two.url))
        assert here.ask().status_code == 503
        reload(here, settings_of(here.one.url, here.two.url, provider=", api_key: new"))
        assert here.ask().status_code == 200


def test_row_47_answers_are_given_again_after_a_reload() -> None:
    with site() as here:
        keyed = {"idempotency-key": "k"}
        first = here.ask(headers=keyed)
        reload(here, settings_of(here.two.url, here.two.url))
        again = here.ask(headers=keyed)
        assert (again.headers["idempotent-replayed"], again.content) == ("true", first.content)
        assert (len(here.one.requests), len(here.two.requests)) == (1, 0)


def test_what_becomes_of_keys_is_reloaded_and_their_answers_stay() -> None:
    def ask(here: Site) -> httpx2.Response:
        return here.ask(headers={"idempotency-key": "k"})

    with site() as here:
        both = here.one.url, here.two.url
        ask(here)
        reload(here, settings_of(*both, rest="idempotency: {enabled: false}\n"))
        assert "idempotent-replayed" not in ask(here).headers
        reload(here, settings_of(*both, rest="idempotency: {longest_bytes: 1}\n"))
        assert ask(here).headers["idempotent-replayed"] == "true", "it had been kept"
        again = {"idempotency-key": "another"}
        replies = [here.ask(headers=again) for _ in range(2)]
        assert all("idempotent-replayed" not in r.headers for r in replies), "it is too long now"
        reload(here, settings_of(*both, rest="idempotency: {ttl_s: 0.001}\n"))
        time.sleep(0.01)
        assert "idempotent-replayed" not in ask(here).headers


def test_row_43_fifty_reloads_under_load_fail_no_request() -> None:
    stop = threading.Event()

    def load(here: Site) -> list[int]:
        found = []
        with httpx2.Client(base_url=here.url, timeout=20) as http:
            while not stop.is_set():
                body: Any = {"model": "auto", "messages": ASK, "stream": len(found) % 2 == 0}
                found.append(http.post("/v1/chat/completions", json=body).status_code)
        return found

    with site() as here, ThreadPoolExecutor(4) as pool:
        running = [pool.submit(load, here) for _ in range(4)]
        for i in range(50):
            changed = settings_of(here.one.url, here.two.url, provider=f", headers: {{x-n: '{i}'}}")
            reload(here, changed)
        stop.set()
        statuses = [status for done in as_completed(running) for status in done.result()]
        assert set(statuses) == {200}
        assert len(statuses) > 50
        assert here.app.reloads == 50
        until(lambda: not here.app._retiring)


class Paced:
    """Bare connections that ask at a rate together, and count what they get."""

    def __init__(self, url: str, *, per_second: float, connections: int = 25) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._to, self._every_s = (host, int(port)), connections / per_second
        self._connections = connections
        self.statuses: Counter[bytes] = Counter()
        self.over = False

    async def run(self) -> float:
        """Ask until it is over: answers a second."""
        start = time.monotonic()
        await asyncio.gather(*(self._one(i) for i in range(self._connections)))
        return self.statuses.total() / (time.monotonic() - start)

    async def _one(self, number: int) -> None:
        body = json.dumps({"model": "cheap", "messages": ASK}).encode()
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        )
        ask = head + b"content-length: %d\r\n\r\n" % len(body) + body
        reader, writer = await asyncio.open_connection(*self._to)
        due = time.monotonic() + number / self._connections * self._every_s
        while not self.over:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self._every_s, time.monotonic())  # what is late is not made up for
            writer.write(ask)
            answer = await reader.readuntil(b"\r\n\r\n")
            size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(size)
            self.statuses[answer[9:12]] += 1
        writer.close()


def test_row_43_fifty_signals_at_five_hundred_requests_a_second_fail_none(tmp_path: Path) -> None:
    upstream = Upstream()
    with in_thread(upstream), process(tmp_path, upstream.url) as (gateway, url, config):
        plain = config.read_text()

        async def reloads(load: Paced) -> None:
            async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
                assert (await http.get("/readyz")).status_code == 200  # it hears signals by now
                for i in range(50):
                    fresh = config.with_suffix(".new")
                    other = f"timeout_s: 60, headers: {{x-n: '{i}'}}"
                    fresh.write_text(plain.replace("timeout_s: 60", other))
                    fresh.replace(config)
                    gateway.send_signal(signal.SIGHUP)
                    end = time.monotonic() + 20
                    while (ready := (await http.get("/readyz")).json())["reloads"] <= i:
                        assert time.monotonic() < end, ready
                        await asyncio.sleep(0.01)
                    assert "reload_problem" not in ready
            load.over = True

        async def run() -> tuple[Paced, float]:
            load = Paced(url, per_second=500)
            rate, _ = await asyncio.gather(load.run(), reloads(load))
            return load, rate

        load, rate = asyncio.run(run())
        log.info("%d requests at %.0f a second over 50 reloads", load.statuses.total(), rate)
        assert set(load.statuses) == {b"200"}
        assert load.statuses.total() > 500
        assert rate > 100, "that was no load"  # 500 where this machine has nothing else to do
