"""Any OpenAI-compatible endpoint, over one pooled HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx2

from turnout.errors import UpstreamError, UpstreamTimeoutError

_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=30.0)


class OpenAIProvider:
    """Calls `{base_url}/chat/completions`.

    Args:
        name: for errors.
        base_url: with its version path, such as `https://api.openai.com/v1`.
        api_key: sent as a bearer token; None sends no Authorization.
        timeout_s: longest wait for the next byte, or to write one.
        connect_timeout_s: longest wait for a connection.
        headers: sent with every call.
        transport: instead of the network, for tests.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        connect_timeout_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        # Identity: the body passes through as it is, so nothing here could decode it.
        self._headers = {
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "turnout",
            "content-type": "application/json",
        }
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._headers.update({k.lower(): v for k, v in (headers or {}).items()})
        self._timeout = httpx2.Timeout(timeout_s, connect=connect_timeout_s, pool=connect_timeout_s)
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = httpx2.AsyncClient(
            timeout=self._timeout,
            limits=_LIMITS,
            transport=self._transport,
            follow_redirects=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def chat(self, body: bytes, *, candidate: str, headers: Mapping[str, str]) -> OpenAIReply:
        """Send a chat request and return once status and headers are in. See `Provider.chat`."""
        if self._client is None:
            raise RuntimeError("open the provider with `async with` before calling it")
        with _as_upstream_errors(self.name, candidate):
            request = self._client.build_request(
                "POST", self._url, content=body, headers={**headers, **self._headers}
            )
            response = await self._client.send(request, stream=True)
        return OpenAIReply(response, provider=self.name, candidate=candidate)


class OpenAIReply:
    """An answer that is still arriving."""

    def __init__(self, response: httpx2.Response, *, provider: str, candidate: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
        self._response, self._provider, self._candidate = response, provider, candidate

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, not decoded."""
        with _as_upstream_errors(self._provider, self._candidate):
            async for chunk in self._response.aiter_raw():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back, or cut it where the body was not read to its end."""
        await self._response.aclose()


@contextmanager
def _as_upstream_errors(provider: str, candidate: str) -> Iterator[None]:
    """Our errors for the HTTP client's. Their text is left out: it may hold what was sent."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise UpstreamTimeoutError(
            f"provider {provider} did not answer for {candidate} in time ({type(error).__name__})",
            candidate=candidate,
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UpstreamError(
            f"provider {provider} could not be reached for {candidate}, or broke off "
            f"({type(error).__name__})",
            candidate=candidate,
        ) from error
