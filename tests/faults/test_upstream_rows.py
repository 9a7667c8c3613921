"""Rows 1 to 29: what upstreams do, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import logging
import os
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fault_site import (
    ANSWER,
    ASK,
    GOOD,
    JSON_FORM,
    RESILIENCE,
    Site,
    Upstream,
    kept,
    site,
    until,
)

from scripted import CLOSE, PAUSE, RESET, ok
from turnout.execution.health import Health
from turnout.store.record import Record
from turnout.wire.sse import read_events

log = logging.getLogger(__name__)

REPLICA = ", replicas: [{provider: two}]"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
FIRST = b'data: {"model":"m","choices":[{"delta":{"content":"Gr\xc3\xbc\xc3\x9fe"}}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def fails(status: int, body: bytes = b"no", *headers: bytes) -> list[bytes]:
    lines = [b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *headers]
    return [b"\r\n".join(lines) + b"\r\n\r\n" + body]


def streamed(here: Site, **more: Any) -> bytes:
    return here.ask(stream=True, **more).content


@contextmanager
def recorded(
    folder: Path, *scripts: list[bytes], **parts: Any
) -> Iterator[tuple[Site, list[Record]]]:
    """A site, and its records once it has stopped."""
    found: list[Record] = []
    file = folder / "turnout.db"
    with site(*scripts, rest=f"{RESILIENCE}store: {{path: {file}}}\n", **parts) as here:
        yield here, found
    found.extend(kept(file))


def test_row_01_a_refused_connection_is_answered_by_the_next_target(tmp_path: Path) -> None:
    parts = {"one_url": "http://127.0.0.1:9", "candidate": REPLICA}
    with recorded(tmp_path, **parts) as (here, found):
        start = time.monotonic()
        replies = [here.ask() for _ in range(10)]
        assert time.monotonic() - start < 10
        failures = here.app.opened().resilience.health["one/cheap"].failures
    assert {reply.status_code for reply in replies} == {200}
    assert failures == sum(reply.headers.get("x-turnout-calls") == "2" for reply in replies) > 0
    assert [record.status for record in found] == ["ok"] * 10  # one row each


def test_row_02_a_name_that_is_unknown_is_answered_by_the_next_target() -> None:
    with site(one_url="http://no-such-host.invalid:80", candidate=REPLICA) as here:
        assert {here.ask().status_code for _ in range(6)} == {200}
        assert len(here.two.requests) == 6


@contextmanager
def hole() -> Iterator[str]:
    """Where connections are never answered: a queue of them that is full."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        held = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(listener.getsockname())
            held.append(one)
        time.sleep(0.1)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for one in held:
                one.close()


def test_row_03_a_connection_that_hangs_is_given_up() -> None:
    with hole() as url, site(one_url=url, candidate=REPLICA) as here:
        replies = [here.ask() for _ in range(4)]  # each goes to one of two first
        assert {reply.status_code for reply in replies} == {200}
        assert max(reply.elapsed.total_seconds() for reply in replies) < 5
        assert len(here.two.requests) == 4


def test_row_04_a_certificate_that_is_not_trusted_is_a_502_and_nothing_is_sent() -> None:
    seen: list[bytes] = []

    class Tls(Upstream):
        async def __aenter__(self) -> Upstream:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(Path(__file__).with_name("self_signed.pem"))

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                seen.append(await reader.read())
                writer.close()

            self._server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
            self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
            return self

    with site(first=Tls()) as here:
        reply = here.ask()
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_tls"
    assert not any(seen)


def test_row_05_a_short_limit_is_answered_elsewhere_or_waited_for_or_passed_on() -> None:
    limited = fails(429, b"slow down", b"retry-after: 1")
    with site(usual=limited, candidate=REPLICA) as here:
        assert {here.ask().status_code for _ in range(4)} == {200}
    with site(limited, rest="resilience: {spares: 0, retries: 2}\n") as here:
        reply = here.ask()
        assert reply.status_code == 200
        assert reply.elapsed.total_seconds() >= 1
    with site(limited) as here:
        reply = here.ask()
        assert (reply.status_code, reply.content) == (429, b"slow down")
        assert reply.headers["retry-after"] == "1"


