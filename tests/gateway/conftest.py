from __future__ import annotations

from collections.abc import Iterator

import httpx2
import openai
import pytest
from gateway_fakes import CLIENT_KEY, Deployment, deployment


@pytest.fixture(scope="session")
def _shared_gateway() -> Iterator[Deployment]:
    with deployment() as running:
        yield running


@pytest.fixture
def gateway(_shared_gateway: Deployment) -> Deployment:
    """A running gateway; its upstream has seen nothing and does all well."""
    _shared_gateway.upstream.script.clear()
    _shared_gateway.upstream.seen.clear()
    _shared_gateway.app.opened().resilience.forget()
    return _shared_gateway


@pytest.fixture
def http(gateway: Deployment) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=gateway.url, timeout=10) as client:
        yield client


@pytest.fixture
def client(gateway: Deployment) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=10
    ) as made:
        yield made
