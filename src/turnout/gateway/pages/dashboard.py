"""`GET /dashboard`: the page over this gateway's records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from urllib.parse import parse_qs

from turnout.dashboard.figures import HOUR_MS, Figures, read_figures
from turnout.dashboard.page import HEADERS, SPANS, page, style
from turnout.errors import StoreError
from turnout.gateway.http.asgi import Call
from turnout.gateway.serving import Serving
from turnout.gateway.setup.building import open_store
from turnout.settings import StoreSettings
from turnout.store.database import Database
from turnout.types import Pool

CSS = "/dashboard.css"
DEFAULT_HOURS = 24
_HTML = {**HEADERS, "content-type": "text/html; charset=utf-8"}


class Dashboard:
    """Answers with the page. It has a connection of its own to the records, and reads alone.

    Args:
        store: where the records are.
        serving: what serves now; None where nothing does.
    """

    def __init__(self, store: StoreSettings, serving: Callable[[], Serving | None]) -> None:
        self._store, self._serving = store, serving
        self._database: Database | None = None
        self._turn = asyncio.Lock()

    async def answer(self, call: Call) -> None:
        """The page of the last hours, `?hours=` of them.

        Raises:
            StoreError: the database fails.
        """
        serving = self._serving()
        if serving is None:
            raise RuntimeError("the application serves inside its lifespan only")
        hours = _hours(call.query)
        async with self._turn:  # one reader at a time: whoever asks more often waits for himself
            figures = await asyncio.to_thread(self._read, serving.engine.pool, hours)
        health = tuple(serving.resilience.health.items())
        targets = [(key, known.state, known.in_flight) for key, known in health]
        semantic = None if serving.semantic is None else serving.semantic.state()
        written = partial(page, figures, hours=hours, targets=targets, css=CSS, semantic=semantic)
        text = await asyncio.to_thread(written)  # the first one opens its templates
        await call.answer(200, _HTML, text.encode())

    async def style(self, call: Call) -> None:
        """The page's style."""
        headers = {**HEADERS, "content-type": "text/css; charset=utf-8"}
        await call.answer(200, headers, style())

    def close(self) -> None:
        """Close the connection."""
        if self._database is not None:
            with suppress(StoreError):
                self._database.close()
            self._database = None

    def _read(self, pool: Pool, hours: int) -> Figures:
        if self._database is None:
            self._database = open_store(self._store)
        now_ms = time.time_ns() // 1_000_000
        since_ms = now_ms - hours * HOUR_MS
        return read_figures(self._database, pool, since_ms=since_ms, now_ms=now_ms)


def _hours(query: str) -> int:
    """One of the spans; any other is a day's."""
    given = parse_qs(query[:200]).get("hours", [""])[0]
    return next((hours for hours in SPANS if given == str(hours)), DEFAULT_HOURS)
