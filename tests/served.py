"""`turnout serve` in a process of its own, as people start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Served:
    """A gateway that listens."""

    process: subprocess.Popen[str]
    line: str
    """What it said first."""
    log: Path

    @property
    def url(self) -> str:
        """Where it listens, without `/v1`; on loopback where it listens to all."""
        return self.line.split()[2].removesuffix("/v1").replace("//0.0.0.0:", "//127.0.0.1:")

    @property
    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end: the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def served(
    config: Path, *options: str, environ: Mapping[str, str] | None = None, files: int = 0
) -> Iterator[Served]:
    """Serve while the block runs; what still runs at its end is killed.

    Args:
        config: the settings file.
        options: more words for the command; default: a free port.
        environ: more of the environment.
        files: most file descriptors that it may have; 0: as many as this process.
    """
    start = "from turnout.cli import main; main()"
    if files:
        limit = f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))"
        start = f"import resource; {limit}; {start}"
    log, words = config.with_suffix(".log"), options or ("--port", "0")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", start, "serve", "--config", str(config), *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environ or {}), "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("turnout serves "), log.read_text()
        yield Served(process, line, log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
