"""No request reaches a candidate that cannot, or may not, serve it: not by routing, not as a spare."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self

import pytest
from asked_requests import PIXEL, Drawn, draw
from gateway_fakes import LengthRouter

from turnout.engine import Engine
from turnout.errors import NoCandidateError
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.setup.building import build_pool
from turnout.settings import parse_settings
from turnout.types import Candidate
from turnout.wire import chat, messages, responses
from turnout.wire.dialects import Dialect

REQUESTS = 1_000
READERS = {
    "/v1/chat/completions": chat.read_query,
    "/v1/responses": responses.read_query,
    "/v1/messages": messages.read_query,
}
CONFIG = """
providers: {up: {base_url: "http://127.0.0.1:9/v1", api: API}}
candidates:
  - {name: all, capabilities: [tools, json_schema, vision, audio, files], context_tokens: 60000,
     price: {input_usd: 10, output_usd: 40}, max_output_tokens: 16000}
  - {name: seer, capabilities: [vision, tools], context_tokens: 8000, max_output_tokens: 2000,
     price: {input_usd: 2, output_usd: 8}}
  - {name: long, capabilities: [tools], context_tokens: 200000,
     price: {input_usd: 1, output_usd: 4}}
  - {name: unknown, price: {input_usd: 0.5, output_usd: 2}, context_tokens: 30000}
  - {name: plain, capabilities: [], context_tokens: 2000, max_output_tokens: 500,
     price: {input_usd: 0.1, output_usd: 0.2}}
  - {name: schema, capabilities: [json_schema], context_tokens: 2000,
     price: {input_usd: 0.05, output_usd: 0.1}}
routers: {length: {}}
auto: router-length-0.5
routes:
  frugal: {threshold: 0.9, deny: [all], max_cost_usd: 0.05}
resilience: {spares: 5, retries: 0, breaker_failures: 1000000, breaker_share: 1, retry_budget: 1}
"""


@dataclass
class Down:
    """A provider whose every call fails, so that all spares are tried; it remembers them."""

    dialect: Dialect
    stream_usage: bool = True
    asked: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        candidate: str,
        headers: Mapping[str, str],
        stream: bool = False,
    ) -> Failed:
        self.asked.append(candidate)
        return Failed()


class Failed:
    status = 500
    headers: Mapping[str, str] = {}

    async def chunk(self) -> bytes | None:
        return None

    async def hand(self, take: Callable[[bytes], bool]) -> bytes | None:
        return b""

    def rest(self) -> bytes | None:
        return b""

    def close(self) -> None: ...


def why_not(drawn: Drawn, candidate: Candidate) -> str:
    """Why a candidate cannot serve a request, by what was drawn and not by what was read."""
    able = candidate.capabilities
    lacking = set() if able is None else drawn.needs - able
    if lacking:
        return f"cannot do {lacking}"
    if candidate.max_output_tokens is not None and drawn.output > candidate.max_output_tokens:
        return "writes less"
    window = candidate.context_tokens
    if window is not None and drawn.input_tokens + drawn.output > window:
        return "too long"
    return ""


def knobs(rng: random.Random) -> dict[str, Any]:
    """What a request asks of routing beside."""
    asked: dict[str, Any] = {}
    knob = rng.choice([None, None, "threshold", "strong_share", "willingness_to_pay_usd"])
    if knob:
        asked[knob] = rng.random() or 0.5
    if rng.random() < 0.2:
        asked["allow"] = rng.sample(["all", "s*", "l*", "un*", "plain"], rng.randint(1, 3))
    if rng.random() < 0.2:
        asked["deny"] = rng.choice(["all", "*n*", "plain", "un*"])
    if rng.random() < 0.2:
        asked["max_cost_usd"] = 10 ** rng.uniform(-5, 0)
    if rng.random() < 0.05:
        asked["pin"] = rng.choice(["all", "seer", "long", "unknown", "plain"])
    return asked


def forbidden(model: str, drawn: Drawn, asked: Mapping[str, Any], candidate: Candidate) -> str:
    """Why a candidate may not serve a request."""
    name, price = candidate.name, candidate.price
    if not any(fnmatchcase(name, p) for p in asked.get("allow", ["*"])):
        return "not allowed"
    if fnmatchcase(name, asked.get("deny", "")) or (model == "frugal" and name == "all"):
        return "denied"
    if asked.get("pin", name) != name:
        return "another is pinned"
    caps = [asked.get("max_cost_usd"), 0.05 if model == "frugal" else None]
    for cap in (cap for cap in caps if cap is not None):
        assert price is not None
        least = price.cost_picousd(input_tokens=drawn.input_tokens, output_tokens=drawn.output)
        if least > cap * 1e12:
            return "too dear"
    return ""


async def send(app: Gateway, path: str, body: Any) -> tuple[int, Any]:
    """One request, without a socket."""
    sent = False
    out: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def reply(message: Any) -> None:
        out.append(message)

    await app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, reply)
    content = b"".join(m.get("body", b"") for m in out[1:])
    return out[0]["status"], json.loads(content or b"null")


async def _drive(dialect: Dialect, seed: int) -> Counter[str]:
    rng, seen = random.Random(seed), Counter[str]()
    settings = parse_settings(CONFIG.replace("API", dialect), {})
    engine = Engine(build_pool(settings), {"length": LengthRouter()}, spares=5)
    down = Down(dialect)
    app = create_app(settings, engine=engine, providers={"up": down})
    async with app.lifespan():
        for _ in range(REQUESTS):
            drawn, asked = draw(rng), knobs(rng)
            model = rng.choice(["auto", "frugal", "router-length-0.2", "router-length-1"])
            down.asked.clear()
            app.opened().resilience.forget()
            status, body = await send(
                app, drawn.path, {"model": model, **drawn.body, "turnout": asked}
            )
            for name in down.asked:
                candidate = engine.pool[name]
                why = why_not(drawn, candidate) or forbidden(model, drawn, asked, candidate)
                assert not why, (name, why, model, asked, drawn.needs, drawn.output)
            seen["calls"] += len(down.asked)
            seen[f"status {status}"] += 1
            seen.update(drawn.needs)
            if not down.asked:
                assert status == 400, body
                assert body["error"]["type"] == "invalid_request_error"
                assert PIXEL not in str(body)
    return seen


def test_no_request_reaches_a_candidate_that_cannot_serve_it() -> None:
    seen = asyncio.run(_drive("chat", 0))
    assert seen["status 500"] > 300  # so many were called, and failed as all do
    assert seen["status 400"] > 100
    assert seen["calls"] > 1_000
    for need in ("tools", "json_schema", "vision", "audio", "files"):
        assert seen[need] > 40


def test_nor_does_the_engine_choose_one() -> None:
    rng = random.Random(1)
    settings = parse_settings(CONFIG.replace("API", "chat"), {})
    engine = Engine(build_pool(settings), {"length": LengthRouter()}, spares=5)
    chosen = Counter[str]()
    for _ in range(REQUESTS):
        drawn = draw(rng)
        query = READERS[drawn.path](drawn.body)
        spec = engine.parse(f"router-length-{rng.random():.4f}")
        if all(why_not(drawn, candidate) for candidate in engine.pool.candidates):
            with pytest.raises(NoCandidateError):
                engine.decide(query, spec)
            continue
        try:
            decision = engine.decide(query, spec)
        except NoCandidateError:  # by tokens that are estimated, so that more of them are counted
            continue
        for attempt in decision.attempts:
            assert not why_not(drawn, engine.pool[attempt.candidate])
            chosen[attempt.candidate] += 1
    assert len(chosen) == len(engine.pool.candidates)
