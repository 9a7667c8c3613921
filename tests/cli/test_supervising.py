from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.cli.supervising import READY, STOPPING, tell

CONFIG = """
providers: {up: {base_url: "http://127.0.0.1:9/v1"}}
candidates: [{name: strong}, {name: cheap}]
routers: {random: {}}
server: {notice_s: 0, drain_s: 1}
"""


def listening(path: str) -> socket.socket:
    site = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    site.bind(path)
    site.settimeout(20)
    return site


def test_a_supervisor_hears_that_it_serves_and_that_it_stops(tmp_path: Path) -> None:
    config = tmp_path / "turnout.yaml"
    config.write_text(CONFIG)
    with listening(str(tmp_path / "notify")) as site:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnout", "serve", "--config", str(config), "--port", "0"],
            env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert site.recv(100).decode() == READY
            assert process.stdout is not None
            port = int(process.stdout.readline().split(b"/v1")[0].rsplit(b":")[-1])
            socket.create_connection(("127.0.0.1", port), 5).close()
            process.send_signal(signal.SIGTERM)
            assert site.recv(100).decode() == STOPPING
            process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket() -> None:
    with listening("\0turnout-supervising-test") as site:
        tell(READY, {"NOTIFY_SOCKET": "@turnout-supervising-test"})
        assert site.recv(100).decode() == READY


def test_nobody_to_tell_and_a_supervisor_that_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tell(READY, {})
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        tell(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert "could not be told READY=1" in caplog.text
