"""Upstreams that fail, refuse, break off, are silent or say too much: as without the express way."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import pytest
from express_site import RESILIENCE, Echo, Site, body, express_site, rows, with_and_without
from fault_site import EVENTS, until

from scripted import CLOSE, PAUSE, RESET, ok

JSON = b"content-type: application/json"
FORM = b'{"model":"cheap","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}'
SMALL = FORM % 5


class Faulty(Echo):
    """Answers the fourth request with these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self.pieces = pieces

    def script(self) -> list[bytes]:
        usual = super().script()
        return self.pieces if len(self.requests) == 4 else usual


def status(code: int, content: bytes = b'{"error":{"message":"no"}}', *more: bytes) -> bytes:
    head = [b"HTTP/1.1 %d x" % code, b"content-length: %d" % len(content), JSON, *more]
    return b"\r\n".join(head) + b"\r\n\r\n" + content


def padded(size: int) -> bytes:
    return SMALL[:-1] + b" " * (size - len(SMALL)) + b"}"


def chunks(*pieces: bytes, more: bytes = b"") -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\ntransfer-encoding: chunked\r\n" + more + b"\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces), b"0\r\n\r\n"]


ANSWERS: dict[str, list[bytes]] = {
    "400": [status(400)],
    "401": [status(401)],
    "404": [status(404)],
    "413 too long": [status(413, b'{"error":{"code":"context_length_exceeded"}}')],
    "429": [status(429, b"{}", b"retry-after: 7")],
    "500": [status(500)],
    "503": [status(503, b"down", b"retry-after: 1")],
    "204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "201": [status(201, SMALL)],
    "302": [status(302, b"", b"location: http://127.0.0.1:1")],
    "closed at once": [CLOSE],
    "reset at once": [RESET],
    "closed in the head": [b"HTTP/1.1 200 OK\r\ncontent-le", CLOSE],
    "closed in the body": [ok(padded(900), JSON)[:-20], CLOSE],
    "reset in the body": [ok(padded(900), JSON)[:-20], RESET],
    "closed in a chunk": [*chunks(SMALL[:20], SMALL[20:])[:-2], CLOSE],
    "chunks": chunks(SMALL[:20], SMALL[20:]),
    "trailers": [*chunks(SMALL)[:-1], b"0\r\nx-request-id: 5\r\n\r\n"],
    "ends with the connection": [b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\n\r\n", SMALL, CLOSE],
    "connection: close": [ok(SMALL, JSON, b"connection: close"), CLOSE],
    "gzip": [ok(gzip.compress(SMALL), JSON, b"content-encoding: gzip")],
    "brotli": [ok(b"??", JSON, b"content-encoding: br")],
    "html": [ok(b"<html>", b"content-type: text/html")],
    "html as json": [ok(b"<html>", JSON)],
    "no type": [ok(SMALL)],
    "a list": [ok(b"[]", JSON)],
    "no json": [ok(b"{not json", JSON)],
    "no bytes": [ok(b"", JSON)],
    "bytes that are no utf-8": [ok(SMALL[:-1] + b',"x":"\xff"}', JSON)],
    "blanks before": [ok(b"  \n" + SMALL, JSON)],
    "events": EVENTS,
    "100 and then": [b"HTTP/1.1 100 Continue\r\n\r\n", ok(SMALL, JSON)],
    "103 in one piece": [b"HTTP/1.1 103 x\r\nlink: y\r\n\r\n" + ok(SMALL, JSON)],
    "101": [b"HTTP/1.1 101 x\r\nupgrade: y\r\nconnection: upgrade\r\n\r\n"],
    "bytes behind": [ok(SMALL, JSON) + b"more"],
    "no http": [b"SSH-2.0\r\n\r\n", CLOSE],
    "a head that is too long": [b"HTTP/1.1 200 OK\r\na: " + b"x" * 70_000 + b"\r\n\r\n", CLOSE],
    "70 KB": [ok(padded(70_000), JSON)],
    "70 KB in pieces": [ok(padded(70_000), JSON)[i : i + 9000] for i in range(0, 70_100, 9000)],
    "2 MB": [ok(padded(2 << 20), JSON)],
    "another model": [ok(SMALL.replace(b"cheap", b"other"), JSON)],
    "no usage": [ok(b'{"choices":[{"message":{"content":"twelve chars"}}]}', JSON)],
    "usage that is not believed": [ok(FORM % -5, JSON)],
    "a price of its own": [ok(SMALL.replace(b'"usage":{', b'"usage":{"cost":0.5,'), JSON)],
    "headers for the client": [
        ok(SMALL, JSON, b"x-ratelimit-limit-requests: 9", b"x-request-id: up", b"set-cookie: a=b",
           b"x-turnout-model: no", b"openai-processing-ms: 5", b"retry-after: 9")
    ],
}  # fmt: skip
FALLBACK = "resilience: {spares: 1, retries: 1, breaker_failures: 2}\n"


def told(here: Site, model: str) -> list[Any]:
    """What comes of such an answer, and of the requests after it."""
    found: list[Any] = []
    with here.client() as client:
        for n in range(3):
            assert client.ask(body(f"Hello {n}", model)).status == 200
        before = here.taken
        found.append(client.ask(body("Hello 3", model)).plain())
        assert here.taken - before == int(not here.app.entrance._traced)
        found += [client.ask(body("Hello 4", model)).plain() for _ in range(2)]
    here.settle()
    found.append(here.metrics())
    found.append([r.partition(b"\r\n\r\n")[2] for r in here.up.requests])
    health = here.app.opened().resilience.health.values()
    found.append([(h.state, h.failures, h.in_flight, h.cool_until > 0) for h in health])
    found.append(here.app.opened().resilience.further_calls)
    return found


SPARED = ("401", "413 too long", "429", "500", "reset at once", "closed in the head", "reset in the body",
          "html as json", "a list", "no bytes", "no http", "70 KB")  # fmt: skip
"""What is looked at where another candidate may answer, too."""


@pytest.mark.parametrize(
    ("fault", "rest"),
    [*((fault, RESILIENCE) for fault in ANSWERS), *((fault, FALLBACK) for fault in SPARED)],
)
def test_an_answer_comes_to_the_same(tmp_path: Path, fault: str, rest: str) -> None:
    model = "cheap" if rest == RESILIENCE else "auto"

    def play(express: bool) -> list[Any]:
        file = tmp_path / f"{express}.db"
        with express_site(file, express=express, rest=rest, up=Faulty(ANSWERS[fault])) as here:
            found = told(here, model)
        return [*found, rows(file)]

    found = with_and_without(play)
    for one, other in zip(*found, strict=True):
        assert one == other


@pytest.mark.parametrize("pieces", [[PAUSE], [ok(SMALL, JSON)[:90], PAUSE]])
def test_silence_is_waited_for_as_long(tmp_path: Path, pieces: list[bytes]) -> None:
    found = []
    for express in (True, False):
        file, since = tmp_path / f"{express}.db", time.monotonic()
        with express_site(file, express=express, up=Faulty(pieces), timeout_s=0.4) as here:
            found.append(told(here, "cheap"))
        found[-1].append(rows(file))
        assert 0.4 < time.monotonic() - since < 5
        assert found[-1][0][0] == 504
    assert found[0] == found[1]


def test_a_stream_that_nobody_asked_for_is_passed_on_as_it_comes() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    event = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
    with express_site(up=Faulty([head, event, PAUSE])) as here, here.client() as client:
        client.warm(body("Hello"), 3)
        client.send(body("Hello"))
        got = b""
        while event not in got:
            got += client.socket.recv(65536)
        assert here.taken == 2
        client.close()
        here.settle()


def test_the_first_byte_is_timed_from_the_call(tmp_path: Path) -> None:
    from fault_site import kept

    up = Faulty([ok(padded(70_000), JSON)])
    with express_site(tmp_path / "t.db", up=up) as here, here.client() as client:
        client.warm(body("Hello"), 3)
        up.delay_s = 0.1
        assert client.ask(body("Hello")).status == 200
        until(here.is_idle)
        assert here.taken == 2
    assert kept(tmp_path / "t.db")[-1].first_byte_ms >= 100
