"""A gateway with a semantic cache, and an upstream that answers questions by their topic."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from gateway_fakes import LengthRouter, serving

from turnout.engine import Engine
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.setup.building import build_pool
from turnout.settings import Settings, parse_settings

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
WAYS = (
    "how can i {}", "how do i {} please", "could you tell me how to {}", "i want to {}",
    "hi, how do i {}", "please help me to {}", "how would i {} now", "i need to know how to {}",
)  # fmt: skip
"""Ways to ask for the same."""
TOPICS = (
    "pay my bill", "reset my password", "book a flight", "cancel the order", "find a doctor",
    "fix my bicycle", "learn chess", "cook rice", "paint a wall", "plant tomatoes", "wash wool",
    "tune a guitar", "train a puppy", "write a novel", "build a shed", "bake bread",
)  # fmt: skip


def topic_of(text: str) -> str:
    return next((t for t in TOPICS if t in text), text)


@dataclass
class Sayer:
    """Answers every API whole or as a stream, with what `say` makes of the last text."""

    say: Callable[[str], str] = topic_of
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                event = (await receive())["type"]
                await send({"type": f"{event}.complete"})
            return
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body")
        body = json.loads(raw)
        self.seen.append(body)
        kind, content = self._answer(scope["path"].rpartition("/")[2], body)
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, api: str, body: dict[str, Any]) -> tuple[bytes, bytes]:
        turns = body.get("messages") or body["input"]
        last = turns if isinstance(turns, str) else turns[-1]["content"]
        text = last if isinstance(last, str) else "".join(p.get("text", "") for p in last)
        said, n = self.say(text), len(self.seen)
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        if api == "completions":
            head = {"id": f"c{n}", "created": n, "model": body["model"]}
            if body.get("stream"):
                pieces = [
                    {"delta": {"role": "assistant", "content": said[:3]}, "finish_reason": None},
                    {"delta": {"content": said[3:]}, "finish_reason": None},
                    {"delta": {}, "finish_reason": "stop"},
                ]
                chunks = [
                    {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, **p}]}
                    for p in pieces
                ]
                lines = [f"data: {json.dumps(c)}\n\n" for c in chunks]
                return b"text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode()
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            found: dict[str, Any] = {
                **head,
                "object": "chat.completion",
                "choices": [choice],
                "usage": usage,
            }
        elif api == "responses":
            part = {"type": "output_text", "text": said, "annotations": []}
            item = {"type": "message", "id": f"m{n}", "role": "assistant", "status": "completed",
                    "content": [part]}  # fmt: skip
            found = {"id": f"r{n}", "object": "response", "created_at": n, "model": body["model"],
                     "status": "completed", "output": [item],
                     "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}}  # fmt: skip
        else:
            found = {"id": f"msg_{n}", "type": "message", "role": "assistant", "model": body["model"],
                     "content": [{"type": "text", "text": said}], "stop_reason": "end_turn",
                     "stop_sequence": None,
                     "usage": {"input_tokens": 10, "output_tokens": 5}}  # fmt: skip
        return b"application/json", json.dumps(found).encode()


CONFIG = """
providers:
  up: {{base_url: "{url}/v1", api: {api}}}
candidates:
  - {{name: strong, provider: up, price: {{input_usd: 10, output_usd: 30}}, context_tokens: 1000000}}
  - {{name: cheap, provider: up, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 1000000}}
routers: {{length: {{}}}}
auto: router-length-0.9
cache: {{ttl_s: 600, semantic: {{{semantic}}}}}
"""


@dataclass
class SemanticSite:
    """One gateway over a `Sayer`."""

    url: str
    up: Sayer
    app: Gateway
    settings: Settings
    api: str
    http: httpx2.Client
    loop: asyncio.AbstractEventLoop

    @property
    def cache(self) -> SemanticCache:
        found = self.app.opened().semantic
        assert found is not None
        return found

    def ask(self, text: str, headers: Any = None, **body: Any) -> httpx2.Response:
        """Ask, and wait until what came of it was learned."""
        fields: dict[str, Any] = {"model": "auto", "temperature": 0, **body}
        if self.api == "responses":
            fields.setdefault("input", text)
        else:
            fields.setdefault("messages", [{"role": "user", "content": text}])
        if self.api == "messages":
            fields.setdefault("max_tokens", 50)
        reply = self.http.post(self.url + PATHS[self.api], json=fields, headers=headers)
        assert reply.status_code == 200, reply.text
        settled = threading.Event()
        while self.cache._tasks:  # of another thread: only whether there are any is looked at
            settled.wait(0.001)
        return reply

    def reload(self, settings: Settings) -> None:
        """Change the settings while it serves."""
        change = self.app.reload(settings, engine=self.app.opened().engine)
        asyncio.run_coroutine_threadsafe(change, self.loop).result(20)

    def teach(self, headers: Any = None, ways: int = 5, **body: Any) -> None:
        """Questions by which the cache proves itself."""
        for way in WAYS[:ways]:
            for topic in TOPICS:
                self.ask(way.format(topic), headers, **body)


@contextmanager
def semantic_site(
    semantic: str = "max_error_rate: 0.2",
    api: str = "chat",
    more: str = "",
    store: Path | None = None,
) -> Iterator[SemanticSite]:
    up = Sayer()
    with serving(up) as url:
        text = CONFIG.format(url=url, api=api, semantic=semantic) + more
        if store is not None:
            text += f"\nstore: {{path: {store}}}\n"
        settings = parse_settings(text, {})
        app = create_app(settings, engine=Engine(build_pool(settings), {"length": LengthRouter()}))
        loops: list[asyncio.AbstractEventLoop] = []

        async def looped(scope: Any, receive: Any, send: Any) -> None:
            if not loops:
                loops.append(asyncio.get_running_loop())
            await app(scope, receive, send)

        with serving(looped) as here, httpx2.Client(timeout=20) as http:
            made = SemanticSite(here, up, app, settings, api, http, loops[0])
            made.cache._draw = random.Random(0).random
            yield made
