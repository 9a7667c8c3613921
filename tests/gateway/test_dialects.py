"""Clients of every API over candidates of every API: the official SDKs, against real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
from gateway_fakes import (
    CLIENT_KEY,
    PROVIDER_KEY,
    Deployment,
    LengthRouter,
    deployment,
    serving,
)

from scripted import Scripted, chunked
from turnout.engine import Engine
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_pool
from turnout.providers.fake import Fault
from turnout.settings import parse_settings
from turnout.wire.sse import event, read_events

ASK: Any = [{"role": "user", "content": "Hello there"}]
SAID = "[simulated answer of cheap-model] You said: Hello there"


def test_responses_over_a_chat_candidate(client: openai.OpenAI, gateway: Deployment) -> None:
    reply = client.responses.create(model="cheap", input="Hello there", max_output_tokens=99)
    assert reply.output_text == SAID
    assert reply.usage is not None
    assert reply.usage.output_tokens > 0
    sent = gateway.upstream.seen[-1]
    assert sent.path == "/v1/chat/completions"
    assert sent.json["messages"] == ASK
    assert "input" not in sent.json


def test_a_responses_stream_over_a_chat_candidate(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="cheap", input="Hello there", stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].response.output_text == SAID


def test_a_tool_call_comes_back_in_the_clients_form(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    reply = client.responses.create(model="cheap", input="Look it up", tools=[tool])
    assert [(item.type, getattr(item, "name", "")) for item in reply.output] == [
        ("function_call", "look")
    ]


@pytest.fixture
def claude(gateway: Deployment) -> Iterator[Any]:
    anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK")
    with anthropic.Anthropic(
        base_url=gateway.url, api_key=CLIENT_KEY, max_retries=0, timeout=10
    ) as made:
        yield made


def test_messages_over_a_chat_candidate(claude: Any, gateway: Deployment) -> None:
    reply = claude.messages.create(model="cheap", max_tokens=50, system="Be kind.", messages=ASK)
    assert reply.content[0].text == SAID
    assert reply.stop_reason == "end_turn"
    assert reply.usage.output_tokens > 0
    sent = gateway.upstream.seen[-1]
    assert sent.json["messages"][0]["content"] == "Be kind."
    assert CLIENT_KEY not in str(sent.headers)
    assert sent.headers["authorization"] == f"Bearer {PROVIDER_KEY}"


def test_a_messages_stream_over_a_chat_candidate(claude: Any) -> None:
    with claude.messages.stream(model="auto", max_tokens=50, messages=ASK) as stream:
        assert "".join(stream.text_stream) == SAID
        last = stream.get_final_message()
    assert last.stop_reason == "end_turn"
    assert last.usage.output_tokens > 0


def test_tokens_are_counted_and_models_listed_for_anthropics_sdk(claude: Any) -> None:
    assert claude.messages.count_tokens(model="cheap", messages=ASK).input_tokens > 0
    listed = claude.models.list().data
    assert {"auto", "strong", "cheap"} <= {m.id for m in listed}
    assert claude.models.retrieve("cheap").type == "model"


def test_errors_come_in_the_clients_form(claude: Any, gateway: Deployment) -> None:
    anthropic = pytest.importorskip("anthropic")
    with pytest.raises(anthropic.NotFoundError, match="no model named"):
        claude.messages.create(model="nowhere", max_tokens=5, messages=ASK)
    gateway.upstream.script.append(
        Fault(status=429, body=b'{"error": {"message": "slow down", "code": "rate"}}')
    )
    with pytest.raises(anthropic.RateLimitError, match="slow down") as caught:
        claude.messages.create(model="cheap", max_tokens=5, messages=ASK)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert caught.value.request_id


def test_what_cannot_be_said_is_refused_by_name(http: httpx2.Client, gateway: Deployment) -> None:
    body = {"model": "cheap", "max_tokens": 5, "messages": ASK, "container": "c_1"}
    reply = http.post("/v1/messages", json=body)
    assert reply.status_code == 400
    assert reply.json()["type"] == "error"
    assert "container" in reply.json()["error"]["message"]
    assert gateway.upstream.seen == []


def test_usage_that_was_not_asked_for_is_read_and_hidden(
    client: openai.OpenAI, gateway: Deployment
) -> None:
    chunks = list(client.chat.completions.create(model="cheap", messages=ASK, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert gateway.upstream.seen[-1].json["stream_options"] == {"include_usage": True}
    asked = list(
        client.chat.completions.create(
            model="cheap", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    assert asked[-1].usage is not None


def test_a_provider_that_refuses_the_field_is_not_asked_for_usage() -> None:
    with deployment() as running:
        settings = running.app.settings
        up = settings.providers["up"].model_copy(update={"stream_usage": False})
        providers = {**settings.providers, "up": up}
        plain = settings.model_copy(update={"providers": providers})
        with serving(create_app(plain, engine=running.engine)) as url, httpx2.Client() as http:
            body = {"model": "cheap", "messages": ASK, "stream": True}
            reply = http.post(f"{url}/v1/chat/completions", json=body)
        assert reply.content.endswith(b"data: [DONE]\n\n")
        assert "stream_options" not in running.upstream.seen[-1].json


MESSAGES_CONFIG = """
providers:
  claude: {{base_url: "{url}/v1", api: messages, api_key: {key}}}
