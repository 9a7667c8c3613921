"""The official `anthropic` package."""

from __future__ import annotations

from typing import Any

import anthropic

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

client = anthropic.Anthropic(base_url=BASE, api_key=KEY)
messages: Any = [{"role": "user", "content": ASK}]
tools: Any = [{"name": "weather", "description": "Of a city.", "input_schema": WEATHER}]


@check("plain", *MODELS)
def _(model: str) -> None:
    reply: Any = client.messages.create(model=model, max_tokens=99, messages=messages)
    assert ASK in reply.content[0].text
    assert reply.stop_reason == "end_turn"


@check("usage", *MODELS)
def _(model: str) -> None:
    usage = client.messages.create(model=model, max_tokens=99, messages=messages).usage
    assert usage.cache_read_input_tokens == CACHED_TOKENS
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


@check("stream", *MODELS)
def _(model: str) -> None:
    with client.messages.stream(model=model, max_tokens=99, messages=messages) as stream:
        assert ASK in "".join(stream.text_stream)
        assert stream.get_final_message().usage.output_tokens > 0


@check("tools", *MODELS)
def _(model: str) -> None:
    def ask(said: Any) -> Any:
        return client.messages.create(model=model, max_tokens=99, messages=said, tools=tools)

    first = ask(messages)
    assert first.stop_reason == "tool_use"
    use = next(block for block in first.content if block.type == "tool_use")
    assert set(use.input) == {"city", "degrees"}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "12 degrees"}
    then = [
        *messages,
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
        {"role": "user", "content": [result]},
    ]
    assert ask(then).content[0].text


@check("errors", "auto", "over-messages")
def _(model: str) -> None:
    def ask(text: str) -> Any:
        said: Any = [{"role": "user", "content": text}]
        return lambda: client.messages.create(model=model, max_tokens=9, messages=said)

    expect(anthropic.RateLimitError, ask(scripted(429, f"slow-{model}")))
    assert calls(f"slow-{model}") == 1 + client.max_retries
    expect(anthropic.InternalServerError, ask(scripted(500, f"broken-{model}")))
    assert calls(f"broken-{model}") == 1
    expect(anthropic.BadRequestError, ask(scripted(400, f"wrong-{model}")))
    assert calls(f"wrong-{model}") == 1


@check("refusals")
def _(model: str) -> None:
    stranger = anthropic.Anthropic(base_url=BASE, api_key=BAD_KEY)
    for api in (client, stranger):
        kind = anthropic.NotFoundError if api is client else anthropic.AuthenticationError
        said: Any = {"model": UNKNOWN, "max_tokens": 9, "messages": messages}
        found: Any = expect(kind, lambda: api.messages.create(**said))
        form = "not_found_error" if api is client else "authentication_error"
        assert found.body["error"]["type"] == form
        expect(kind, lambda: api.messages.create(**said, stream=True))
        expect(kind, lambda: api.models.retrieve(UNKNOWN))
    count = lambda: stranger.messages.count_tokens(model="auto", messages=messages)
    expect(anthropic.AuthenticationError, count)


@check("models")
def _(model: str) -> None:
    assert {"auto", *MODELS} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("auto").id == "auto"


@check("count_tokens")
def _(model: str) -> None:
    assert client.messages.count_tokens(model=model, messages=messages).input_tokens > 0
