"""The HTTP client against real sockets: what it sends, what it believes, and when it gives up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted import CLOSE, PAUSE, RESET, WAIT, Scripted, against, chunked, ok
from turnout.errors import InputError
from turnout.providers.http.connection import HIGH_WATER, MOST_HEAD_BYTES, Waits
from turnout.providers.http.errors import (
    BrokenError,
    ConnectError,
    HttpError,
    ProtocolError,
    SilentError,
    TlsError,
)
from turnout.providers.http.pool import Origin

HASTY = Waits(connect_s=5.0, first_byte_s=0.2, idle_s=0.2)
"""For upstreams that fall silent on purpose; a busy machine pauses for longer."""
PATIENT = Waits(connect_s=9.0, first_byte_s=9.0, idle_s=9.0)


async def exchange(origin: Origin, waits: Waits = PATIENT) -> tuple[int, dict[str, str], bytes]:
    reply = await origin.post("/x", {"x-a": "1"}, b"{}", waits)
    body = b"".join([piece async for piece in reply.chunks()])
    return reply.status, reply.headers, body


def fetch(*scripts: list[bytes], times: int = 1, waits: Waits = PATIENT) -> Any:
    """What the last of some exchanges gave, and the upstream."""
    upstream = Scripted(*scripts)

    async def work(up: Scripted) -> Any:
        origin = Origin(f"{up.url}/v1/")
        try:
            for _ in range(times):
                found = await exchange(origin, waits)
            return found
        finally:
            origin.close()

    return against(upstream, work), upstream


def failure(*script: bytes) -> HttpError:
    with pytest.raises(HttpError) as caught:
        fetch(list(script), waits=HASTY if PAUSE in script else PATIENT)
    return caught.value


def test_a_request_as_it_goes_out() -> None:
    found, upstream = fetch([ok(b"hello", b"X-B: 2", b"x-b: 3")])
    assert found == (200, {"content-length": "5", "x-b": "2, 3"}, b"hello")
    head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
    assert body == b"{}"
    port = upstream.url.rpartition(":")[2].encode()
    assert head.split(b"\r\n") == [
        b"POST /v1/x HTTP/1.1", b"host: 127.0.0.1:" + port, b"x-a: 1", b"content-length: 2",
    ]  # fmt: skip


def test_a_header_cannot_smuggle_another() -> None:
    head = Origin("http://up").head("/x", {"a": "1\r\nevil: 2\x00"}, 0)
    assert head == b"POST /x HTTP/1.1\r\nhost: up\r\na: 1evil: 2\r\ncontent-length: 0\r\n\r\n"


@given(cut=st.integers(0, 10_000), body=st.binary(max_size=200))
def test_an_answer_may_come_in_any_pieces(cut: int, body: bytes) -> None:
    whole = ok(body)
    at = cut % (len(whole) + 1)
    pieces = [piece for piece in (whole[:at], whole[at:]) if piece]
    assert fetch(pieces)[0][2] == body


def test_chunks_come_as_they_are_sent() -> None:
    async def work(up: Scripted) -> list[bytes]:
        reply = await Origin(up.url).post("/", {}, b"", PATIENT)
        return [piece async for piece in reply.chunks()]

    assert against(Scripted(chunked(b"a", b"bc", b"d")), work) == [b"a", b"bc", b"d"]


def handed(
    script: list[bytes], take: Callable[[bytes], bool], times: int = 1
) -> list[bytes | None]:
    """What handing a body on gave, so many times; the last one closes it."""

    async def work(up: Scripted) -> list[bytes | None]:
        origin = Origin(up.url)
        reply = await origin.post("/", {}, b"", HASTY if PAUSE in script else PATIENT)
        found = [await reply.hand(take) for _ in range(times)]
        assert not origin._busy or found[-1] is None
        return found

    return against(Scripted(script), work)


def test_a_body_is_handed_on_as_it_comes() -> None:
    got: list[bytes] = []

    def take(piece: bytes) -> bool:
        got.append(piece)
        return True

    last, again = handed(chunked(b"a", b"bc", b"d"), take, times=2)
    assert b"".join([*got, last or b""]) == b"abcd"
    assert again == b""


def test_what_comes_with_the_end_of_a_body_is_given_back() -> None:
    """So that its taker can send it on together with the end."""
    got: list[bytes] = []

    def take(piece: bytes) -> bool:
        got.append(piece)
        return True

    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    (last,) = handed([head, b"1\r\na\r\n", b"2\r\nbc\r\n0\r\n\r\n"], take)
    assert last is not None
    assert last.endswith(b"bc")
    assert b"".join([*got, last]) == b"abc"


def test_who_is_handed_a_body_may_have_enough_for_now() -> None:
    got: list[bytes] = []

    def take(piece: bytes) -> bool:
        got.append(piece)
        return len(got) > 2

    found = handed(chunked(b"a", b"bc", b"d"), take, times=4)
    assert found[0] is None
    assert b"".join([*got, *filter(None, found)]) == b"abcd"


def test_what_came_before_what_is_not_http_is_handed_on() -> None:
    got: list[bytes] = []

    def take(piece: bytes) -> bool:
        got.append(piece)
        return True

    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    with pytest.raises(ProtocolError):
        handed([head, b"1\r\na\r\nno chunk\r\n"], take)
    assert got == [b"a"]


def test_an_upstream_has_its_time_again_when_a_slow_reader_goes_on() -> None:
    """While bytes wait for their reader the socket is not read: so the silence is not the upstream's."""
    first, last = b"a" * 200_000, b"b"

    async def work(up: Scripted) -> bytes:
        reply = await Origin(up.url).post("/", {}, b"", Waits(idle_s=0.4))
        got: list[bytes] = []

        def take(piece: bytes) -> bool:
            got.append(piece)
            return len(got) > 1

        assert await reply.hand(take) is None
        await asyncio.sleep(0.7)
        asyncio.get_running_loop().call_later(0.3, up.release)
        while (rest := await reply.hand(take)) is None:
            pass
        return b"".join([*got, rest])

    whole = b"%x\r\n%s\r\n" % (len(first), first), WAIT, b"1\r\nb\r\n0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert against(Scripted([head, *whole]), work) == first + last


