"""Routers that need no artifact, and servers on real loopback sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnout.cli.serve import bound
from turnout.engine import Engine
from turnout.errors import UnknownNameError
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.server import GatewayServer
from turnout.gateway.setup.building import build_pool
from turnout.providers.fake import FakeUpstream, create_fake_app
from turnout.settings import Settings, parse_settings
from turnout.settings.server import ServerSettings
from turnout.types import Candidate, Prediction, Query

PROVIDER_KEY = "provider-key-canary"
CLIENT_KEY = "client-key-canary"


@dataclass(frozen=True)
class LengthRouter:
    """Long texts are hard: the weak model's quality falls with their length."""

    name: str = "length"
    fingerprint: str | None = "sha256:0123"

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        hard = np.asarray([min(len(q.text) / 100, 0.9) for q in queries], dtype=np.float32)
        columns = [np.full_like(hard, 0.9), *[0.9 - hard] * (len(candidates) - 1)]
        return Prediction(
            candidates=tuple(c.name for c in candidates), quality=np.stack(columns, axis=1)
        )


@dataclass(frozen=True)
class BrokenRouter:
    """Fails on every query, and quotes it."""

    name: str = "broken"
    fingerprint: str | None = None

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        raise ValueError(f"cannot read {queries[0].text}\r\n")


@dataclass(frozen=True)
class NanRouter(LengthRouter):
    """Predicts no numbers."""

    name: str = "nan"

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        quality = np.full((len(queries), len(candidates)), np.nan, dtype=np.float32)
        return Prediction(candidates=tuple(c.name for c in candidates), quality=quality)


@dataclass(frozen=True)
class UnfitRouter(BrokenRouter):
    """Knows none of the candidates."""

    name: str = "unfit"

    def check(self, candidates: Sequence[Candidate]) -> None:
        raise UnknownNameError("candidate", candidates[0].name, ["gpt-4"])


CONFIG = """
providers:
  up: {{base_url: "{url}/v1", api_key: {key}, timeout_s: {timeout_s}}}
  down: {{base_url: "http://127.0.0.1:9/v1", connect_timeout_s: 1}}
candidates:
  - name: strong
    model: strong-model
    provider: up
    price: {{input_usd: 10, output_usd: 30}}
    context_tokens: 1000000
  - name: cheap
    model: cheap-model
    provider: up
    price: {{input_usd: 0.24, output_usd: 0.24}}
    capabilities: [tools, json_schema]
    context_tokens: 1000000
routers: {{length: {{}}, broken: {{}}, nan: {{}}}}
auto: router-length-0.5
max_body_bytes: 2000000
resilience: {{spares: 0, retries: 0, breaker_failures: 100000, breaker_share: 1}}
"""


def make_settings(url: str, timeout_s: float = 30.0, **changes: Any) -> Settings:
    text = CONFIG.format(url=url, key=PROVIDER_KEY, timeout_s=timeout_s)
    return parse_settings(text, {}).model_copy(update=changes)


def make_engine(settings: Settings) -> Engine:
    return Engine(
        build_pool(settings),
        {"length": LengthRouter(), "broken": BrokenRouter(), "nan": NanRouter()},
    )


@contextmanager
def serving(app: Any, limits: ServerSettings | None = None) -> Iterator[str]:
    """Serve an ASGI app on a free loopback port; gives its URL."""
    with running(GatewayServer(app, limits or ServerSettings(drain_s=1, notice_s=0))) as url:
        yield url


@contextmanager
def running(server: GatewayServer) -> Iterator[str]:
    """Run a server on a free loopback port; gives its URL."""
    with bound("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():  # the lifespan opens what is asked for
            time.sleep(0.001)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            assert not thread.is_alive()


@dataclass
class Deployment:
    """A gateway in front of a simulated upstream."""

    url: str
    upstream: FakeUpstream
    engine: Engine
    app: Gateway


@contextmanager
def deployment(timeout_s: float = 30.0, **changes: Any) -> Iterator[Deployment]:
    upstream = create_fake_app(["strong-model", "cheap-model"])
    with serving(upstream) as upstream_url:
        settings = make_settings(upstream_url, timeout_s, **changes)
        engine = make_engine(settings)
        app = create_app(settings, engine=engine)
        with serving(app) as url:
            yield Deployment(url, upstream, engine, app)
