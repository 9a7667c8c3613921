"""A real `turnout serve` over simulated upstreams of all three APIs, with all that it can serve turned on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from served import served
from turnout.cli.local import serving
from turnout.gateway.app import create_app
from turnout.providers.fake import FakeUpstream
from turnout.settings import parse_settings

KEY = "an-admin's-key-of-this-test"

_INNER = """
providers: {{up: {{base_url: "{up}/v1"}}}}
candidates: [{{name: simulated}}]
routers: {{random: {{seed: 1}}}}
resilience: {{spares: 0, retries: 0, breaker_failures: 1000000, breaker_share: 1}}
"""
_OUTER = """
providers:
  chat: {{base_url: "{up}/v1", timeout_s: 5, idle_timeout_s: 5}}
  responses: {{base_url: "{inner}/v1", api: responses}}
  messages: {{base_url: "{inner}/v1", api: messages}}
candidates:
  - name: over-chat
    model: simulated
    provider: chat
    known_as: gpt-4-1106-preview
    price: {{input_usd: 3, output_usd: 9}}
  - {{name: over-messages, model: simulated, provider: messages, price: {{input_usd: 2, output_usd: 6}}}}
  - name: over-responses
    model: simulated
    provider: responses
    known_as: mixtral-8x7b-instruct-v0.1
    price: {{input_usd: 1, output_usd: 3}}
embeddings: [{{name: vectors, model: simulated, provider: chat, price: {{input_usd: 0.02}}}}]
routers: {{random: {{seed: 1}}, knn_live: {{}}}}
auto: router-random-0.5
routes: {{cheap: {{threshold: 0.9}}}}
learn: {{}}
store: {{path: turnout.db}}
dashboard: true
alarm: {{}}
keys: [{{name: test, sha256: "{key}", role: admin}}]
resilience: {{spares: 0, retries: 0, breaker_failures: 1000000, breaker_share: 1}}
"""


@contextmanager
def gateway(home: Path) -> Iterator[tuple[str, FakeUpstream]]:
    """Its base URL, and the upstream behind it."""
    with ExitStack() as stack:
        upstream = FakeUpstream(["simulated"])
        up = stack.enter_context(serving(upstream))
        inner = stack.enter_context(serving(create_app(parse_settings(_INNER.format(up=up), {}))))
        config = home / "turnout.yaml"
        key = hashlib.sha256(KEY.encode()).hexdigest()
        config.write_text(_OUTER.format(up=up, inner=inner, key=key))
        yield stack.enter_context(served(config)).url, upstream
