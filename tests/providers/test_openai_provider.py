from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from turnout.errors import UpstreamError, UpstreamTimeoutError
from turnout.providers.openai import OpenAIProvider


class Pieces(httpx2.AsyncByteStream):
    """A body that arrives in pieces, and may break."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces, self.closed = pieces, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def aclose(self) -> None:
        self.closed = True


Handler = Callable[[httpx2.Request], httpx2.Response]


def call(handler: Handler, **options: Any) -> tuple[int, dict[str, str], list[bytes]]:
    """One call through a provider: status, headers and the chunks of the body."""

    async def run() -> tuple[int, dict[str, str], list[bytes]]:
        provider = OpenAIProvider(
            "up", "http://up/v1/", transport=httpx2.MockTransport(handler), **options
        )
        async with provider:
            reply = await provider.chat(b"{}", candidate="cheap", headers={"openai-beta": "x"})
            try:
                chunks = [chunk async for chunk in reply.chunks()]
            finally:
                await reply.aclose()
            return reply.status, dict(reply.headers), chunks

    return asyncio.run(run())


def test_bytes_go_up_and_come_back_as_they_are() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(429, headers={"Retry-After": "3"}, stream=Pieces(b"a", b"\x00\xff"))

    status, headers, chunks = call(handler, api_key="sk-1", headers={"X-Team": "blue"})
    assert (status, headers["retry-after"], chunks) == (429, "3", [b"a", b"\x00\xff"])
    request = seen[0]
    assert str(request.url) == "http://up/v1/chat/completions"
    assert request.content == b"{}"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["openai-beta"] == "x"
    assert request.headers["x-team"] == "blue"


def test_no_key_sends_no_authorization() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert "authorization" not in request.headers
        return httpx2.Response(200, stream=Pieces())

    assert call(handler)[0] == 200


def test_headers_of_the_provider_win() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["openai-beta"] == "own"
        return httpx2.Response(200, stream=Pieces())

    assert call(handler, headers={"OpenAI-Beta": "own"})[0] == 200


def test_a_redirect_is_not_followed() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"location": "http://else/"}, stream=Pieces())

    assert call(handler)[0] == 302


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx2.ConnectError("secret"), UpstreamError),
        (httpx2.ReadError("secret"), UpstreamError),
        (httpx2.RemoteProtocolError("secret"), UpstreamError),
        (httpx2.ConnectTimeout("secret"), UpstreamTimeoutError),
        (httpx2.PoolTimeout("secret"), UpstreamTimeoutError),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_failures_are_upstream_errors_without_the_clients_text(
    failure: Exception, error: type[UpstreamError], late: bool
) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if not late:
            raise failure
        return httpx2.Response(200, stream=Pieces(b"x", failure))

    with pytest.raises(error) as caught:
        call(handler)
    assert type(caught.value) is error
    assert caught.value.candidate == "cheap"
    assert caught.value.status is None
    assert type(failure).__name__ in str(caught.value)
    assert "secret" not in str(caught.value)


def test_closing_early_closes_the_upstreams_stream() -> None:
    pieces = Pieces(b"a", b"b")

    async def run() -> None:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=pieces))
        async with OpenAIProvider("up", "http://up", transport=transport) as provider:
            reply = await provider.chat(b"{}", candidate="cheap", headers={})
            await reply.aclose()

    asyncio.run(run())
    assert pieces.closed


def test_a_call_before_opening_says_so() -> None:
    provider = OpenAIProvider("up", "http://up")
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(provider.chat(b"{}", candidate="cheap", headers={}))


def test_a_key_is_not_in_the_repr() -> None:
    assert "sk-1" not in repr(OpenAIProvider("up", "http://up", api_key="sk-1"))