def test_row_06_a_long_limit_is_not_slept_through() -> None:
    rest = "resilience: {spares: 0, retries: 2}\n"
    with site(fails(429, b"later", b"retry-after: 3600"), rest=rest) as here:
        first, second = here.ask(), here.ask()
        assert (first.status_code, first.headers["retry-after"]) == (429, "3600")
        assert first.elapsed.total_seconds() < 2
        assert second.status_code == 503
        assert 3000 < int(second.headers["retry-after"]) <= 3600
        assert len(here.one.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_row_07_a_failure_is_tried_twice_more_and_then_passed_on(status: int) -> None:
    with site(usual=fails(status), rest="resilience: {spares: 0, retries: 2}\n") as here:
        reply = here.ask()
        assert (reply.status_code, reply.content) == (status, b"no")
        assert reply.headers["x-should-retry"] == "false"
        assert len(here.one.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 422])
def test_row_08_what_is_wrong_with_the_request_is_passed_on_unchanged(status: int) -> None:
    said = b'{"error": {"message": "no such thing", "odd": 1e400}}'
    rest = "resilience: {spares: 1, retries: 2}\n"
    with site(fails(status, said, JSON_FORM), rest=rest, candidate=REPLICA) as here:
        reply = next(r for r in (here.ask() for _ in range(50)) if r.status_code != 200)
        assert (reply.status_code, reply.content) == (status, said)
        assert "x-turnout-calls" not in reply.headers


TOO_LONG = fails(400, b'{"error": {"code": "context_length_exceeded"}}', JSON_FORM)


def test_row_09_a_window_that_is_too_small_leads_to_a_larger_one_once() -> None:
    rest = "resilience: {spares: 1, retries: 2}\n"
    with site(TOO_LONG, rest=rest, candidate=", context_tokens: 1000") as here:
        reply = here.ask("auto")
        assert (reply.status_code, reply.headers["x-turnout-model"]) == (200, "strong")
        assert reply.headers["x-turnout-calls"] == "2"
        here.one.scripts.append(TOO_LONG)
        assert here.ask("cheap").status_code == 400  # asked for by name: there is no other


@pytest.mark.parametrize("status", [401, 403])
def test_row_10_a_refused_key_is_not_tried_again_and_not_quoted(status: int) -> None:
    with site(fails(status, b"bad key sk-canary"), rest="resilience: {spares: 0}\n") as here:
        reply, second = here.ask(), here.ask()
        assert reply.status_code == 502
        assert reply.json()["error"]["code"] == "upstream_key_refused"
        assert "canary" not in reply.text + str(reply.headers)
        assert second.status_code == 503  # the key is out
        assert len(here.one.requests) == 1


def test_row_11_a_stream_that_does_not_begin_is_answered_elsewhere() -> None:
    waits = ", first_byte_timeout_s: 0.3"
    two = Upstream(usual=[EVENTS, FIRST, DONE, CLOSE])
    with site(usual=[PAUSE], two=two, provider=waits, candidate=REPLICA) as here:
        assert all(streamed(here) == FIRST + DONE for _ in range(4))


def test_row_12_a_stream_that_stalls_ends_in_an_error_and_is_booked(tmp_path: Path) -> None:
    waits = ", idle_timeout_s: 0.3"
    with recorded(tmp_path, [EVENTS, FIRST, FIRST, PAUSE], provider=waits) as (here, found):
        events = read_events(streamed(here))
    assert json.loads(events[-1])["error"]["code"] == "upstream_timeout"
    assert len(events) == 3
    assert (found[0].status, found[0].cost_basis) == ("partial", "estimate")
    assert found[0].output_tokens == 2


