"""A gateway in front of a scripted upstream, both on real loopback sockets, for one fault at a time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from gateway_fakes import LengthRouter, running

from scripted import CLOSE, Scripted, ok
from turnout.engine import Engine
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.http.protocol import Guard
from turnout.gateway.server import GatewayServer
from turnout.gateway.setup.building import build_pool
from turnout.settings import Settings, parse_settings
from turnout.settings.server import ServerSettings
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable

ASK: Any = [{"role": "user", "content": "Hello"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ANSWER = json.dumps({
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "Hi"}}],
    "usage": USAGE,
}).encode()  # fmt: skip
JSON_FORM = b"content-type: application/json"
GOOD = [ok(ANSWER, JSON_FORM)]
EVENTS = [
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
    CLOSE,
]
"""The same as a stream."""

CONFIG = """
providers:
  one: {{base_url: "{one}/v1", connect_timeout_s: 1, timeout_s: 5{provider}}}
  two: {{base_url: "{two}/v1", connect_timeout_s: 1, timeout_s: 5{provider}}}
candidates:
  - {{name: strong, provider: one, price: {{input_usd: 10, output_usd: 30}}}}
  - {{name: cheap, provider: one, price: {{input_usd: 1, output_usd: 1}}{candidate}}}
routers: {{length: {{}}}}
auto: router-length-0.5
{rest}
"""
RESILIENCE = "resilience: {spares: 0, retries: 0, breaker_failures: 100000, breaker_share: 1}\n"


class Upstream(Scripted):
    """Answers by its scripts, then as `usual` says; runs in a thread of its own."""

    def __init__(self, *scripts: list[bytes], usual: list[bytes] | None = None) -> None:
        super().__init__(*scripts)
        self.usual = GOOD if usual is None else usual


@contextmanager
def in_thread(upstream: Scripted) -> Iterator[None]:
    """Run a scripted upstream while the block runs."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> None:
        async with upstream:
            ready.set()
            await over.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the turns after

    async def main() -> None:
        nonlocal over
        over = asyncio.Event()
        await run()

    over: Any = None
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        assert not thread.is_alive()
        loop.close()


@dataclass
class Site:
    """Where a client knocks, and what stands behind."""

    url: str
    app: Gateway
    one: Upstream
    two: Upstream
    loop: asyncio.AbstractEventLoop
    """The gateway's."""
    server: GatewayServer
    http: httpx2.Client
    """A client of it, with as many connections as it needs."""

    @property
    def guard(self) -> Guard:
        """What its connections share."""
        return self.server.guard

    def ask(
        self, model: str = "cheap", *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        """One chat request."""
        sent = {"model": model, "messages": ASK, **body}
        return self.http.post("/v1/chat/completions", json=sent, headers=headers)


def settings_of(
    one: str, two: str, *, provider: str = "", candidate: str = "", rest: str = RESILIENCE
) -> Settings:
    """The settings of a site; the parts are put into its YAML."""
    text = CONFIG.format(one=one, two=two, provider=provider, candidate=candidate, rest=rest)
    return parse_settings(text, {})


def engine_of(settings: Settings) -> Engine:
    """An engine over a router that needs no artifact."""
    spares = settings.resilience.spares
    return Engine(build_pool(settings), {"length": LengthRouter()}, spares=spares)


@contextmanager
def site(
    *scripts: list[bytes],
    first: Upstream | None = None,
    two: Upstream | None = None,
    usual: list[bytes] | None = None,
    one_url: str | None = None,
    limits: ServerSettings | None = None,
    **parts: Any,
) -> Iterator[Site]:
    """A gateway over two upstreams, of which the first plays the scripts."""
    first, second = first or Upstream(*scripts, usual=usual), two or Upstream()
    with in_thread(first), in_thread(second):
        settings = settings_of(one_url or first.url, second.url, **parts)
        app = create_app(settings, engine=engine_of(settings))
        loops: list[asyncio.AbstractEventLoop] = []

        async def looped(scope: Any, receive: Any, send: Any) -> None:
            loops.append(asyncio.get_running_loop())
            del loops[1:]
            await app(scope, receive, send)

        server = GatewayServer(looped, limits or ServerSettings(drain_s=1, notice_s=0))
        with running(server) as url, httpx2.Client(base_url=url, timeout=20) as http:
            yield Site(url, app, first, second, loops[0], server, http)


def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(0.005)


def kept(file: Path, *, most: int = 10_000) -> list[Record]:
    """The records of a gateway that has stopped, oldest first."""
    records = RecordTable(open_database(file))
    found = list(reversed(records.latest(most)))
    records.close()
    return found
