"""Other settings for a gateway that runs: on SIGHUP, or when the file changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from turnout.errors import SettingsError, TurnoutError
from turnout.gateway.app import Gateway
from turnout.gateway.server import GatewayServer
from turnout.settings import Settings

log = logging.getLogger("turnout.gateway")

WATCH_S = 1.0
"""Between two looks at the file."""


class Reloader:
    """Reads the settings again and gives them to the gateway; what is wrong with them is logged.

    Args:
        app: the gateway.
        read: reads the settings file and puts the command's options over it.
        path: of that file.
    """

    def __init__(self, app: Gateway, read: Callable[[], Settings], path: Path) -> None:
        self._app, self._read, self._path = app, read, path
        self._seen = self._stamp()

    async def reload(self, server: GatewayServer) -> None:
        """Take the file's settings, or go on with the old ones."""
        try:
            settings = await asyncio.to_thread(self._read)
            await self._app.reload(settings)
        except TurnoutError as error:
            place = error.place if isinstance(error, SettingsError) else ""
            log.error(
                "settings not taken, the old ones serve: %s", f"{place}: {error}".lstrip(": ")
            )
            # Anyone can read this: where, not what.
            self._app.reload_problem = Path(place).name or self._path.name
            return
        self._app.reload_problem = None
        server.take_limits(settings.server)
        log.info("settings of %s taken", self._path)

    async def watching(self, ask: Callable[[], None]) -> None:
        """Ask for a reload whenever the file has changed."""
        while True:
            await asyncio.sleep(WATCH_S)
            now = self._stamp()
            if now != self._seen:
                self._seen = now
                ask()

    def _stamp(self) -> tuple[int, int, int] | None:
        """What changes when a file is edited or replaced; None while it is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