def test_what_a_taker_raises_ends_the_exchange() -> None:
    def take(piece: bytes) -> bool:
        raise ValueError(f"not {len(piece)} bytes")

    with pytest.raises(ValueError, match="not 1 bytes"):
        handed(chunked(b"a", b"bc"), take)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([*chunked(b"a")[:2], PAUSE], SilentError),
        ([*chunked(b"a")[:2], CLOSE], BrokenError),
        ([*chunked(b"a")[:2], b"no chunk\r\n"], ProtocolError),
    ],
)
def test_a_body_that_breaks_off_while_it_is_handed_on(
    script: list[bytes], error: type[HttpError]
) -> None:
    got: list[bytes] = []

    def take(piece: bytes) -> bool:
        got.append(piece)
        return True

    with pytest.raises(error):
        handed(script, take)
    assert got == [b"a"]


def test_a_connection_is_used_again() -> None:
    _, upstream = fetch([ok(b"a")], chunked(b"b"), [ok(b"c")], times=3)
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        [ok(b"a", b"connection: close")],
        [ok(b"a") + b"more"],
        [b"HTTP/1.0 200 OK\r\n\r\nrest", CLOSE],
        [ok(b"a"), CLOSE],
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(first: list[bytes]) -> None:
    async def work(up: Scripted) -> int:
        origin = Origin(up.url)
        await exchange(origin)
        await asyncio.sleep(0.05)  # so that what follows the answer has come
        await exchange(origin)
        return up.connections

    assert against(Scripted(first, [ok(b"b")]), work) == 2


def test_an_interim_answer_is_passed_over() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    assert fetch([interim, ok(b"a")])[0] == (200, {"content-length": "1"}, b"a")


def test_trailers_change_nothing() -> None:
    pieces = chunked(b"a")
    pieces[-1] = b"0\r\nx-late: 1\r\n\r\n"
    assert "x-late" not in fetch(pieces)[0][1]