candidates:
  - {{name: opus, provider: claude, price: {{input_usd: 5, output_usd: 25}}}}
  - {{name: haiku, provider: claude, price: {{input_usd: 1, output_usd: 5}}}}
routers: {{length: {{}}}}
auto: router-length-0.5
resilience: {{retries: 0}}
"""
USAGE = {"input_tokens": 3, "output_tokens": 2}
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "haiku-4",
    "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn",
    "stop_sequence": None, "usage": USAGE,
}  # fmt: skip


@contextmanager
def claude_site(*scripts: list[bytes]) -> Iterator[tuple[str, Scripted]]:
    """A gateway over an upstream that speaks Messages, scripted."""
    upstream, ready, done = Scripted(*scripts), threading.Event(), threading.Event()

    def serve() -> None:
        async def run() -> None:
            async with upstream:
                ready.set()
                while not done.is_set():
                    await asyncio.sleep(0.01)

        asyncio.run(run())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait(5)
    settings = parse_settings(MESSAGES_CONFIG.format(url=upstream.url, key=PROVIDER_KEY), {})
    engine = Engine(build_pool(settings), {"length": LengthRouter()})
    with serving(create_app(settings, engine=engine)) as url:
        yield url, upstream
    done.set()
    thread.join(5)


def whole(body: Any, status: bytes = b"200 OK") -> list[bytes]:
    content = json.dumps(body).encode()
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return [head % (status, len(content)) + content]


def streamed() -> list[bytes]:
    start = {**MESSAGE, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
        {"type": "message_stop"},
    ]
    pieces = chunked(*(event(e, e["type"]) for e in events))
    pieces[0] = pieces[0].replace(b"200 OK\r\n", b"200 OK\r\ncontent-type: text/event-stream\r\n")
    return pieces


def chat(url: str, **body: Any) -> httpx2.Response:
    with httpx2.Client(timeout=10) as http:
        sent = {"model": "haiku", "messages": ASK, **body}
        return http.post(f"{url}/v1/chat/completions", json=sent)


def test_chat_over_a_messages_candidate() -> None:
    with claude_site(whole(MESSAGE)) as (url, upstream):
        reply = chat(url)
    assert reply.json()["choices"][0]["message"]["content"] == "Hi."
    assert reply.json()["usage"]["total_tokens"] == 5
    head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages HTTP/1.1")
    assert b"x-api-key: " + PROVIDER_KEY.encode() in head
    assert b"anthropic-version: 2023-06-01" in head
    assert b"authorization" not in head
    assert json.loads(body)["max_tokens"] > 0


def test_a_chat_stream_over_a_messages_candidate() -> None:
    with claude_site(streamed()) as (url, _):
        events = read_events(chat(url, stream=True).content)
    assert events[-1] == "[DONE]"
    deltas = [json.loads(e)["choices"][0]["delta"] for e in events[:-1]]
    assert "".join(d.get("content") or "" for d in deltas) == "Hi."


def test_messages_over_a_messages_candidate_pass_untouched() -> None:
    odd = {**MESSAGE, "a_new_field": {"kept": [1]}}
    with claude_site(whole(odd), streamed()) as (url, upstream), httpx2.Client(timeout=10) as http:
        sent = {"model": "haiku", "max_tokens": 5, "messages": ASK, "another_new_field": 1}
        headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "b"}
        reply = http.post(f"{url}/v1/messages", json=sent, headers=headers)
        stream = http.post(f"{url}/v1/messages", json={**sent, "stream": True})
    assert reply.json() == odd
    assert b"another_new_field" in upstream.requests[0]
    assert b"anthropic-version: 2026-10-21" in upstream.requests[0]
    assert b"anthropic-beta: b" in upstream.requests[0]
    plain = b"".join(piece.partition(b"\r\n")[2][:-2] for piece in streamed()[1:-1])
    assert stream.content == plain


def test_an_error_of_anthropics_comes_as_openais() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with claude_site(whole(error, b"529 Overloaded")) as (url, _):
        reply = chat(url)
    assert reply.status_code == 503
    assert reply.json()["error"]["message"] == "Overloaded"


def test_an_error_event_before_any_content_is_a_failure_not_an_answer() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    pieces = chunked(event(error, "error"))
    pieces[0] = pieces[0].replace(b"200 OK\r\n", b"200 OK\r\ncontent-type: text/event-stream\r\n")
    with claude_site(pieces, [*pieces]) as (url, _), httpx2.Client(timeout=10) as http:
        sent = {"model": "haiku", "max_tokens": 5, "messages": ASK, "stream": True}
        own = http.post(f"{url}/v1/messages", json=sent)
        other = chat(url, stream=True)
    assert own.status_code == 529
    assert own.json() == error
    assert other.status_code == 503
    assert other.json()["error"]["message"] == "Overloaded"
