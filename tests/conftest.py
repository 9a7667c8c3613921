"""No test leaves the machine: a connection to anything but loopback is an error."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from planted import planted_table
from turnout.artifacts.opening import trainable
from turnout.training.fit import Fitted, fit_router

# A slow machine is no failure; what is fast enough is measured by the benchmarks.
settings.register_profile("turnout", deadline=None)
settings.load_profile("turnout")

_REAL_CONNECT = socket.socket.connect


def _guarded(self: socket.socket, address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else "127.0.0.1"
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"a test tried to reach {host!r}")
    _REAL_CONNECT(self, address)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _guarded)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with `outcomes/` and `routellm/`, or a skip where it is absent."""
    home = Path(os.environ.get("TURNOUT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (home / "routellm").is_dir():
        pytest.skip(f"needs outcome data, and {home} is absent (set TURNOUT_DATA)")
    return home


@pytest.fixture(scope="session")
def fitted() -> dict[str, Fitted]:
    """Every trained router, fitted on a few made-up outcomes."""
    table = planted_table(60)
    return {name: fit_router(name, table, encoder="hashing-64") for name in trainable()}


@pytest.fixture(scope="session")
def artifacts(fitted: dict[str, Fitted], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds an artifact of each trained router; to be read only."""
    home = tmp_path_factory.mktemp("artifacts")
    for name, made in fitted.items():
        made.write(home / name)
    return home
