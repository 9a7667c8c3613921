"""Clients that send in pieces, pipeline, smuggle, are slow, or leave: as at the application's door."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from express_site import Echo, Site, body, express_site, rows
from fault_site import until

from scripted import PAUSE
from turnout.gateway.http.protocol import GuardedProtocol
from turnout.settings.server import ServerSettings

QUICK = ServerSettings(
    header_timeout_s=1, body_timeout_s=1, write_timeout_s=1, drain_s=1, notice_s=0
)
ASK = body("Hello")


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    """A gateway that has no patience."""
    with express_site(limits=QUICK) as site:
        yield site


@pytest.mark.parametrize("pieces", [2, 3, 50])
def test_a_request_in_pieces(here: Site, pieces: int) -> None:
    with here.client() as client:
        client.warm(ASK)
        before, data = here.taken, client.head(len(ASK)) + ASK
        size = len(client.head(len(ASK)))
        for where in (0, size, size + 1):  # in the head, before the body, in the body
            client.socket.sendall(data[:where])
            rest = data[where:]
            for at in range(0, len(rest), -(-len(rest) // pieces)):
                time.sleep(0.002)
                client.socket.sendall(rest[at : at + -(-len(rest) // pieces)])
            assert client.read().status == 200
        # A head in pieces is read by the parser, and the next is learned anew.
        assert before < here.taken <= before + 3
        client.warm(ASK)
        before = here.taken
        assert client.ask(ASK).status == 200
        assert here.taken == before + 1
    here.settle()


def test_requests_behind_each_other_are_answered_in_order() -> None:
    up = Echo()
    with express_site(up=up) as here, here.client() as client:
        client.warm(ASK)
        up.delay_s = 0.02
        said = [body(f"number {i}") for i in range(12)]
        one = [client.head(len(b)) + b for b in said]
        for sent in (one[0], one[1], b"".join(one[2:9]), one[9] + one[10][:50]):
            client.socket.sendall(sent)
            time.sleep(0.01)
        client.socket.sendall(one[10][50:] + one[11])
        for i in range(12):
            assert f"number {i}".encode() in client.read().content
        assert 1 <= here.taken < 12
        here.settle()


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.replace(b"host: x\r\n", b"host: x\r\ncontent-length: 5\r\n"),
        lambda h: h.replace(b"host: x\r\n", b"host: x\r\ntransfer-encoding: chunked\r\n"),
        lambda h: h.replace(b"content-length: ", b"content-length: +"),
        lambda h: h.replace(b"content-length: ", b"content-length: 0x"),
        lambda h: h.replace(b"content-length: ", b"content-length : "),
        lambda h: h.replace(b"\r\n", b"\n"),
        lambda h: h.replace(b"host: x\r\n", b"host: x\n"),
        lambda h: h.replace(b"\r\n\r\n", b"\r\n \r\n\r\n"),
        lambda h: b"\r\n\r\n" + h,
        lambda h: b" " + h,
        lambda h: h.replace(b"host: x\r\n", b"host: x\0y\r\n"),
    ],
)
def test_heads_that_are_no_others_get_what_they_got(
    here: Site, change: Callable[[bytes], bytes]
) -> None:
    """What the parser says of such a head, it says behind requests of the express way too."""
    said = []
    with express_site(express=False, limits=QUICK) as plain:
        for site in (here, plain):
            with site.client() as client:
                client.warm(ASK, 3)
                before = site.taken
                client.socket.sendall(change(client.head(len(ASK))) + ASK)
                answer = client.read()
                said.append((answer.status, answer.header("x-turnout-reason")))
                assert site.taken == before
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "content",
    [
        ASK + b"x",
        b"\xef\xbb\xbf" + ASK,
        ASK.replace(b"Hello", b"\xff"),
        ASK.replace(b"Hello", b"\0"),
        ASK.replace(b"Hello", b"\\ud83d"),
        ASK.replace(b"Hello", b"\\ud83d\\ude42"),
        ASK.replace(b"Hello", b""),
        ASK.replace(b"Hello", b'a"}],"messages":[{"role":"user","content":"b'),
        ASK.replace(b"Hello", b'a","content":"b'),
        ASK[:-1] + b',"model":"strong"}',
        ASK[:-1] + b',"tools":[{"type":"function","function":{"name":"f"}}]}',
        ASK[:-1] + b',"turnout":{"explain":true}}',
        ASK[:-1] + b',"api_base":"http://x"}',
        ASK.replace(b"cheap", b"none"),
        ASK.replace(b"cheap", b"router-none-0.5"),
        b"x" * 10,
        b"[]",
    ],
)
def test_bodies_that_are_not_plain_get_what_they_got(here: Site, content: bytes) -> None:
    said: list[Any] = []
    with express_site(express=False, limits=QUICK) as plain:
        for site in (here, plain):
            with site.client() as client:
                client.warm(ASK, 3)
                before = site.taken
                said.append([client.ask(content).plain() for _ in range(3)])
                said[-1].append(site.up.requests[-1].partition(b"\r\n\r\n")[2])
                assert site.taken == before
    assert said[0] == said[1]
    here.settle()


def test_a_body_that_drips_is_cut_off_in_time(here: Site) -> None:
    with here.client() as client:
        client.warm(ASK, 3)
        cut, left = here.server.guard.counts["slow_body"], here.app.door.left["request"]
        client.socket.sendall(client.head(len(ASK)))
        with suppress(ConnectionError, TimeoutError):
            for at in range(25):
                client.socket.sendall(ASK[at : at + 1])
                time.sleep(0.1)
        assert here.server.guard.counts["slow_body"] == cut + 1
        until(lambda: here.app.door.left["request"] == left + 1)
    here.settle()


def test_a_client_that_leaves_in_its_body_is_counted(here: Site) -> None:
    left = here.app.door.left["request"]
    with here.client() as client:
        client.warm(ASK, 3)
        client.socket.sendall(client.head(len(ASK)) + ASK[:9])
    until(lambda: here.app.door.left["request"] == left + 1)
    here.settle()


class Slow(Echo):
    """Is silent, or stops in the middle of an answer, from the fourth request on."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self.pieces = list(pieces)

    def script(self) -> list[bytes]:
        usual = super().script()
        return usual if len(self.requests) < 4 else self.pieces


