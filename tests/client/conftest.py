"""Fakes of `controller_fakes.py`, served on a loopback socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from controller_fakes import Upstream, WordRouter
from starlette.applications import Starlette
from starlette.routing import Route


@pytest.fixture(scope="session")
def _served() -> Iterator[dict[str, Upstream]]:
    """Two upstreams behind one socket: `/a/v1` and `/b/v1`."""
    upstreams = {name: Upstream() for name in "ab"}
    routes = [
        Route(f"/{name}/v1/chat/completions", upstream.chat, methods=["POST"])
        for name, upstream in upstreams.items()
    ]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    for name, upstream in upstreams.items():
        upstream.url = f"http://127.0.0.1:{listener.getsockname()[1]}/{name}/v1"
    yield upstreams
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def upstream(_served: dict[str, Upstream]) -> Upstream:
    return _fresh(_served["a"])


@pytest.fixture
def second_upstream(_served: dict[str, Upstream]) -> Upstream:
    return _fresh(_served["b"])


def _fresh(upstream: Upstream) -> Upstream:
    upstream.bodies.clear()
    upstream.headers.clear()
    return upstream


@pytest.fixture
def word() -> WordRouter:
    return WordRouter()
