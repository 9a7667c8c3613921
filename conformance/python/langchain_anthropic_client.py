"""`langchain-anthropic`."""

from __future__ import annotations

from typing import Any

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

from checking import (
    ASK,
    BAD_KEY,
    BASE,
    CACHED_TOKENS,
    KEY,
    MODELS,
    UNKNOWN,
    WEATHER,
    calls,
    check,
    expect,
    scripted,
)


def chat(model: str, key: str = KEY, **more: Any) -> ChatAnthropic:
    return ChatAnthropic(model=model, base_url=BASE, api_key=key, max_tokens=99, **more)


@tool
def weather(city: str, degrees: int) -> str:
    """Tell the weather of a city."""
    return f"{degrees} degrees in {city}"


@check("plain usage", *MODELS)
def _(model: str) -> None:
    reply = chat(model).invoke(ASK)
    assert ASK in reply.text
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_token_details"]["cache_read"] == CACHED_TOKENS


@check("stream", *MODELS)
def _(model: str) -> None:
    chunks = list(chat(model).stream(ASK))
    assert ASK in "".join(c.text for c in chunks)
    assert any(c.usage_metadata for c in chunks)


@check("tools", *MODELS)
def _(model: str) -> None:
    bound = chat(model).bind_tools([weather])
    said: list[Any] = [HumanMessage(ASK)]
    first = bound.invoke(said)
    call = first.tool_calls[0]
    said += [first, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert bound.invoke(said).text


@check("structured", *MODELS)
def _(model: str) -> None:
    form = {"title": "weather", "description": "Of a city.", **WEATHER}
    found: Any = chat(model).with_structured_output(form).invoke(ASK)
    assert set(found) == {"city", "degrees"}


@check("errors")
def _(model: str) -> None:
    expect(anthropic.RateLimitError, lambda: chat(model).invoke(scripted(429, "slow")))
    assert calls("slow") == 3
    expect(anthropic.BadRequestError, lambda: chat(model).invoke(scripted(400, "wrong")))


@check("count_tokens")
def _(model: str) -> None:
    assert chat(model).get_num_tokens_from_messages([HumanMessage(ASK)]) > 0


@check("refusals")
def _(model: str) -> None:
    expect(anthropic.NotFoundError, lambda: chat(UNKNOWN).invoke(ASK))
    expect(anthropic.AuthenticationError, lambda: chat(model, BAD_KEY).invoke(ASK))