def test_row_13_a_stream_that_is_reset_ends_in_an_error(tmp_path: Path) -> None:
    with recorded(tmp_path, [EVENTS, FIRST, RESET]) as (here, found):
        body = streamed(here)
    assert DONE not in body
    assert "error" in json.loads(read_events(body)[-1])
    assert found[0].status == "partial"


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([FIRST], False),
        ([FIRST, FINISH], True),
        ([FIRST, DONE], True),
        ([FIRST, b"data: {"], False),
    ],
)
def test_row_14_a_stream_that_ends_too_early_says_so(
    tmp_path: Path, pieces: list[bytes], whole: bool
) -> None:
    with recorded(tmp_path, [EVENTS, *pieces, CLOSE]) as (here, found):
        body = streamed(here)
    assert (b'"error"' in body) is not whole
    assert found[0].status == ("ok" if whole else "partial")


def messages(here: Site) -> list[Any]:
    """A streamed answer in Anthropic's form, translated from that of a chat upstream."""
    body = {"model": "cheap", "max_tokens": 9, "stream": True, "messages": ASK}
    with httpx2.Client(timeout=20) as http:
        reply = http.post(f"{here.url}/v1/messages", json=body)
    return [json.loads(event) for event in read_events(reply.content)]


def said(events: list[Any]) -> str:
    deltas = (e["delta"] for e in events if e["type"] == "content_block_delta")
    return "".join(delta.get("text", "") for delta in deltas)


def test_row_15_one_malformed_line_is_passed_over_where_it_is_read() -> None:
    bad = b'data: {"choices": [{"delta"\n\n'
    with site([EVENTS, FIRST, bad, FIRST, FINISH, DONE, CLOSE]) as here:
        events = messages(here)
        here.one.scripts.append([EVENTS, FIRST, bad, FINISH, DONE, CLOSE])
        assert streamed(here) == FIRST + bad + FINISH + DONE  # untouched where it is not
    assert said(events) == "GrüßeGrüße"
    assert events[-1]["type"] == "message_stop"


def test_row_16_a_stream_may_be_cut_anywhere() -> None:
    body = FIRST + FINISH + DONE
    with site() as here, httpx2.Client(base_url=here.url, timeout=20) as http:
        for at in range(1, len(body)):
            here.one.scripts.append([EVENTS, body[:at], body[at:], CLOSE])
            sent = {"model": "cheap", "messages": ASK, "stream": True}
            assert http.post("/v1/chat/completions", json=sent).content == body, at


@pytest.mark.parametrize("translated", [False, True])
def test_row_17_a_line_without_end_is_not_held(translated: bool) -> None:
    pieces = [b"x" * (1 << 20)] * 16
    with site([EVENTS, FIRST, b"data: ", *pieces, CLOSE]) as here:
        if translated:
            assert messages(here)[-1]["type"] == "error"
        else:
            body = streamed(here)
            assert body.startswith(FIRST + b"data: " + b"x" * (16 << 20))
            assert b'"error"' in body[-300:]  # and it has no end


def test_row_18_marks_comments_line_ends_and_data_of_several_lines() -> None:
    odd = FIRST.replace(b"\n", b"\r\n").replace(b'"choices"', b'\r\ndata: "choices"')
    parts = [EVENTS, b"\xef\xbb\xbf: hello\r\n\r\nretry: 5\r\n", odd, FINISH, DONE, CLOSE]
    with site(parts) as here:
        events = messages(here)
        here.one.scripts.append(parts)
        assert streamed(here) == b"".join(parts[1:-1])
    assert said(events) == "Grüße"


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (b"content-type: text/html", b"<html>Sign in</html>"),
        (b"content-type: text/plain", b"upstream connect error"),
        (JSON_FORM, b'["no answer"]'),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_row_19_a_page_in_place_of_an_answer_is_a_failure(
    form: bytes, body: bytes, stream: bool
) -> None:
    with site(usual=[ok(body, form)]) as here:
        reply = here.ask(stream=stream)
        assert reply.status_code == 502
        assert reply.json()["error"]["code"] == "upstream_error"
        assert body.decode() not in reply.text
    two = Upstream(usual=GOOD)
    with site(usual=[ok(body, form)], two=two, candidate=REPLICA) as here:
        assert {here.ask().status_code for _ in range(4)} == {200}


