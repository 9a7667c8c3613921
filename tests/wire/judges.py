"""The SDKs of the two providers as judges of our bytes: what they read from a scripted upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pydantic
import pytest

from turnout.wire.dialects import Dialect

Handler = Callable[[httpx2.Request], httpx2.Response]


def replying(
    body: bytes | Iterator[bytes], *, status: int = 200, stream: bool = False
) -> httpx2.MockTransport:
    """A transport that gives one answer."""
    form = "text/event-stream; charset=utf-8" if stream else "application/json"
    headers = {"content-type": form, "x-should-retry": "false"}
    return httpx2.MockTransport(lambda _: httpx2.Response(status, headers=headers, content=body))


def openai_client(transport: httpx2.BaseTransport) -> openai.OpenAI:
    """OpenAI's SDK over a transport."""
    client = httpx2.Client(transport=transport)
    return openai.OpenAI(api_key="k", base_url="http://up/v1", http_client=client, max_retries=0)


def anthropic_client(transport: httpx2.BaseTransport) -> Any:
    """Anthropic's SDK over a transport; skips where it is not installed."""
    anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")
    client = httpx2.Client(transport=transport)
    return anthropic.Anthropic(api_key="k", base_url="http://up", http_client=client, max_retries=0)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Bytes in pieces of a size."""
    return (data[i : i + size] for i in range(0, len(data), size))


def request_type(dialect: Dialect) -> pydantic.TypeAdapter[Any]:
    """What the dialect's own SDK takes as a request; skips where it is not installed."""
    module, name = {
        "chat": ("openai.types.chat.completion_create_params", "CompletionCreateParams"),
        "responses": ("openai.types.responses.response_create_params", "ResponseCreateParams"),
        "messages": ("anthropic.types.message_create_params", "MessageCreateParams"),
    }[dialect]
    found = pytest.importorskip(module, reason=f"{module} is not installed")
    return pydantic.TypeAdapter(getattr(found, f"{name}NonStreaming"))


def consumed(value: Any) -> Any:
    """A validated value in full: pydantic reads an `Iterable` only as it is walked."""
    if isinstance(value, dict):
        return {name: consumed(item) for name, item in value.items()}
    if isinstance(value, str | bytes | int | float | None):
        return value
    return [consumed(item) for item in value]


def event_type(dialect: Dialect) -> pydantic.TypeAdapter[Any]:
    """What the dialect's own SDK says that an event of a stream is."""
    module, name = {
        "chat": ("openai.types.chat", "ChatCompletionChunk"),
        "responses": ("openai.types.responses", "ResponseStreamEvent"),
        "messages": ("anthropic.types", "RawMessageStreamEvent"),
    }[dialect]
    found = pytest.importorskip(module, reason=f"{module} is not installed")
    return pydantic.TypeAdapter(getattr(found, name))


def reply_type(dialect: Dialect) -> pydantic.TypeAdapter[Any]:
    """What the dialect's own SDK says that a whole reply is."""
    module, name = {
        "chat": ("openai.types.chat", "ChatCompletion"),
        "responses": ("openai.types.responses", "Response"),
        "messages": ("anthropic.types", "Message"),
    }[dialect]
    found = pytest.importorskip(module, reason=f"{module} is not installed")
    return pydantic.TypeAdapter(getattr(found, name))
