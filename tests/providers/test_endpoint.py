from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scripted import CLOSE, PAUSE, RESET, Scripted, against, chunked, ok
from turnout.errors import UpstreamError, UpstreamTimeoutError
from turnout.providers.endpoint import HttpProvider
from turnout.providers.http.connection import Waits

HASTY = Waits(connect_s=5.0, first_byte_s=0.2, idle_s=0.2)
PATIENT = Waits(connect_s=9.0, first_byte_s=9.0, idle_s=9.0)
SECRET = b"secret"


def call(
    *script: bytes, stream: bool = False, **options: Any
) -> tuple[int, dict[str, str], list[bytes], bytes]:
    """One call through a provider: status, headers, the pieces of the body, what was sent."""

    async def work(up: Scripted) -> tuple[int, dict[str, str], list[bytes], bytes]:
        async with HttpProvider("up", f"{up.url}/v1/", **options) as provider:
            reply = await provider.post(
                "/chat/completions",
                b"{}",
                candidate="cheap",
                headers={"openai-beta": "x"},
                stream=stream,
            )
            chunks = []
            while (piece := await reply.chunk()) is not None:
                chunks.append(piece)
            reply.close()
            return reply.status, dict(reply.headers), chunks, up.requests[0]

    return against(Scripted(list(script)), work)


def test_bytes_go_up_and_come_back_as_they_are() -> None:
    script = chunked(b"a", b"\x00\xff")
    script[0] = b"HTTP/1.1 429 Slow down\r\nRetry-After: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    status, headers, chunks, sent = call(*script, api_key="sk-1", headers={"X-Team": "blue"})
    assert (status, headers["retry-after"], chunks) == (429, "3", [b"a", b"\x00\xff"])
    assert sent.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert sent.endswith(b"\r\n\r\n{}")
    for line in (
        b"authorization: Bearer sk-1",
        b"accept-encoding: identity",
        b"content-type: application/json",
        b"openai-beta: x",
        b"x-team: blue",
    ):
        assert b"\r\n" + line + b"\r\n" in sent


def test_no_key_sends_no_authorization() -> None:
    assert b"authorization" not in call(ok(b""))[3]


def test_headers_of_the_provider_win() -> None:
    sent = call(ok(b""), headers={"OpenAI-Beta": "own"})[3]
    assert b"openai-beta: own" in sent
    assert b"openai-beta: x" not in sent


def test_a_redirect_is_not_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: http://else/\r\ncontent-length: 0\r\n\r\n"
    assert call(moved)[0] == 302


@pytest.mark.parametrize(
    ("script", "error", "phase"),
    [
        ([SECRET, CLOSE], UpstreamError, "answer"),
        ([RESET], UpstreamError, "answer"),
        ([*chunked(SECRET)[:2], RESET], UpstreamError, "answer"),
        ([PAUSE], UpstreamTimeoutError, "first_byte"),
        ([*chunked(SECRET)[:2], PAUSE], UpstreamTimeoutError, "idle"),
    ],
)
def test_failures_are_upstream_errors_without_the_upstreams_text(
    script: list[bytes], error: type[UpstreamError], phase: str
) -> None:
    with pytest.raises(error) as caught:
        call(*script, waits=HASTY if PAUSE in script else PATIENT, stream=True)
    assert type(caught.value) is error
    assert caught.value.candidate == "cheap"
    assert caught.value.status is None
    assert caught.value.phase == phase
    assert "secret" not in str(caught.value)


def refused(url: str) -> UpstreamError:
    async def run() -> None:
        async with HttpProvider("up", url, waits=HASTY) as provider:
            await provider.post("/chat/completions", b"{}", candidate="cheap", headers={})

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(run())
    return caught.value


def test_an_upstream_that_is_not_there() -> None:
    error = refused("http://127.0.0.1:9/v1")
    assert error.phase == "connect"
    assert "provider up could not be reached for cheap" in str(error)


def test_only_streams_must_begin_soon() -> None:
    late = ok(b"late")
    with pytest.raises(UpstreamTimeoutError):
        call(PAUSE, waits=HASTY, stream=True)
    assert call(late, waits=HASTY, timeout_s=5.0)[2] == [b"late"]
    with pytest.raises(UpstreamTimeoutError, match=r"nothing for 0\.1 s"):
        call(PAUSE, timeout_s=0.1)


def test_a_call_before_opening_says_so() -> None:
    provider = HttpProvider("up", "http://up")
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(provider.post("/chat/completions", b"{}", candidate="cheap", headers={}))


def test_a_key_is_not_in_the_repr() -> None:
    assert "sk-1" not in repr(HttpProvider("up", "http://up", api_key="sk-1"))