def test_row_20_a_length_that_is_wrong_is_a_failure_and_the_connection_is_over() -> None:
    long = ok(ANSWER, JSON_FORM).replace(b"length: ", b"length: 9")
    with site([long, CLOSE], [ok(ANSWER, JSON_FORM) + b"more"]) as here:
        assert here.ask().status_code == 502
        assert here.ask().content == ANSWER
        assert here.ask().content == ANSWER
        assert here.one.connections == 3


def packed(body: bytes) -> list[bytes]:
    return [ok(gzip.compress(body), JSON_FORM, b"content-encoding: gzip")]


def test_row_21_a_compressed_answer_is_decoded_and_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = packed(b'{"x": "' + b" " * (200 << 20) + b'"}')
    with recorded(tmp_path, packed(ANSWER), bomb) as (here, found):
        reply = here.ask()
        assert (reply.content, "content-encoding" in reply.headers) == (ANSWER, False)
        before = _peak_kib()
        assert here.ask().status_code == 502
        assert _peak_kib() - before < 64 * 1024
        assert b"accept-encoding: identity" in here.one.requests[0]
    assert (found[0].input_tokens, found[0].cost_basis) == (3, "usage")


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize(
    "head", [b"x: " + b"x" * 1_000_000 + b"\r\n", b"x: 1\r\n" * 10_000], ids=["large", "many"]
)
def test_row_22_a_head_that_is_too_large_is_refused(head: bytes) -> None:
    with site([b"HTTP/1.1 200 OK\r\n" + head + b"content-length: 2\r\n\r\n{}", PAUSE]) as here:
        assert here.ask().status_code == 502
        assert here.ask().status_code == 200


def usage(value: Any) -> list[bytes]:
    body = {**json.loads(ANSWER), "usage": value}
    return [ok(json.dumps(body).encode(), JSON_FORM)]


@pytest.mark.parametrize(
    ("given", "tokens", "basis"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0), "usage"),
        ({"prompt_tokens": 7, "completion_tokens": 2}, (7, 2), "usage"),
        (None, None, "estimate"),
        ({"prompt_tokens": -1, "completion_tokens": 2}, None, "estimate"),
        ({"prompt_tokens": 10**12, "completion_tokens": 2}, None, "estimate"),
        ({"prompt_tokens": "many", "completion_tokens": 2}, None, "estimate"),
    ],
)
def test_row_23_counts_that_are_not_believed(
    tmp_path: Path, given: Any, tokens: tuple[int, int] | None, basis: str
) -> None:
    with recorded(tmp_path, usage(given)) as (here, found):
        assert here.ask().status_code == 200
    assert found[0].cost_basis == basis
    if tokens is not None:
        assert (found[0].input_tokens, found[0].output_tokens) == tokens
    else:
        assert 0 < found[0].input_tokens < 1000


def test_row_24_another_models_name_is_kept_beside_ours(tmp_path: Path) -> None:
    with recorded(tmp_path) as (here, found):
        reply = here.ask()
    assert reply.headers["x-turnout-model"] == "cheap"
    assert (found[0].candidate, found[0].upstream_model) == ("cheap", "m")


def test_row_25_usage_that_comes_twice_is_booked_once(tmp_path: Path) -> None:
    last = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    with recorded(tmp_path, [EVENTS, FIRST, FINISH, last, last, DONE, CLOSE]) as (here, found):
        streamed(here)
    assert (found[0].input_tokens, found[0].output_tokens) == (3, 2)
    assert found[0].cost_picousd == 5 * 1_000_000


