"""An upstream that speaks all three APIs, keeps a prompt cache for each model, and counts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from gateway_fakes import LengthRouter, serving

from turnout.engine import Engine
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.setup.building import build_pool
from turnout.settings import parse_settings

EASY = "Say hello"
HARD = "Prove, step by step and with every case, that this lock-free queue is linearizable."
BULK = "x" * 40_000
"""About 10,000 tokens."""


@dataclass
class CachingUpstream:
    """Answers each request whole; what it has seen of a conversation it reads from its cache."""

    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What to answer next instead."""
    calls_tools: bool = False
    _cached: dict[str, int] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        return [body["model"] for _, body in self.seen]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                event = (await receive())["type"]
                await send({"type": f"{event}.complete"})
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        self.seen.append((scope["path"], body))
        status = self.statuses.pop(0) if self.statuses else 200
        given = self._answer(scope["path"].rpartition("/")[2], body) if status == 200 else {}
        content = json.dumps(given).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, api: str, body: dict[str, Any]) -> dict[str, Any]:
        model, n = body["model"], len(self.seen)
        whole = len(json.dumps(body)) // 4
        cached = min(self._cached.get(model, 0), whole)
        self._cached[model] = whole
        said = f"answer {n}"
        if api == "completions":
            message: dict[str, Any] = {"role": "assistant", "content": said}
            if self.calls_tools:
                call = {"name": "look", "arguments": "{}"}
                message["tool_calls"] = [{"id": f"c{n}", "type": "function", "function": call}]
            usage: dict[str, Any] = {"prompt_tokens": whole, "completion_tokens": 5}
            usage |= {"total_tokens": whole + 5, "prompt_tokens_details": {"cached_tokens": cached}}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return {"id": f"c{n}", "object": "chat.completion", "created": 1, "model": model,
                    "choices": [choice], "usage": usage}  # fmt: skip
        if api == "responses":
            part = {"type": "output_text", "text": said, "annotations": []}
            item: dict[str, Any] = {"type": "message", "id": f"m{n}", "role": "assistant",
                                    "status": "completed", "content": [part]}  # fmt: skip
            if self.calls_tools:
                item = {"type": "function_call", "id": f"f{n}", "call_id": f"c{n}", "name": "look",
                        "arguments": "{}", "status": "completed"}  # fmt: skip
            usage = {"input_tokens": whole, "output_tokens": 5, "total_tokens": whole + 5,
                     "input_tokens_details": {"cached_tokens": cached},
                     "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
            return {"id": f"resp_{model}_{n}", "object": "response", "created_at": 1, "model": model,
                    "status": "completed", "output": [item], "usage": usage,
                    "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip
        block: dict[str, Any] = {"type": "text", "text": said}
        if self.calls_tools:
            block = {"type": "tool_use", "id": f"c{n}", "name": "look", "input": {}}
        usage = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": cached,
                 "cache_creation_input_tokens": whole - cached}  # fmt: skip
        return {"id": f"msg_{n}", "type": "message", "role": "assistant", "model": model,
                "content": [block], "stop_reason": "end_turn", "stop_sequence": None,
                "usage": usage}  # fmt: skip


CONFIG = """
providers:
  up: {{base_url: "{url}/v1", api: {api}}}
  other: {{base_url: "{other}/v1", api: {other_api}}}
candidates:
  - name: strong
    provider: up
    price: {{input_usd: 10, output_usd: 30, cache_read_usd: 1}}
    context_tokens: 1000000
  - name: cheap
    provider: {cheap_provider}
    price: {{input_usd: {cheap}, output_usd: {cheap}, cache_read_usd: {cheap_read}}}
    context_tokens: {cheap_window}
routers: {{length: {{}}}}
auto: router-length-0.5
conversations: {{{conversations}}}
resilience: {{spares: {spares}, retries: 0, breaker_failures: 1, breaker_open_s: 60}}
"""


@dataclass
class Site:
    """A gateway over two upstreams."""

    url: str
    up: CachingUpstream
    other: CachingUpstream
    app: Gateway

    def chat(self, *messages: Any, headers: Any = None, **body: Any) -> httpx2.Response:
        sent = {"model": "auto", "messages": list(messages), **body}
        return self.post("/v1/chat/completions", sent, headers)

    def post(self, path: str, body: Any, headers: Any = None) -> httpx2.Response:
        with httpx2.Client(timeout=20) as http:
            return http.post(f"{self.url}{path}", json=body, headers=headers)


@contextmanager
def site(
    *,
    api: str = "chat",
    other_api: str = "chat",
    cheap_provider: str = "up",
    cheap: float = 1,
    cheap_read: float = 0.1,
    cheap_window: int = 1_000_000,
    conversations: str = "",
    spares: int = 0,
    more: str = "",
) -> Iterator[Site]:
    with sites(1, api=api, other_api=other_api, cheap_provider=cheap_provider, cheap=cheap,
               cheap_read=cheap_read, cheap_window=cheap_window, conversations=conversations,
               spares=spares, more=more) as [here]:  # fmt: skip
        yield here


@contextmanager
def sites(
    count: int,
    *,
    api: str = "chat",
    other_api: str = "chat",
    cheap_provider: str = "up",
    cheap: float = 1,
    cheap_read: float = 0.1,
    cheap_window: int = 1_000_000,
    conversations: str = "",
    spares: int = 0,
    more: str = "",
) -> Iterator[list[Site]]:
    """Gateways of the same settings over the same upstreams."""
    up, other = CachingUpstream(), CachingUpstream()
    with serving(up) as url, serving(other) as other_url, ExitStack() as stack:
        text = CONFIG.format(
            url=url, other=other_url, api=api, other_api=other_api, cheap_provider=cheap_provider,
            cheap=cheap, cheap_read=cheap_read, cheap_window=cheap_window, spares=spares,
            conversations=conversations,
        )  # fmt: skip
        settings = parse_settings(text + more, {})
        found = []
        for _ in range(count):
            engine = Engine(build_pool(settings), {"length": LengthRouter()}, spares=spares)
            app = create_app(settings, engine=engine)
            found.append(Site(stack.enter_context(serving(app)), up, other, app))
        yield found


def code(reply: httpx2.Response) -> str:
    assert reply.status_code == 200, reply.text
    return reply.headers["x-turnout-reason"].partition(":")[0]


def served(reply: httpx2.Response) -> str:
    assert reply.status_code == 200, reply.text
    return reply.headers["x-turnout-model"]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: str = "Done") -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(result: str = "fine") -> list[dict[str, Any]]:
    """A round of a tool in a chat request."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
    ]
