"""`langchain-openai`: Chat Completions, Responses and embeddings."""

from __future__ import annotations

from typing import Any

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from checking import (
    ASK,
    BAD_KEY,
    CACHED_TOKENS,
    KEY,
    MODELS,
    UNKNOWN,
    V1,
    WEATHER,
    calls,
    check,
    expect,
    scripted,
)


def chat(model: str, key: str = KEY, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=V1, api_key=key, **more)


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
    chunks = list(chat(model, stream_usage=True).stream(ASK))
    assert ASK in "".join(c.text for c in chunks)
    assert any(c.usage_metadata for c in chunks)
    assert ASK in "".join(c.text for c in chat(model).stream(ASK))  # does not ask for usage


@check("responses plain", *MODELS)
def _(model: str) -> None:
    assert ASK in chat(model, use_responses_api=True).invoke(ASK).text
    assert ASK in "".join(c.text for c in chat(model, use_responses_api=True).stream(ASK))


@check("tools", *MODELS)
def _(model: str) -> None:
    for more in ({}, {"use_responses_api": True}):
        bound = chat(model, **more).bind_tools([weather])
        said: list[Any] = [HumanMessage(ASK)]
        first = bound.invoke(said)
        call = first.tool_calls[0]
        said += [first, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
        assert bound.invoke(said).text


@check("structured", *MODELS)
def _(model: str) -> None:
    form = {"title": "weather", "description": "Of a city.", **WEATHER}
    for method in ("json_schema", "function_calling"):
        found: Any = chat(model).with_structured_output(form, method=method).invoke(ASK)
        assert set(found) == {"city", "degrees"}


@check("errors")
def _(model: str) -> None:
    expect(openai.RateLimitError, lambda: chat(model).invoke(scripted(429, "slow")))
    assert calls("slow") == 3
    expect(openai.BadRequestError, lambda: chat(model).invoke(scripted(400, "wrong")))


@check("embeddings", "vectors")
def _(model: str) -> None:
    made = OpenAIEmbeddings(model=model, base_url=V1, api_key=KEY, check_embedding_ctx_length=False)
    assert [len(v) for v in made.embed_documents(["one", "two"])] == [8, 8]


@check("refusals")
def _(model: str) -> None:
    for more in ({}, {"use_responses_api": True}):
        expect(openai.NotFoundError, lambda: chat(UNKNOWN, **more).invoke(ASK))
        expect(openai.AuthenticationError, lambda: chat(model, BAD_KEY, **more).invoke(ASK))