@pytest.mark.parametrize("breaker", [True, False])
def test_row_27_a_storm_is_not_fed(breaker: bool) -> None:
    """The budget alone holds, where no breaker helps."""
    count = int(os.environ.get("TURNOUT_STORM", "200"))  # 12000 is a minute of 200 a second
    rest = "resilience: {spares: 0, retries: 2}\n"
    with site(usual=fails(500), rest=rest) as here, ThreadPoolExecutor(8) as pool:
        if not breaker:  # no setting turns it off where everything fails
            health = here.app.opened().resilience.health["one/cheap"]
            health.rules = replace(health.rules, consecutive=10**9, least=10**9)
        start = time.monotonic()
        statuses = list(pool.map(lambda _: here.ask().status_code, range(count)))
        took = time.monotonic() - start
        calls = len(here.one.requests)
    log.info("%d requests in %.0f s, %d calls: %.4f each", count, took, calls, calls / count)
    assert set(statuses) <= {500, 503}
    assert calls <= 1.2 * count  # 100 requests pay back what was lent
    if not breaker:
        assert set(statuses) == {500}
        assert calls > 1.1 * count, "nothing was tried again"


class Flaky(Upstream):
    """Fails every other time."""

    def script(self) -> list[bytes]:
        return GOOD if len(self.requests) % 2 else fails(500)


def test_row_28_a_target_that_fails_half_of_the_time_is_ejected_and_comes_back() -> None:
    three = ", replicas: [{provider: two}, {provider: two, model: other}]"
    rest = "resilience: {spares: 0, retries: 2, breaker_open_s: 2}\n"

    def ask(i: int) -> int:  # conversations of their own, so that none keeps to its endpoint
        return here.ask(messages=[{"role": "user", "content": f"Hello {i}"}]).status_code

    with site(first=Flaky(), candidate=three, rest=rest) as here:
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(ask, range(300)))
        assert statuses.count(200) >= 0.999 * len(statuses)
        before = len(here.one.requests)
        assert before < len(statuses) / 4, "it was never out: a third were its own"
        number = itertools.count(1000)
        until(lambda: ask(next(number)) == 200 and len(here.one.requests) > before, 30)  # a probe


def test_row_29_where_every_target_is_out_the_best_is_tried_and_the_rest_is_told_quickly() -> None:
    rest = "resilience: {spares: 0, retries: 0, breaker_failures: 3, breaker_open_s: 60}\n"
    two = Upstream(usual=fails(500))
    with site(*[fails(500)] * 3, usual=[PAUSE], two=two, candidate=REPLICA, rest=rest) as here:
        while any(h.state == "closed" for h in _healths(here)):
            assert here.ask().status_code == 500  # at both, one after the other
        one, other = _healths(here)
        best, last = (
            (here.one, here.two) if one.out_until < other.out_until else (here.two, here.one)
        )
        here.two.usual = [PAUSE]
        with httpx2.Client(base_url=here.url, timeout=20) as http, ThreadPoolExecutor(2) as pool:
            probes = []
            for target in (
                best,
                last,
            ):  # the one that is out least is tried first; each by one request
                before = len(target.requests)
                probes.append(pool.submit(here.ask))
                until(lambda t=target, n=before: len(t.requests) == n + 1)
            calls = len(here.one.requests) + len(here.two.requests)
            body = {"model": "cheap", "messages": ASK}
            p99 = []
            for _ in range(5):  # the least disturbed of five: this machine has other things to do
                replies = [http.post("/v1/chat/completions", json=body) for _ in range(100)]
                assert {reply.status_code for reply in replies} == {503}
                assert all(0 < int(reply.headers["retry-after"]) <= 60 for reply in replies)
                p99.append(sorted(reply.elapsed.total_seconds() for reply in replies)[98])
                assert len(here.one.requests) + len(here.two.requests) == calls
            assert not any(probe.done() for probe in probes)
            for probe in probes:
                probe.result(20)
        assert min(p99) < 0.05


def _healths(here: Site) -> tuple[Health, Health]:
    health = here.app.opened().resilience.health
    return health["one/cheap"], health["two/cheap"]