BEGUN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"
WHOLE = BEGUN[:-1].replace(b"900", b"200000")


@pytest.mark.parametrize("model", ["cheap", "auto"])
@pytest.mark.parametrize(
    "pieces", [[PAUSE], [BEGUN[:30], PAUSE], [BEGUN, PAUSE], [WHOLE, b"{" * 150_000, PAUSE]]
)
def test_the_upstream_is_let_go_when_its_client_leaves(
    tmp_path: Path, pieces: list[bytes], model: str
) -> None:
    found = []
    for express in (True, False):
        file, up = tmp_path / f"{express}.db", Slow(*pieces)
        with express_site(file, express=express, up=up, limits=QUICK) as here:
            with here.client() as client:
                content = body("Hello", model)
                client.warm(content, 3)
                client.send(content)
                until(lambda up=up: len(up.requests) == 4)
                time.sleep(0.02)
            until(lambda up=up: up.closed >= 1, 1)
            here.settle()
            assert here.taken == 2 * express
            metrics = here.metrics()
            found.append({k: v for k, v in metrics.items() if "clients_left" in k})
        found.append(rows(file))
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert [r["status"] for r in found[1]].count("left") == 1


def test_a_client_that_leaves_as_its_answer_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has left before anybody waits for what the application is to end."""
    there = GuardedProtocol.hand_over

    def and_gone(self: GuardedProtocol, begun: object) -> None:
        self.transport.abort()
        there(self, begun)

    monkeypatch.setattr(GuardedProtocol, "hand_over", and_gone)
    bad = b"HTTP/1.1 500 no\r\ncontent-length: 2\r\n\r\nno"
    with express_site(tmp_path / "t.db", up=Slow(bad)) as here:
        with here.client() as client:
            client.warm(ASK, 3)
            client.send(ASK)
            assert client.is_closed()
        here.settle()
        assert here.app.door.left == {"wait": 1}
    left = [r for r in rows(tmp_path / "t.db") if r["status"] != "ok"]
    assert [(r["status"], r["calls"], r["cost_basis"]) for r in left] == [("left", 1, "estimate")]


def test_the_upstream_is_let_go_though_another_request_stands_behind() -> None:
    up = Slow(PAUSE)
    with express_site(up=up) as here:
        with here.client() as client:
            client.warm(ASK, 3)
            client.send(ASK)
            until(lambda: len(up.requests) == 4)
            client.send(ASK)
            time.sleep(0.02)
        until(lambda: up.closed == 1, 1)
        here.settle()
        assert here.taken == 2


def test_for_a_client_that_does_not_read_nothing_piles_up() -> None:
    up = Slow(BEGUN[:-1].replace(b"900", b"50000") + b"{" + b" " * 49_998 + b"}")
    with express_site(up=up, limits=QUICK) as here, here.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.warm(ASK, 3)
        for n in range(4, 1000):
            client.send(ASK)
            with suppress(AssertionError):
                until(lambda n=n: len(up.requests) >= n, 0.2)
            if len(up.requests) < n:
                break
        # What was written waits in the kernel's buffers, and no other request is served meanwhile.
        assert here.taken >= n - 5 > 0
        assert here.server.guard.counts["slow_reader"] == 0
        until(lambda: here.server.guard.counts["slow_reader"] == 1)
        here.settle()
