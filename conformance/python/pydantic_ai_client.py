"""Pydantic AI: its chat, Responses and Anthropic models, each as an agent with a tool."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from checking import (
    ASK,
    BAD_KEY,
    BASE,
    CACHED_TOKENS,
    KEY,
    MODELS,
    UNKNOWN,
    V1,
    calls,
    check,
    expect,
    scripted,
)


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


def each(model: str, key: str = KEY) -> list[Any]:
    """A model of each API."""
    return [
        OpenAIChatModel(model, provider=OpenAIProvider(base_url=V1, api_key=key)),
        OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=V1, api_key=key)),
        AnthropicModel(model, provider=AnthropicProvider(base_url=BASE, api_key=key)),
    ]


@check("plain usage", *MODELS)
def _(model: str) -> None:
    for made in each(model):
        found = Agent(made).run_sync(ASK)
        assert ASK in found.output
        usage = found.usage() if callable(found.usage) else found.usage
        assert usage.cache_read_tokens == CACHED_TOKENS, made


@check("stream", *MODELS)
def _(model: str) -> None:
    async def run(made: Any) -> str:
        async with Agent(made).run_stream(ASK) as stream:
            return await stream.get_output()

    for made in each(model):
        assert ASK in asyncio.run(run(made))


@check("tools", *MODELS)
def _(model: str) -> None:
    for made in each(model):
        agent, seen = Agent(made), []

        @agent.tool_plain
        def weather(city: str, degrees: int) -> str:
            """Tell the weather of a city."""
            seen.append(city)
            return f"{degrees} degrees in {city}"

        assert agent.run_sync(ASK).output
        assert len(seen) == 1


@check("structured", *MODELS)
def _(model: str) -> None:
    for made in each(model):
        assert isinstance(
            Agent(made, output_type=ToolOutput(Weather)).run_sync(ASK).output, Weather
        )
        if not isinstance(made, AnthropicModel):  # it knows no such output of this model name
            native = Agent(made, output_type=NativeOutput(Weather))
            assert isinstance(native.run_sync(ASK).output, Weather)


@check("errors")
def _(model: str) -> None:
    for i, made in enumerate(each(model)):
        agent = Agent(made)
        slow: Any = expect(ModelHTTPError, lambda: agent.run_sync(scripted(429, f"slow-{i}")))
        assert slow.status_code == 429
        assert calls(f"slow-{i}") == 3
        wrong: Any = expect(ModelHTTPError, lambda: agent.run_sync(scripted(400, f"wrong-{i}")))
        assert wrong.status_code == 400


@check("refusals")
def _(model: str) -> None:
    for name, key, status in ((UNKNOWN, KEY, 404), (model, BAD_KEY, 401)):
        for made in each(name, key):
            found: Any = expect(ModelHTTPError, lambda: Agent(made).run_sync(ASK))
            assert found.status_code == status
