"""Keeps the process that litellm runs in: starts it, watches it, starts it again, and ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("turnout.providers")

START_S = 120.0
"""Longest wait for it to listen; importing litellm takes seconds, on a busy machine many."""
SILENT_S = 20.0
"""Without a sign of life for so long it hangs, and is killed."""
END_S = 7.0
"""For it to end by itself, answers under way included."""
AGAIN_S = 0.5
"""Before the first restart; doubles with each that does not last."""
MOST_AGAIN_S = 30.0
LASTS_S = 60.0
"""A process that lived this long is started again without more delay."""

MODULE = "turnout.providers.litellm.child"
PLAIN = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SYSTEMROOT", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy",
    "https_proxy", "no_proxy",
)  # fmt: skip
"""Environment variables that it has beside those of the settings: where things are, and no credentials."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where it listens, and what it asks for."""

    port: int
    token: str


@dataclass(slots=True, kw_only=True)
class Keeper:
    """One process, kept alive from `start` to `stop`.

    Args:
        name: of the provider, for the log.
        told: what the process is told beside its token.
        environ: of the process, beside `PLAIN`.
        listening: called with where it listens, and with None when it is gone.
        silent_s: see `SILENT_S`.
    """

    name: str
    told: Mapping[str, Any]
    environ: Mapping[str, str]
    listening: Callable[[Address | None], None]
    silent_s: float = SILENT_S
    starts: int = 0
    process: Process | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start it, and wait until it listens or its first start has failed."""
        self._task = asyncio.create_task(self._keep())
        await self._ready.wait()

    async def stop(self) -> None:
        """End it: it finishes what is under way, for some seconds at most."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = AGAIN_S
        while True:
            began = loop.time()
            try:
                await self._live()
            except OSError as error:
                log.error("provider %s: no process for litellm: %s", self.name, error)
            finally:
                self._ready.set()
            wait_s = AGAIN_S if loop.time() - began > LASTS_S else wait_s
            log.error("provider %s: litellm is started again in %g s", self.name, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MOST_AGAIN_S)

    async def _live(self) -> None:
        """One process, from its start to its end."""
        self.starts += 1
        token = secrets.token_urlsafe(32)
        # Nothing that a request says is in its arguments or its environment.
        process = self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE,
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
            env={n: os.environ[n] for n in PLAIN if n in os.environ} | dict(self.environ),
            start_new_session=True,  # the terminal's Ctrl-C is for the gateway, which ends it in time
        )  # fmt: skip
        try:
            told = json.dumps({**self.told, "token": token}).encode()
            if process.stdin is not None:
                process.stdin.write(told + b"\n")
            await self._watch(process, token)
            log.error("provider %s: the process of litellm is gone", self.name)
        except (TimeoutError, ValueError) as error:
            what = "hangs" if isinstance(error, TimeoutError) else "says what it never says"
            log.error("provider %s: the process of litellm %s and is killed", self.name, what)
            with suppress(ProcessLookupError):
                process.kill()
        finally:
            self.listening(None)
            await _end(process)

    async def _watch(self, process: Process, token: str) -> None:
        """Heed its signs of life until there are no more.

        Raises:
            TimeoutError: it lives and is silent.
        """
        wait_s = START_S
        while process.stdout is not None:
            async with asyncio.timeout(wait_s):
                line = await process.stdout.readline()
            if not line:
                return
            if line.strip():
                said = json.loads(line)
                if "problem" in said:
                    log.error("provider %s: %s", self.name, said["problem"])
                    continue
                self.listening(Address(int(said["port"]), token))
                self._ready.set()
            wait_s = self.silent_s


async def _end(process: Process) -> None:
    """Let it end, then make it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
