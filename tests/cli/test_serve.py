from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from served import served
from turnout.cli.serve import _warn, _with_artifacts, bound, serve
from turnout.errors import ArtifactError, SettingsError
from turnout.settings import MINIMAL, parse_settings
from turnout.settings.hosts import is_loopback

CONFIG = """
providers:
  up: {base_url: "http://127.0.0.1:9/v1"}
candidates:
  - {name: strong, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}
  - {name: cheap, price: {input_usd: 0, output_usd: 0}, context_tokens: 1000}
routers: {random: {}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "turnout.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(config: Path, end: signal.Signals) -> None:
    with served(config) as running:
        url = running.url
        assert running.line == (
            f"turnout serves {url}/v1 with models: auto, router-random-0.25, router-random-0.5, "
            "router-random-0.75, strong, cheap\n"
        )
        assert httpx2.get(f"{url}/readyz", timeout=10).status_code == 200
        assert running.end(end) in (0, -end)
        errors = running.said
    assert "Traceback" not in errors
    assert "GET /readyz" not in errors, "no access log by default"


def fails(*arguments: str) -> str:
    result = CliRunner().invoke(serve, arguments, env={"TURNOUT_CONFIG": ""})
    assert isinstance(result.exception, SettingsError)
    return str(result.exception)


def test_without_settings_it_shows_the_shortest_file() -> None:
    assert MINIMAL in fails()


def test_an_address_that_is_taken(config: Path) -> None:
    assert "listen: '192.0.2.1:1' is not usable: choose another" in fails(
        "--config", str(config), "--host", "192.0.2.1", "--port", "1"
    )


def test_answers_do_not_wait_for_acknowledgements() -> None:
    with bound("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP, "asyncio then sets TCP_NODELAY"


def test_a_listener_for_everyone_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    _warn("127.0.0.1")
    assert capsys.readouterr().err == ""
    _warn("0.0.0.0")
    assert capsys.readouterr().err.startswith("warning: 0.0.0.0 is not a loopback address")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_an_artifact_brings_its_router(artifacts: Path) -> None:
    settings = parse_settings(CONFIG.replace("{random: {}}", "{linear: {}}"), {})
    with_own = _with_artifacts(settings, [artifacts / "linear", artifacts / "mf"])
    assert with_own.routers["linear"].artifact == artifacts / "linear"
    assert set(with_own.routers) == {"linear", "mf"}
    with pytest.raises(ArtifactError, match="cannot read"):
        _with_artifacts(settings, [artifacts / "none"])
