"""Clients of streams that leave, do not read, ask for more, or see the process end: as ever."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
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
    stream,
    with_and_without,
)
from fault_site import until

from scripted import PAUSE, WAIT
from turnout.settings.server import ServerSettings

HEAD, HI, USAGE, DONE, END = stream("cheap", "Hi")
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
ROLE = b"%x\r\n%b\r\n" % (len(ROLE), ROLE)
MUCH = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 100_000)
MUCH = b"%x\r\n%b\r\n" % (len(MUCH), MUCH)
LONG = [HEAD, HI, *[MUCH] * 240, USAGE, DONE, END]
BEARER = f"authorization: Bearer {TOKEN}"
REST = RESILIENCE + keys(", budgets_usd: {day: 5}, concurrent: 3")
QUICK = ServerSettings(write_timeout_s=0.75, drain_s=3, notice_s=0)


def both(
    tmp_path: Path,
    model: str,
    pieces: list[bytes],
    work: Callable[[Site, Client, bytes], Any],
    *,
    limits: ServerSettings = QUICK,
    timeout_s: float = 5.0,
    held_back: bool = False,
) -> Any:
    """What comes of some work whose first stream is this one; it is the same with and without.

    How much of a stream has been read when it is `held_back` is up to the sockets' buffers: then its
    size and what follows from it are not compared.
    """

    def play(express: bool) -> list[Any]:
        file, up = tmp_path / f"{express}.db", Echo()
        with express_site(
            file, express=express, up=up, rest=REST, limits=limits, timeout_s=timeout_s
        ) as here:
            with here.client(BEARER) as client:
                content = body("Hello", model, stream=True)
                client.warm(content, 3)
                assert here.taken == express
                up.scripts.append(pieces)
                client.send(content)
                until(lambda: len(up.requests) == 4)
                found = [work(here, client, content)]
                assert here.taken >= 2 * express
            here.settle()
            found.append(here.server.guard.counts)
            if not held_back:
                found.append(here.counters())
            found.append({**here.app.door.left})
            if not here.server.should_exit:
                found.append(here.metrics(BEARER))
        found.append(rows(file))
        return [sizeless(one) for one in found] if held_back else found

    one, other = with_and_without(play)
    for mine, its in zip(one, other, strict=True):
        assert mine == its
    return one[0], [row["status"] for row in one[-1] if row["status"] != "ok"]


def sizeless(found: Any) -> Any:
    """Without what follows from a stream's size."""
    if isinstance(found, list):
        return [sizeless(one) for one in found]
    if not isinstance(found, dict):
        return found
    return {name: value for name, value in found.items() if not re.search("tokens|cost|usd", name)}


def leave(here: Site, client: Client, _: bytes) -> None:
    client.close()
    until(lambda: here.up.closed >= 1)


def half_close(here: Site, client: Client, _: bytes) -> None:
    client.socket.shutdown(socket.SHUT_WR)
    until(lambda: here.up.closed >= 1)


def ask_and_leave(here: Site, client: Client, content: bytes) -> None:
    """What stands behind a request does not hide that its client leaves."""
    client.send(content)
    leave(here, client, content)


@pytest.mark.parametrize("model", ["cheap", "auto"])
@pytest.mark.parametrize(
    "pieces", [[HEAD, ROLE, PAUSE], [HEAD, HI, PAUSE], [HEAD, HI, MUCH, PAUSE]]
)
@pytest.mark.parametrize("work", [leave, half_close, ask_and_leave])
def test_the_upstream_is_let_go_when_its_client_leaves(
    tmp_path: Path, work: Any, pieces: list[bytes], model: str
) -> None:
    def work_later(here: Site, client: Client, content: bytes) -> None:
        if ROLE in pieces:  # kept back until something is said: another model could still answer
            time.sleep(0.03)
        else:
            client.until(pieces[-2].split(b"\r\n")[1].rstrip()[-12:])  # what was sent has come
        work(here, client, content)

    _, statuses = both(tmp_path, model, pieces, work_later)
    assert statuses == ["left"]


def stopped(here: Site) -> None:
    """Wait until nothing more is taken from upstream."""
    seen = -1
    while seen < here.up.sent:
        seen = here.up.sent
        time.sleep(0.15)
    assert seen < len(b"".join(LONG)) - 1_000_000


def test_for_who_reads_late_all_of_it_is_kept(tmp_path: Path) -> None:
    """The upstream is held back meanwhile, for longer than it may be silent."""

    def work(here: Site, client: Client, _: bytes) -> Any:
        stopped(here)
        time.sleep(0.5)
        return client.read().plain()

    limits = ServerSettings(write_timeout_s=5, drain_s=1, notice_s=0)
    answer, statuses = both(tmp_path, "cheap", LONG, work, limits=limits, timeout_s=0.4)
    assert answer[2].count(b"x") >= 240 * 100_000
    assert statuses == []


def test_who_never_reads_is_cut_off(tmp_path: Path) -> None:
    def work(here: Site, client: Client, _: bytes) -> None:
        stopped(here)
        until(lambda: here.server.guard.counts["slow_reader"] == 1)
        until(lambda: here.up.closed == 1)

    _, statuses = both(tmp_path, "cheap", LONG, work, held_back=True)
    assert statuses == ["left"]


def test_who_leaves_without_having_read_leaves(tmp_path: Path) -> None:
    def work(here: Site, client: Client, _: bytes) -> None:
        stopped(here)
        client.close()
        until(lambda: here.up.closed == 1)

    _, statuses = both(tmp_path, "cheap", LONG, work, held_back=True)
    assert statuses == ["left"]


HELD = [HEAD, HI, WAIT, USAGE, DONE, END]


def test_an_end_of_the_process_lets_a_stream_end(tmp_path: Path) -> None:
    """And no more: what its client has sent meanwhile is for another process."""

    def work(here: Site, client: Client, content: bytes) -> Any:
        client.until(b"Hi")
        here.server.should_exit = True
        time.sleep(0.05)
        client.send(content)
        time.sleep(0.05)
        here.up.release()
        answer = client.read().plain()
        assert client.is_closed()
        return answer, len(here.up.requests)

    (answer, asked), statuses = both(tmp_path, "cheap", HELD, work)
    assert b"[DONE]" in answer[2]
    assert (asked, statuses) == (4, [])


@pytest.mark.parametrize("model", ["cheap", "auto"])
def test_streams_follow_each_other_on_a_connection(tmp_path: Path, model: str) -> None:
    def work(here: Site, client: Client, content: bytes) -> Any:
        before = here.taken
        found = [client.read().plain(), client.ask(content).plain()]
        found.append(client.ask(body("Hello", model)).plain())
        found.append(client.ask(content).plain())
        assert here.taken == before + 2 * (before > 0)
        return found

    both(tmp_path, model, HELD[:2] + HELD[3:], work)


@pytest.mark.parametrize("model", ["cheap", "auto"])
def test_requests_behind_a_stream_are_answered_in_order(tmp_path: Path, model: str) -> None:
    def work(here: Site, client: Client, content: bytes) -> Any:
        client.until(b"Hi")
        before, size = here.taken, len(content) - 9
        client.send(content)
        time.sleep(0.03)
        client.socket.sendall(client.head(len(content)) + content[:size])
        time.sleep(0.03)
        here.up.release()
        found = [client.read().plain()]
        client.socket.sendall(content[size:])
        found += [client.read().plain(), client.read().plain(), client.ask(content).plain()]
        assert here.taken > before or not before
        return found

    found, statuses = both(tmp_path, model, HELD, work)
    assert len(found) == 4
    assert statuses == []
