"""What an operator does while requests go the express way: keys, reloads, ends; and what is told of them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from express_site import (
    RESILIENCE,
    TOKEN,
    Client,
    Echo,
    Site,
    body,
    express_site,
    keys,
    rows,
    settings_of,
    stream,
)
from fault_site import engine_of, kept, until

from scripted import PAUSE, WAIT, ok
from turnout.cli import cli
from turnout.settings.server import ServerSettings

JSON = b"content-type: application/json"
BEARER = f"authorization: Bearer {TOKEN}"


def reload(here: Site, loop: asyncio.AbstractEventLoop, rest: str) -> None:
    settings = settings_of(here.up.url, rest)
    work = here.app.reload(settings, engine=engine_of(settings))
    asyncio.run_coroutine_threadsafe(work, loop).result(10)


def loop_of(here: Site) -> asyncio.AbstractEventLoop:
    """The gateway's."""
    found: Any = next(iter(here.app.opened().providers.values()))
    connection = (*found._origin._busy, *(c for _, c in found._origin._idle))[0]
    return connection._loop


@pytest.mark.parametrize("model", ["cheap", "auto"])
@pytest.mark.parametrize("streamed", [False, True])
def test_explain_computes_a_decision_of_the_express_way_again(
    tmp_path: Path, model: str, streamed: bool
) -> None:
    file = tmp_path / "t.db"
    with express_site(file) as here, here.client() as client:
        answers = [client.ask(body(f"Hello {n}", model, stream=streamed)) for n in range(5)]
        assert here.taken == 3
        here.settle()
    for answer in answers:
        made = answer.header("x-turnout-decision-id") or ""
        said = CliRunner().invoke(cli, ["explain", made, "--store", str(file), "--json"])
        assert said.exit_code == 0, said.output
        told = json.loads(said.output)
        assert told["identical"] is True
        assert told["decision"]["id"] == told["record"]["id"] == made


def test_a_key_that_was_revoked_is_refused(tmp_path: Path) -> None:
    with express_site(rest=RESILIENCE + keys("")) as here, here.client(BEARER) as client:
        client.warm(body("Hello"), 3)
        assert here.taken == 1
        keyring = here.app.opened().access.keyring
        known, keyring._known = keyring._known, {}
        assert client.ask(body("Hello")).status == 401
        (found,) = known.items()
        keyring._known = {found[0]: (found[1][0], 1, found[1][2])}  # it has expired
        assert client.ask(body("Hello")).status == 401
        keyring._known = known
        assert client.ask(body("Hello")).status == 200
        assert here.taken == 2
        here.settle()


def test_a_reload_is_heeded_at_once(tmp_path: Path) -> None:
    """Keys, limits and models as they are now; what began before ends by what it began with."""
    up = Echo()
    with express_site(up=up, rest=RESILIENCE + keys("")) as here, here.client(BEARER) as client:
        client.warm(body("Hello"), 3)
        loop, old = loop_of(here), here.app.deployed()
        up.scripts.append([WAIT, ok(b'{"model":"cheap"}', JSON)])
        client.send(body("Hello"))
        until(lambda: here.taken == 2 and old._users == 1)  # the last of the warm ones has left
        reload(here, loop, RESILIENCE + keys(", requests_per_minute: 2, deny: [strong]"))
        assert old._users == 1
        up.release()
        assert client.read().content == b'{"model":"cheap"}'
        until(lambda: not here.app._retiring)
        assert here.taken == 2
        said = [client.ask(body("Hello")).status for _ in range(4)]
        assert said == [200, 200, 429, 429]
        assert here.taken == 3  # by these settings the first was as any other
        assert client.ask(body("Hello", "strong")).status == 403
        reload(here, loop, RESILIENCE + "allow_passthrough: false\n" + keys(""))
        assert client.ask(body("Hello")).status == 404
        here.settle()


