"""Learning while serving: outcomes come in, and what the routers learned outlives the process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from turnout import registry
from turnout.alongside import alongside
from turnout.artifacts.folder import CARD, read_artifact, write_artifact
from turnout.artifacts.opening import DEFAULT_BASE, shipped
from turnout.engine import Engine
from turnout.errors import RequestError, SettingsError, TurnoutError
from turnout.routers.learning import LearningRouter
from turnout.settings import LearnSettings, RouterSettings
from turnout.types import Outcome
from turnout.wire.reading import Kind, kind

log = logging.getLogger("turnout.gateway")

MOST_OUTCOMES = 1_000
"""In one request."""
_OVER = "kept_over"
"""In a kept manifest: fingerprint of the artifact that the settings named when it was learned."""
_NOTE = "\n\nKept while serving, with what was learned there; the above is of the fitted router.\n"


def read_reported(fields: Mapping[str, Any]) -> list[Outcome]:
    """The outcomes of a request: `{"outcomes": [{"prompt", "model", "score"}, …]}`.

    Raises:
        RequestError: another shape; names the place.
    """
    given = fields.get("outcomes")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_OUTCOMES:
        remedy = f"give a list of 1 to {MOST_OUTCOMES} objects with prompt, model and score"
        raise RequestError("outcomes", kind(given), remedy)
    return [_outcome(row, f"outcomes[{i}]") for i, row in enumerate(given)]


def _outcome(row: Any, where: str) -> Outcome:
    if not isinstance(row, dict):
        raise RequestError(where, kind(row), "give an object with prompt, model and score")
    for field in ("prompt", "model"):
        if not isinstance(row.get(field), str):
            raise RequestError(f"{where}.{field}", kind(row.get(field)), "give a string")
    score = row.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise RequestError(f"{where}.score", kind(score), "give a number from 0 to 1")
    if not row["prompt"].strip():  # not shown: it is what a user wrote
        raise RequestError(f"{where}.prompt", Kind("a blank text"), "give what the model was sent")
    return Outcome(prompt=row["prompt"], model=row["model"], score=float(score))


def learns(name: str) -> bool:
    """Whether the router of that name keeps what it learned in an artifact."""
    made = registry.load("routers", name)
    return isinstance(made, type) and issubclass(made, LearningRouter)


def kept_artifact(learn: LearnSettings | None, name: str, router: RouterSettings) -> Path | None:
    """The artifact to open a router from: what an earlier process kept, else the settings' own.

    Raises:
        SettingsError: what was kept was learned over another artifact than the settings name now.
        ArtifactError: it cannot be read.
    """
    if learn is None or learn.keep is None or not learns(name):
        return router.artifact
    folder = learn.keep / name
    if not folder.exists():
        return router.artifact
    over, now = read_artifact(folder)[0].get(_OVER), _fingerprint(router)
    if over != now:
        remedy = (
            f"it was learned over artifact {over}, the settings now name {now}: move {name} away "
            "to begin anew, or name the artifact that it was learned over"
        )
        raise SettingsError("learn.keep", str(folder), remedy)
    return folder


def _base(router: RouterSettings) -> Path:
    return router.artifact or shipped(DEFAULT_BASE)


def _fingerprint(router: RouterSettings) -> str:
    return read_artifact(_base(router))[2]


class Keeper:
    """Writes what routers learned, each to its folder, whole or not at all.

    Args:
        engine: whose routers learn.
        learn: where to, and how often.
        routers: as the settings have them, for what they were learned over.
    """

    def __init__(
        self, engine: Engine, learn: LearnSettings, routers: Mapping[str, RouterSettings]
    ) -> None:
        self._folder, self._every_s = learn.keep, learn.every_s
        self._routers = {
            name: router
            for name, router in engine.routers.items()
            if isinstance(router, LearningRouter)
        }
        self._written = dict.fromkeys(self._routers, 0)
        self._over: dict[str, str] = {}
        self._cards: dict[str, str] = {}
        self._turn = threading.Lock()
        if self._folder is not None:
            given = {name: routers.get(name, RouterSettings()) for name in self._routers}
            self._over = {name: _fingerprint(router) for name, router in given.items()}
            self._cards = {
                name: (_base(router) / CARD).read_text(encoding="utf-8").rstrip()
                for name, router in given.items()
            }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write at intervals while the block runs, and once more at its end."""
        if self._folder is None:
            yield
            return
        try:
            async with alongside(self._write_at_intervals()):
                yield
        finally:
            await run_in_threadpool(self.write)

    async def _write_at_intervals(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await run_in_threadpool(self.write)

    def write(self) -> None:
        """Write every router that learned since it was last written; a failure is logged."""
        with self._turn:  # one that has begun is waited for, so that the newest stays
            for name, router in self._routers.items():
                if self._folder is not None and router.taken != self._written[name]:
                    self._write(name, router, self._folder / name)

    def _write(self, name: str, router: LearningRouter, folder: Path) -> None:
        taken = router.taken
        manifest, arrays = router.parts()
        manifest[_OVER] = self._over[name]
        try:
            write_artifact(folder, manifest, arrays, self._cards[name] + _NOTE)
        except TurnoutError as error:
            log.error("what router %s learned is in memory alone: %s", name, error)
            return
        self._written[name] = taken
