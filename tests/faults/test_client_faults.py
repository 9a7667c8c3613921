"""Rows 30 to 33: clients that leave, that are slow to write or to read, and that send too much."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fault_site import ANSWER, ASK, RESILIENCE, Site, kept, site, until

from scripted import PAUSE
from turnout.settings.server import ServerSettings

QUICK = ServerSettings(
    header_timeout_s=1, body_timeout_s=1.5, write_timeout_s=1, drain_s=1, notice_s=0
)
BODY = json.dumps({"model": "cheap", "messages": ASK}).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def quick() -> Iterator[Site]:
    """A gateway that has no patience."""
    with site(limits=QUICK) as here:
        yield here


def connect(here: Site) -> socket.socket:
    host, port = here.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def drip(client: socket.socket, data: bytes, every_s: float) -> float:
    """Send a byte at a time until the other side has closed; how long that took."""
    start = time.monotonic()
    client.settimeout(every_s)
    for at in range(len(data)):
        try:
            client.send(data[at : at + 1])
            if client.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - start


@pytest.mark.parametrize("stream", [False, True])
def test_row_30_the_upstream_is_let_go_when_its_client_leaves(tmp_path: Path, stream: bool) -> None:
    """Within 100 ms, and what was used by then is in the record."""
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    body = json.dumps({"model": "cheap", "messages": ASK, "stream": stream}).encode()
    took: list[float] = []
    rest = f"{RESILIENCE}store: {{path: {tmp_path / 't.db'}}}\n"
    usual = [head, event * 3, PAUSE] if stream else [PAUSE]
    with site(usual=usual, limits=QUICK, rest=rest) as here:
        for i in range(10):  # the least disturbed of ten: this machine has other things to do
            with closing(connect(here)) as client:
                client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
                until(lambda i=i: len(here.one.requests) > i)
                if stream:
                    got = b""
                    while got.count(b'"content":"a"') < 3:
                        got += client.recv(65536)
                left = time.monotonic()
            until(lambda i=i: here.one.closed > i)
            took.append(time.monotonic() - left)
            until(lambda: not here.app.admission.in_flight)
    assert sorted(took)[4] <= 0.1, took
    found = kept(tmp_path / "t.db")
    assert [(r.status, r.calls, r.cost_basis) for r in found] == [("left", 1, "estimate")] * 10
    for record in found:
        assert (record.cost_picousd or 0) > 0
        if stream:
            assert record.output_tokens == 3
            assert record.cost_picousd == (record.input_tokens + 3) * 1_000_000


def test_row_31_a_slow_reader_holds_the_upstream_back_and_is_cut_off() -> None:
    event = b"data: " + b"x" * 65_530 + b"\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    first = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    with site([head, first, *[event] * 1000], limits=QUICK) as here:
        with closing(connect(here)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            body = json.dumps({"model": "cheap", "messages": ASK, "stream": True}).encode()
            client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            until(lambda: here.guard.counts["slow_reader"] == 1)
            until(lambda: here.one.closed)
        # What was read of 64 MB is what the kernel's buffers hold.
        assert here.one.sent < 40_000_000
        assert here.ask().status_code == 200


@pytest.mark.parametrize("what", ["nothing", "head", "body", "second head"])
def test_row_32_slow_clients_are_closed(quick: Site, what: str) -> None:
    with closing(connect(quick)) as client:
        if what == "nothing":
            assert client.recv(10) == b""
            return
        if what == "body":
            client.sendall(HEAD + b"content-length: 9999\r\n\r\n")
            took = drip(client, b'{"' + b"x" * 9000, 0.05)
        else:
            if what == "second head":
                client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
                assert b"200 OK" in client.recv(65536)
            took = drip(client, HEAD + b"x-pad: " + b"x" * 9000, 0.05)
    assert 0.4 < took < 10


def test_row_32_two_thousand_slow_clients_stop_nobody() -> None:
    patient = ServerSettings(drain_s=1, notice_s=0, max_connections=5000)
    with site(limits=patient) as here:
        count = 2000 if _may_open(4500) else 200
        slow = [connect(here) for _ in range(count)]
        try:
            for client in slow:
                client.sendall(HEAD)
            replies = [here.ask() for _ in range(20)]
        finally:
            for client in slow:
                client.close()
    assert {reply.status_code for reply in replies} == {200}
    assert sorted(reply.elapsed.total_seconds() for reply in replies)[10] < 1


def _may_open(files: int) -> bool:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        return True
    return soft >= files


@pytest.mark.parametrize(
    "headers",
    [
        b"x: " + b"x" * 200_000 + b"\r\n",
        b"x: 1\r\n" * 20_000,
        b"".join(b"x%d: %s\r\n" % (i, b"x" * 1000) for i in range(120)),
    ],
)
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/messages"])
def test_heads_that_are_too_large_are_a_431(quick: Site, headers: bytes, path: bytes) -> None:
    with closing(connect(quick)) as client:
        client.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n")
        answer = _all(client)
    assert answer.startswith(b"HTTP/1.1 431 ")
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    if path.endswith(b"messages"):
        assert body["type"] == "error"
    else:
        assert body["error"]["code"] == "headers_too_large"


def _all(client: socket.socket) -> bytes:
    found = b""
    while piece := client.recv(65536):
        found += piece
    return found


@pytest.mark.parametrize(
    "head",
    [
        b"NOT HTTP\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nx y: 1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(quick: Site, head: bytes) -> None:
    with closing(connect(quick)) as client:
        client.sendall(head)
        answer = _all(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http"


@pytest.mark.parametrize("way", ["declared", "endless", "expect"])
def test_row_33_a_body_over_the_limit_is_refused_before_it_is_read(way: str) -> None:
    with (
        site(limits=QUICK, rest="max_body_bytes: 100000\n") as here,
        closing(connect(here)) as client,
    ):
        sent = 0
        if way == "endless":
            client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            client.settimeout(0.05)
            answer = b""
            end = time.monotonic() + 15
            while time.monotonic() < end:
                try:
                    sent += client.send(chunk)
                    answer += client.recv(65536)
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            assert time.monotonic() < end
        else:
            extra = b"expect: 100-continue\r\n" if way == "expect" else b""
            client.sendall(HEAD + extra + b"content-length: 1073741824\r\n\r\n")
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert here.one.requests == []
        assert here.ask().status_code == 200


def test_a_client_that_sends_all_in_spite_of_a_413_may_ask_again_on_its_connection() -> None:
    limits = ServerSettings(drain_s=1, notice_s=0)
    with (
        site(limits=limits, rest="max_body_bytes: 100000\n") as here,
        closing(connect(here)) as client,
    ):
        client.sendall(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 300_000)
        assert b"413" in client.recv(65536)
        client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        found = b""
        while ANSWER not in found:
            piece = client.recv(65536)
            assert piece, found
            found += piece


def test_connections_beyond_the_limit_are_refused_with_a_503() -> None:
    few = ServerSettings(max_connections=4, drain_s=1, notice_s=0)
    with site(limits=few) as here:
        held = [connect(here) for _ in range(4)]
        until(lambda: here.server.server_state.connections.__len__() == 4)
        with closing(connect(here)) as client:
            client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
            answer = _all(client)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        for client in held:
            client.close()
        until(lambda: not here.server.server_state.connections)
        assert here.ask().status_code == 200


def test_an_idle_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.gateway.server.KEEP_ALIVE_S", 2)
    with site(limits=QUICK) as here, closing(connect(here)) as client:
        for _ in range(2):  # an answer begins the time anew
            client.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
            answered = time.monotonic()
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            time.sleep(1)
        assert client.recv(10) == b""
        assert 1.5 <= time.monotonic() - answered <= 4
        assert not here.guard.counts["slow_head"]  # it is no client's fault


def test_a_connection_that_was_answered_before_its_body_had_come_is_closed_when_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("turnout.gateway.server.KEEP_ALIVE_S", 1)
    with (
        site(limits=QUICK, rest="max_body_bytes: 1000\n") as here,
        closing(connect(here)) as client,
    ):
        client.sendall(HEAD + b"content-length: 2000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
        client.sendall(b"x" * 2000)
        client.settimeout(5)
        assert client.recv(10) == b""
        assert not here.guard.counts["slow_rest"]


@pytest.mark.parametrize("what", ["a long body", "a second request"])
def test_a_client_whose_bytes_are_held_back_is_seen_to_leave(what: str) -> None:
    padded = json.dumps(
        {"model": "cheap", "messages": [{"role": "user", "content": "x" * 150_000}]}
    )
    body = padded.encode() if what == "a long body" else BODY
    request = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with site(usual=[PAUSE], limits=QUICK, rest=RESILIENCE) as here:
        with closing(connect(here)) as client:
            client.sendall(request if what == "a long body" else request * 2)
            until(lambda: len(here.one.requests) > 0)
            left = time.monotonic()
        until(lambda: here.one.closed > 0)
        assert time.monotonic() - left < 3  # the upstream's time is 5 seconds
