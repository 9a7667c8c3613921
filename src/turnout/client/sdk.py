"""OpenAI's SDK as the client's transport: imported on first call, one SDK client per upstream.

The SDK costs more than a second of import and reads keys from the environment, so that building a
`Controller` and routing with it touch neither.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from turnout.client.replies import attach
from turnout.client.settings import Upstream
from turnout.errors import RequestError, SettingsError, UpstreamError
from turnout.types import Decision
from turnout.wire.reading import Kind

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI, OpenAI

NO_KEY = "no-key"
"""Sent to a model's own base URL where no key was given: local servers ask for none."""


class Clients:
    """The SDK clients of a controller, made when first needed. Safe to share between threads.

    Asynchronous clients belong to an event loop: their connections cannot outlive it, so that
    several `asyncio.run` with one controller work.

    Args:
        timeout: seconds or an `httpx2.Timeout`; None keeps the SDK's default.
        max_retries: the SDK's retries of one call; None keeps the SDK's default.
        http_client: makes the HTTP client of one upstream.
        async_http_client: the same for asynchronous calls.
    """

    def __init__(
        self,
        *,
        timeout: float | httpx2.Timeout | None = None,
        max_retries: int | None = None,
        http_client: Callable[[], httpx2.Client] | None = None,
        async_http_client: Callable[[], httpx2.AsyncClient] | None = None,
    ) -> None:
        given = {"timeout": timeout, "max_retries": max_retries}
        self._options = {k: v for k, v in given.items() if v is not None}
        self._http_client, self._async_http_client = http_client, async_http_client
        self._lock = threading.Lock()
        self._blocking: dict[Upstream, OpenAI] = {}
        self._awaited: dict[asyncio.AbstractEventLoop, dict[Upstream, AsyncOpenAI]] = {}

    def blocking(self, upstream: Upstream, candidate: str) -> OpenAI:
        """The SDK client of an upstream.

        Raises:
            SettingsError: no key for `candidate`.
        """
        import openai

        with self._lock:
            if upstream not in self._blocking:
                http_client = self._http_client() if self._http_client else None
                with _naming_the_missing_key(candidate):
                    self._blocking[upstream] = openai.OpenAI(
                        **self._arguments(upstream), http_client=http_client
                    )
            return self._blocking[upstream]

    def awaited(self, upstream: Upstream, candidate: str) -> AsyncOpenAI:
        """The asynchronous SDK client of an upstream for the running event loop.

        Raises:
            SettingsError: no key for `candidate`.
        """
        import openai

        loop = asyncio.get_running_loop()
        with self._lock:
            for ended in [known for known in self._awaited if known.is_closed()]:
                del self._awaited[ended]
            clients = self._awaited.setdefault(loop, {})
            if upstream not in clients:
                # Given a client, the SDK does not close it from `__del__`, in whichever loop runs.
                make = self._async_http_client or openai.DefaultAsyncHttpxClient
                with _naming_the_missing_key(candidate):
                    clients[upstream] = openai.AsyncOpenAI(
                        **self._arguments(upstream), http_client=make()
                    )
            return clients[upstream]

    def close(self) -> None:
        """Close the blocking clients. A later call makes new ones."""
        with self._lock:
            clients, self._blocking = self._blocking, {}
        for client in clients.values():
            client.close()

    async def aclose(self) -> None:
        """Close the blocking clients, and the asynchronous ones of the running loop."""
        self.close()
        with self._lock:
            clients = self._awaited.pop(asyncio.get_running_loop(), {})
        for client in clients.values():
            await client.close()

    def _arguments(self, upstream: Upstream) -> dict[str, Any]:
        return {
            **self._options,
            "base_url": upstream.base_url,
            "api_key": upstream.api_key or (NO_KEY if upstream.own_url else None),
            "default_headers": dict(upstream.headers) or None,
        }


@contextmanager
def as_upstream_error(candidate: str) -> Generator[None]:
    """The SDK's errors as `UpstreamError`, which the loop of attempts understands."""
    import openai

    try:
        yield
    except openai.APIError as error:
        response = error.response if isinstance(error, openai.APIStatusError) else None
        raise UpstreamError(
            f"{candidate}: {error}",
            candidate=candidate,
            status=response.status_code if response is not None else None,
            body=response.content if response is not None else b"",
            headers=dict(response.headers) if response is not None else None,
        ) from error


@contextmanager
def as_sdk_error(decision: Decision) -> Generator[None]:
    """`UpstreamError` as the SDK's own error again, the object that it raised, and its decision."""
    try:
        yield
    except UpstreamError as error:
        original = error.__cause__
        if original is None:
            raise
        for note in getattr(error, "__notes__", ()):
            original.add_note(note)
        error.__cause__ = None  # else the two would hold each other, and the response, alive
        raise attach(original, decision) from original.__cause__
    except UnicodeEncodeError:
        raise RequestError(
            "messages", Kind("a lone surrogate"), "UTF-8 cannot hold it; replace or remove it"
        ) from None


@contextmanager
def _naming_the_missing_key(candidate: str) -> Generator[None]:
    import openai

    try:
        yield
    except openai.OpenAIError as error:
        remedy = (
            "no key is known for this model: set OPENAI_API_KEY, or give api_key=, or "
            f"models={{{candidate!r}: {{'base_url': ..., 'api_key': ...}}}}"
        )
        raise SettingsError("key of model", candidate, remedy) from error
