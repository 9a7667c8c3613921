"""Two simulated upstreams on loopback sockets, and the router of `controller_fakes.py`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from controller_fakes import SERVED, Upstream, WordRouter

from turnout.providers.fake import create_fake_app


@contextmanager
def _serving() -> Iterator[Upstream]:
    app = create_fake_app(SERVED)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield Upstream(app, f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def _first() -> Iterator[Upstream]:
    with _serving() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def _second() -> Iterator[Upstream]:
    with _serving() as upstream:
        yield upstream


@pytest.fixture
def upstream(_first: Upstream) -> Upstream:
    return _fresh(_first)


@pytest.fixture
def second_upstream(_second: Upstream) -> Upstream:
    return _fresh(_second)


def _fresh(upstream: Upstream) -> Upstream:
    upstream.app.seen.clear()
    upstream.app.script.clear()
    return upstream


@pytest.fixture
def word() -> WordRouter:
    return WordRouter()