def test_a_body_that_ends_with_the_connection_is_whole() -> None:
    assert fetch([b"HTTP/1.1 200 OK\r\n\r\nabc", CLOSE])[0][2] == b"abc"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", CLOSE], BrokenError),
        ([*chunked(b"abc")[:-1], RESET], BrokenError),
        ([b"HTTP/1.1 200 OK\r\n", CLOSE], BrokenError),
        ([CLOSE], BrokenError),
        ([RESET], BrokenError),
        ([b"<html>not http</html>\r\n\r\n"], ProtocolError),
        ([b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], ProtocolError),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"a" * 2 * MOST_HEAD_BYTES + b"\r\n\r\n"], ProtocolError),
        ([b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 10_000 + b"\r\n"], ProtocolError),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na"], ProtocolError),
    ],
)
def test_answers_that_cannot_be_believed(script: list[bytes], error: type[HttpError]) -> None:
    assert type(failure(*script)) is error


def test_an_upstream_that_says_nothing() -> None:
    found = failure(PAUSE)
    assert isinstance(found, SilentError)
    assert (found.phase, found.seconds) == ("first_byte", 0.2)


def test_an_upstream_that_falls_silent() -> None:
    found = failure(*chunked(b"a")[:2], PAUSE)
    assert isinstance(found, SilentError)
    assert found.phase == "idle"


def test_a_slow_reader_is_not_a_silent_upstream_and_holds_it_back() -> None:
    big = b"x" * (64 * HIGH_WATER)

    async def work(up: Scripted) -> tuple[int, bytes]:
        waits = Waits(connect_s=9.0, first_byte_s=9.0, idle_s=0.7)
        reply = await Origin(up.url).post("/", {}, b"", waits)
        await asyncio.sleep(1.0)  # longer than an upstream may be silent
        held = reply._connection._size if reply._connection else 0
        return held, b"".join([piece async for piece in reply.chunks()])

    held, body = against(Scripted([ok(big)]), work)
    assert body == big
    assert held < 8 * HIGH_WATER


@pytest.mark.parametrize("script", [[PAUSE], [*chunked(b"a")[:2], PAUSE]])
def test_a_caller_that_leaves_closes_the_connection_at_once(script: list[bytes]) -> None:
    async def work(up: Scripted) -> None:
        task = asyncio.create_task(exchange(Origin(up.url), Waits()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not up.closed:
            await asyncio.sleep(0.001)

    against(Scripted(script), work)


def test_an_answer_that_is_not_read_to_its_end_is_cut_off() -> None:
    async def work(up: Scripted) -> int:
        origin = Origin(up.url)
        reply = await origin.post("/", {}, b"", Waits())
        reply.close()
        reply.close()  # twice does no harm
        assert await reply.chunk() is None
        await exchange(origin)
        return up.connections

    assert against(Scripted([*chunked(b"a")[:2], PAUSE], [ok(b"b")]), work) == 2


@pytest.mark.parametrize(
    ("url", "error"),
    [("http://127.0.0.1:9", ConnectError), ("http://no-such-host.invalid", ConnectError)],
)
def test_no_connection(url: str, error: type[HttpError]) -> None:
    with pytest.raises(error):
        asyncio.run(exchange(Origin(url), Waits()))


def test_an_upstream_without_tls_is_not_spoken_to_in_the_clear() -> None:
    async def work(up: Scripted) -> None:
        origin = Origin(up.url.replace("http://", "https://"), tls=ssl.create_default_context())
        with pytest.raises((TlsError, SilentError)):
            await exchange(origin, Waits(connect_s=1.0))
        assert up.requests == []

    against(Scripted([b"not tls\r\n\r\n"]), work)


def test_a_url_that_is_no_origin() -> None:
    with pytest.raises(InputError, match="base_url"):
        Origin("ftp://x")


def test_closing_an_origin_cuts_what_is_under_way() -> None:
    async def work(up: Scripted) -> None:
        origin = Origin(up.url)
        task = asyncio.create_task(exchange(origin, Waits()))
        await asyncio.sleep(0.1)
        origin.close()
        with pytest.raises(BrokenError):
            await task

    against(Scripted([PAUSE]), work)
