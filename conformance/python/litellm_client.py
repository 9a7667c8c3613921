"""LiteLLM as a client: `openai/`, `litellm_proxy/` and `anthropic/` models."""

from __future__ import annotations

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # fetch nothing at import

import json
from typing import Any

import litellm

from checking import (
    ASK,
    BAD_KEY,
    BASE,
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

messages: Any = [{"role": "user", "content": ASK}]
function = {"name": "weather", "description": "Of a city.", "parameters": WEATHER}
tools: Any = [{"type": "function", "function": function}]


def ask(model: str, said: Any = messages, prefix: str = "openai/", **more: Any) -> Any:
    base = BASE if prefix == "anthropic/" else V1
    given = {"api_key": KEY, "messages": said, **more}
    return litellm.completion(model=prefix + model, api_base=base, **given)


@check("plain usage", *MODELS)
def _(model: str) -> None:
    for prefix in ("openai/", "litellm_proxy/", "anthropic/"):
        reply = ask(model, prefix=prefix)
        assert ASK in reply.choices[0].message.content
        assert reply.usage.prompt_tokens_details.cached_tokens == CACHED_TOKENS


@check("stream", *MODELS)
def _(model: str) -> None:
    for prefix in ("openai/", "litellm_proxy/", "anthropic/"):
        chunks = list(ask(model, prefix=prefix, stream=True))
        assert ASK in "".join(c.choices[0].delta.content or "" for c in chunks)


@check("tools", *MODELS)
def _(model: str) -> None:
    first = ask(model, tools=tools).choices[0].message
    call = first.tool_calls[0]
    assert set(json.loads(call.function.arguments)) == {"city", "degrees"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
    then = [*messages, first.model_dump(exclude_none=True), result]
    assert ask(model, then, tools=tools).choices[0].message.content


@check("structured", *MODELS)
def _(model: str) -> None:
    form = {
        "type": "json_schema",
        "json_schema": {"name": "weather", "schema": WEATHER, "strict": True},
    }
    reply = ask(model, response_format=form)
    assert set(json.loads(reply.choices[0].message.content)) == {"city", "degrees"}


@check("errors")
def _(model: str) -> None:
    def say(text: str) -> Any:
        return lambda: ask(model, [{"role": "user", "content": text}], num_retries=0, max_retries=0)

    expect(litellm.RateLimitError, say(scripted(429, "slow")))
    assert calls("slow") == 1
    expect(litellm.BadRequestError, say(scripted(400, "wrong")))
    expect(litellm.InternalServerError, say(scripted(500, "broken")))


@check("embeddings", "vectors")
def _(model: str) -> None:
    found: Any = litellm.embedding(
        model=f"openai/{model}", api_base=V1, api_key=KEY, input=["one", "two"],
        encoding_format="float",
    )  # fmt: skip
    assert [len(row["embedding"]) for row in found.data] == [8, 8]


@check("refusals")
def _(model: str) -> None:
    for prefix in ("openai/", "litellm_proxy/", "anthropic/"):
        expect(litellm.NotFoundError, lambda: ask(UNKNOWN, prefix=prefix))
        expect(litellm.AuthenticationError, lambda: ask(model, prefix=prefix, api_key=BAD_KEY))
