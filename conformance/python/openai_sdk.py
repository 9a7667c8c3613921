"""The official `openai` package, majors 1, 2 and 3."""

from __future__ import annotations

import json
from typing import Any

import openai

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

client = openai.OpenAI(base_url=V1, api_key=KEY)
messages: Any = [{"role": "user", "content": ASK}]
function = {"name": "weather", "description": "Of a city.", "parameters": WEATHER}
tools: Any = [{"type": "function", "function": function}]


@check("plain", *MODELS)
def _(model: str) -> None:
    reply = client.chat.completions.create(model=model, messages=messages)
    assert ASK in (reply.choices[0].message.content or "")
    assert reply.choices[0].finish_reason == "stop"


@check("usage", *MODELS)
def _(model: str) -> None:
    usage = client.chat.completions.create(model=model, messages=messages).usage
    assert usage is not None
    assert usage.prompt_tokens > CACHED_TOKENS
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == CACHED_TOKENS


@check("stream", *MODELS)
def _(model: str) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options=options
        )
    )
    assert ASK in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens > CACHED_TOKENS
    plain = list(client.chat.completions.create(model=model, messages=messages, stream=True))
    assert all(c.usage is None for c in plain)  # asked for upstream, hidden again


@check("tools", *MODELS)
def _(model: str) -> None:
    first = client.chat.completions.create(model=model, messages=messages, tools=tools)
    said = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert said.tool_calls
    call: Any = said.tool_calls[0]
    assert set(json.loads(call.function.arguments)) == {"city", "degrees"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
    then: Any = [*messages, said.model_dump(exclude_none=True), result]
    last = client.chat.completions.create(model=model, messages=then, tools=tools)
    assert last.choices[0].message.content


@check("structured", *MODELS)
def _(model: str) -> None:
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "weather", "schema": WEATHER, "strict": True},
    }
    reply = client.chat.completions.create(model=model, messages=messages, response_format=form)
    assert set(json.loads(reply.choices[0].message.content or "")) == {"city", "degrees"}


@check("responses", *MODELS)
def _(model: str) -> None:
    reply = client.responses.create(model=model, input=ASK)
    assert ASK in reply.output_text
    assert reply.usage is not None
    assert reply.usage.input_tokens_details.cached_tokens == CACHED_TOKENS
    events: list[Any] = list(client.responses.create(model=model, input=ASK, stream=True))
    assert events[-1].type == "response.completed"
    assert ASK in events[-1].response.output_text


@check("responses tools", *MODELS)
def _(model: str) -> None:
    given: Any = [{"type": "function", "strict": True, **function}]
    first = client.responses.create(model=model, input=ASK, tools=given)
    call: Any = next(item for item in first.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"}
    items: Any = [{"role": "user", "content": ASK}, call.model_dump(exclude_none=True), result]
    assert client.responses.create(model=model, input=items, tools=given).output_text


@check("errors", "auto", "over-messages")
def _(model: str) -> None:
    def ask(text: str) -> Any:
        return lambda: client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}]
        )

    expect(openai.RateLimitError, ask(scripted(429, f"slow-{model}")))
    assert calls(f"slow-{model}") == 1 + client.max_retries
    expect(openai.InternalServerError, ask(scripted(500, f"broken-{model}")))
    assert calls(f"broken-{model}") == 1  # the gateway says that it has tried
    expect(openai.BadRequestError, ask(scripted(400, f"wrong-{model}")))
    assert calls(f"wrong-{model}") == 1


@check("refusals")
def _(model: str) -> None:
    stranger = openai.OpenAI(base_url=V1, api_key=BAD_KEY)
    for api in (client, stranger):
        kind = openai.NotFoundError if api is client else openai.AuthenticationError
        chat = lambda: api.chat.completions.create(model=UNKNOWN, messages=messages)
        found: Any = expect(kind, chat)
        assert found.code == ("model_not_found" if api is client else "invalid_api_key")
        expect(
            kind, lambda: api.chat.completions.create(model=UNKNOWN, messages=messages, stream=True)
        )
        expect(kind, lambda: api.responses.create(model=UNKNOWN, input=ASK))
        expect(kind, lambda: api.embeddings.create(model=UNKNOWN, input="one"))
        expect(kind, lambda: api.models.retrieve(UNKNOWN))
    expect(openai.AuthenticationError, lambda: list(stranger.models.list()))


@check("models")
def _(model: str) -> None:
    assert {"auto", *MODELS} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("auto").id == "auto"


@check("embeddings", "vectors")
def _(model: str) -> None:
    encoded = client.embeddings.create(model=model, input=["one", "two"])
    plain = client.embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    assert [e.embedding for e in encoded.data] == [e.embedding for e in plain.data]
    assert plain.usage.prompt_tokens > 0
