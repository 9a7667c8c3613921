"""The gateway of a conformance run: a route, and candidates whose upstreams speak each of the three APIs.

The upstreams of Responses and Messages are a second gateway over the same simulated models, so that
requests in those APIs pass through the first one untouched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from upstream import Upstream

from turnout.cli.local import serving
from turnout.gateway.app import create_app
from turnout.settings import parse_settings

KEY = "key-of-a-client"

# No further calls here: what a client makes of an upstream's errors is what is looked at.
_RESILIENCE = "resilience: {spares: 0, retries: 0, breaker_failures: 1000000, breaker_share: 1}"

_INNER = """
providers: {{up: {{base_url: "{up}/v1"}}}}
candidates: [{{name: simulated}}]
routers: {{random: {{}}}}
{resilience}
"""

_OUTER = """
providers:
  chat: {{base_url: "{up}/v1"}}
  responses: {{base_url: "{inner}/v1", api: responses}}
  messages: {{base_url: "{inner}/v1", api: messages}}
candidates:
  - {{name: over-chat, model: simulated, provider: chat, price: {{input_usd: 3, output_usd: 9}}}}
  - {{name: over-messages, model: simulated, provider: messages, price: {{input_usd: 2, output_usd: 6}}}}
  - {{name: over-responses, model: simulated, provider: responses, price: {{input_usd: 1, output_usd: 3}}}}
embeddings: [{{name: vectors, provider: chat, price: {{input_usd: 0.02}}}}]
routers: {{random: {{}}}}
auto: router-random-0.5
keys: [{{name: client, sha256: "{key}"}}]
{resilience}
"""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where a client finds the gateway, and the runner the upstream."""

    gateway: str
    upstream: str


@contextmanager
def running() -> Iterator[Urls]:
    """Serve everything on free loopback ports while the block runs."""
    with ExitStack() as stack:
        up = stack.enter_context(serving(Upstream().app))
        inner = parse_settings(_INNER.format(up=up, resilience=_RESILIENCE), {})
        below = stack.enter_context(serving(create_app(inner)))
        key = hashlib.sha256(KEY.encode()).hexdigest()
        text = _OUTER.format(up=up, inner=below, key=key, resilience=_RESILIENCE)
        outer = parse_settings(text, {})
        yield Urls(stack.enter_context(serving(create_app(outer))), up)