def test_places_are_never_more_than_there_are() -> None:
    up = Echo()
    limits = ServerSettings(drain_s=1, notice_s=0, max_in_flight=1, max_queue=1)
    settings = "server: {max_in_flight: 1, max_queue: 1, queue_timeout_s: 5}\n"
    with express_site(up=up, rest=RESILIENCE + settings, limits=limits) as here:
        with here.client() as one, here.client() as two, here.client() as three:
            one.warm(body("Hello"), 3)
            up.scripts.append([WAIT, ok(b'{"model":"cheap"}', JSON)])
            one.send(body("Hello"))
            until(lambda: len(up.requests) == 4)
            two.send(body("Hello"))
            until(lambda: here.app.admission.waiting == 1)
            assert three.ask(body("Hello")).status == 503
            assert here.app.admission.in_flight == 1
            up.release()
            assert one.read().status == two.read().status == 200
        here.settle()


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    up = Echo()
    up.delay_s = 0.002
    file = tmp_path / "t.db"
    rest = RESILIENCE + keys(
        ", budgets_usd: {day: 100}, concurrent: 100, requests_per_minute: 10000"
    )
    with express_site(file, up=up, rest=rest) as here:

        def work(n: int) -> int:
            with here.client(BEARER) as client:
                said = [
                    client.ask(body(f"Hello {n} {i}", ["cheap", "auto"][i % 2], stream=i % 4 > 1))
                    for i in range(20)
                ]
            return sum(answer.status == 200 for answer in said)

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 160
        here.settle()
        assert here.taken > 100
        (spent,) = [n for name, n in here.counters().items() if name.endswith("/day")]
    made = kept(file)
    assert len(made) == 160
    assert {r.status for r in made} == {"ok"}
    assert spent == sum(r.cost_picousd or 0 for r in made)


@pytest.mark.parametrize("model", ["cheap", "auto"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_end_of_the_process_lets_answers_end(model: str, streamed: bool) -> None:
    up = Echo()
    content = body("Hello", model, stream=streamed)
    limits = ServerSettings(drain_s=5, notice_s=0)
    with express_site(up=up, limits=limits) as here, here.client() as client, here.client() as idle:
        client.warm(content, 3)
        idle.warm(content, 1)
        up.delay_s = 0.5
        client.send(content)
        until(lambda: len(up.requests) == 5)
        here.server.should_exit = True
        assert idle.is_closed()
        answer = client.read()
        assert answer.status == 200
        assert answer.header("connection") == "close"
        assert client.is_closed()
        assert here.taken >= 2


def rest_of(client: Client) -> bytes:
    """What comes until the other side closes, or cuts the connection."""
    got = b""
    with suppress(ConnectionError):
        while more := client.socket.recv(65536):
            got += more
    return got


PIECE = stream("cheap", "Hi")[:2]


@pytest.mark.parametrize("pieces", [None, PIECE], ids=["whole", "stream"])
def test_an_end_whose_time_is_over_gives_requests_up(
    tmp_path: Path, pieces: list[bytes] | None
) -> None:
    """No request keeps the process; its client is told, and what it had reserved counts."""
    up, file = Echo(), tmp_path / "t.db"
    content = body("Hello", stream=pieces is not None)
    rest = RESILIENCE + keys(", budgets_usd: {day: 5}")
    start = 0.0
    with express_site(file, up=up, rest=rest, timeout_s=60) as here:
        with here.client(BEARER) as client:
            client.warm(content, 3)
            up.scripts.append([*(pieces or []), PAUSE])
            client.send(content)
            until(lambda: len(up.requests) == 4 and here.taken == 2)
            if pieces:
                while b"Hi" not in client.socket.recv(65536):
                    pass
            access, live = here.app.opened().access, here.app.deployed()
            start = time.monotonic()
            here.server.should_exit = True
            if pieces:
                assert b"0\r\n\r\n" not in rest_of(client)
            else:
                assert client.read().status == 500
        until(lambda: not live._users and not access._holds)
    assert time.monotonic() - start < 6
    last = [r for r in rows(file) if r["status"] != "ok"]
    assert [r["status"] for r in last] == ["partial" if pieces else "unknown"]


def test_what_is_logged_is_the_same(caplog: pytest.LogCaptureFixture) -> None:
    found = []
    for express in (True, False):
        caplog.clear()
        with caplog.at_level(logging.DEBUG), express_site(express=express) as here:
            with here.client() as client:
                client.warm(body("Hello"), 4)
            here.settle()
            assert here.taken == 2 * express
        said = [r for r in caplog.records if r.name.startswith("turnout") and "serves" in r.message]
        lines = [r for r in caplog.records if r.getMessage() == "request" or "request" in r.name]
        found.append([(r.name, r.levelname, r.message.partition(" ")[2]) for r in said])
        found[-1].append(len(lines))
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_they_are_counted() -> None:
    with express_site() as here, here.client() as client:
        client.warm(body("Hello"), 5)
        client.socket.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"\nturnout_express_requests_total 3" in client.read().content
        assert here.taken == 3
