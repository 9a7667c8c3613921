"""From settings to who may ask, and what each path asks of its caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Literal, TypeAlias

from turnout.access.counters import Counters
from turnout.access.gate import Access
from turnout.access.identity import Deployment
from turnout.access.keyring import EVERY_S, Keyring
from turnout.access.keys import Key
from turnout.access.keystore import KeyStore
from turnout.access.memory import MemoryCounters
from turnout.access.seeding import Seeding
from turnout.access.worst import Costs
from turnout.errors import ForbiddenError
from turnout.gateway.asgi import Call
from turnout.gateway.building import open_store
from turnout.settings import Settings
from turnout.settings.access import GrantSettings
from turnout.types import Pool

log = logging.getLogger("turnout.gateway")

Door: TypeAlias = Literal["anyone", "key", "admin"]

DOORS: Mapping[str, Door] = {
    "/healthz": "anyone",
    "/readyz": "anyone",
    "/metrics": "admin",
    "/dashboard": "admin",
    "/dashboard.css": "admin",
}
"""Who may call a path (without `/v1`). What is not here asks for a key, paths that do not exist too."""


def let_in(call: Call, path: str, access: Access) -> None:
    """Find out who calls a path, and whether they may.

    Where no key exists, nobody is asked for one.

    Raises:
        AuthenticationError: no key, or none that is valid.
        ForbiddenError: it takes an admin's key.
        AccessDownError: the keys cannot be read.
    """
    door = DOORS.get(path, "key")
    if door == "anyone":
        return
    call.identity = access.identify(call.headers)
    if door == "admin" and call.identity is not None and call.identity.role != "admin":
        raise ForbiddenError(f"{path} asks for the key of an admin")


@dataclass(frozen=True, slots=True)
class Shared:
    """What stays while settings change: what was counted, and the connection to the keys."""

    counters: Counters
    store: KeyStore | None
    seeding: Seeding | None


@asynccontextmanager
async def shared_access(settings: Settings) -> AsyncIterator[Shared]:
    """The counters and the database of keys, open while the block runs.

    Raises:
        StoreError: the database cannot be opened.
    """
    counters = MemoryCounters()
    if settings.store is None:
        yield Shared(counters, None, None)
        return
    store = await asyncio.to_thread(lambda given: KeyStore(open_store(given)), settings.store)
    try:
        yield Shared(counters, store, Seeding(counters, store))
    finally:
        store.close()


@asynccontextmanager
async def running_access(settings: Settings, pool: Pool, shared: Shared) -> AsyncIterator[Access]:
    """Who may ask under these settings, kept up to date while the block runs.

    Raises:
        StoreError: the database cannot be read.
    """
    deployment = Deployment(candidates=pool.names, teams=settings.teams, everyone=settings.limits)
    if shared.seeding is None and _has_budgets(settings):
        log.warning(
            "budgets begin anew with each start: without a store nobody knows what was spent"
        )
    keyring = Keyring(
        deployment,
        fixed_keys(settings),
        shared.store,
        required=settings.auth.required,
        cache_s=settings.auth.cache_s,
        every_s=min(EVERY_S, settings.auth.cache_s / 4),
        before=shared.seeding,
    )
    async with keyring.running():
        yield Access(
            keyring=keyring,
            counters=shared.counters,
            costs=Costs(pool.candidates, settings.reserve.output_tokens),
            common=deployment.common(),
        )


def asks_for_keys(settings: Settings) -> bool:
    """Whether a gateway of these settings asks for a key from its start.

    Raises:
        StoreError: the database cannot be opened.
    """
    if settings.auth.required or settings.keys:
        return True
    if settings.store is None:
        return False
    with closing(KeyStore(open_store(settings.store))) as store:
        return store.version() > 0


def fixed_keys(settings: Settings) -> list[Key]:
    """The keys that stand in the settings."""
    return [
        Key(
            id=f"file_{given.name}",
            name=given.name,
            sha256=given.sha256 or "",
            team=given.team,
            role=given.role,
            expires_ms=None if given.expires is None else round(given.expires.timestamp() * 1e3),
            grant=GrantSettings(**given.model_dump(include=set(GrantSettings.model_fields))),
        )
        for given in settings.keys
    ]


def _has_budgets(settings: Settings) -> bool:
    holders = (settings.limits, *settings.teams.values(), *settings.keys)
    return any(holder.budgets_usd for holder in holders)
