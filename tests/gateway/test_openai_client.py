"""The official client, pointed here by its base URL alone."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from gateway_fakes import CLIENT_KEY, Deployment
from pydantic import BaseModel

from turnout.providers.fake import Fault

ASK: Any = [{"role": "user", "content": "Name a colour"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
ANSWER = "[simulated answer of cheap-model] You said: Name a colour"


class Colour(BaseModel):
    name: str
    warm: bool


def test_an_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="router-length-0.5", messages=ASK)
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


def test_headers_through_the_raw_response(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK)
    assert raw.headers["x-turnout-model"] == "cheap"
    assert raw.parse().model == "cheap-model"


def test_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="auto", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert stream.response.headers["x-turnout-model"] == "cheap"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == ANSWER
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=ASK, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    call: Any = calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "[simulated]"}')
    back: Any = [
        *ASK,
        answer.choices[0].message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"},
    ]
    final = client.chat.completions.create(model="auto", messages=back, tools=TOOLS)
    assert final.choices[0].message.content == ANSWER


def test_streamed_tools(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="auto", messages=ASK, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.name == "weather"


def test_structured_output(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="auto", messages=ASK, response_format=Colour)
    assert answer.choices[0].message.parsed == Colour(name="[simulated]", warm=False)


def test_models(client: openai.OpenAI) -> None:
    assert "auto" in [model.id for model in client.models.list()]
    assert client.models.retrieve("router-length-0.123").owned_by == "turnout"
    assert client.models.retrieve("strong").owned_by == "up"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


def test_the_clients_own_retries_work(gateway: Deployment) -> None:
    headers = {"retry-after-ms": "1"}
    gateway.upstream.script.append(Fault(status=429, body=b"{}", headers=headers))
    with openai.OpenAI(base_url=gateway.url, api_key="x", max_retries=1) as client:
        answer = client.chat.completions.create(model="auto", messages=ASK)
    assert answer.choices[0].message.content == ANSWER
    assert len(gateway.upstream.seen) == 2


async def _many(gateway: Deployment, n: int) -> tuple[list[Any], str]:
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=CLIENT_KEY) as client:
        calls = (client.chat.completions.create(model="auto", messages=ASK) for _ in range(n))
        answers = await asyncio.gather(*calls)
        stream = await client.chat.completions.create(model="auto", messages=ASK, stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
        return answers, text


def test_the_asynchronous_client(gateway: Deployment) -> None:
    answers, text = asyncio.run(_many(gateway, 20))
    assert {a.choices[0].message.content for a in answers} == {ANSWER}
    assert text == ANSWER
