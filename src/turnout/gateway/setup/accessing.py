"""From settings to who may ask, and what each path asks of its caller."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from turnout.access.counters import Counters
from turnout.access.gate import Access
from turnout.access.identity import Deployment
from turnout.access.keyring import EVERY_S, Keyring
from turnout.access.keys import Key
from turnout.access.keystore import KeyStore
from turnout.access.late import LateKeys
from turnout.access.memory import MemoryCounters
from turnout.access.redis_counters import RedisCounters
from turnout.access.redis_link import RedisLink
from turnout.access.seeding import Seeding
from turnout.access.worst import Costs
from turnout.errors import ForbiddenError
from turnout.gateway.calls.embedding import build_embeddings
from turnout.gateway.http.asgi import Call
from turnout.gateway.http.browsers import check_named_host, check_no_foreign_page
from turnout.gateway.sessions.sharing import Sharing, sharing_of
from turnout.gateway.setup.building import open_store
from turnout.settings import Settings, StoreSettings
from turnout.settings.access import CounterSettings, GrantSettings
from turnout.types import Pool

log = logging.getLogger("turnout.gateway")

Door: TypeAlias = Literal["anyone", "key", "admin"]

DOORS: Mapping[str, Door] = {
    "/healthz": "anyone",
    "/readyz": "anyone",
    "/metrics": "admin",
    "/dashboard": "admin",
    "/dashboard.css": "admin",
    "/alarms": "admin",
}
"""Who may call a path (without `/v1`). What is not here asks for a key, paths that do not exist too."""


def let_in(call: Call, path: str, access: Access) -> None:
    """Find out who calls a path, and whether they may.

    Where no key exists, nobody is asked for one.

    Raises:
        AuthenticationError: no key, or none that is valid.
        ForbiddenError: it takes an admin's key, or a web page asks that may not.
        AccessDownError: the keys cannot be read.
    """
    door = DOORS.get(path, "key")
    if door == "anyone":
        return
    if "origin" in call.headers:
        check_no_foreign_page(call)
    call.identity = access.identify(call.headers)
    if door != "admin":
        return
    if call.identity is None:
        check_named_host(call, path)
    elif call.identity.role != "admin":
        raise ForbiddenError(f"{path} asks for the key of an admin")


@dataclass(frozen=True, slots=True)
class Shared:
    """What stays while settings change: counts, and the connections to keys and other gateways."""

    counters: Counters
    store: LateKeys | None
    seeding: Seeding | None
    sharing: Sharing | None
    """Of conversations, with other gateways."""


@asynccontextmanager
async def shared_access(settings: Settings) -> AsyncIterator[Shared]:
    """The counters, the database of keys and the shared conversations, while the block runs.

    Raises:
        MissingExtraError: counters in Redis need its client.
    """
    async with AsyncExitStack() as stack:
        store = None
        if settings.store is not None:
            given = settings.store
            store = LateKeys(lambda: _open_keys(given))
            stack.callback(store.close)
        counters: Counters
        if settings.counters is None:
            counters = MemoryCounters()
        else:
            counters = _redis_counters(settings.counters)
            await stack.enter_async_context(counters.link.running())
        seeding = None if store is None else Seeding(counters, store)
        if isinstance(counters, RedisCounters) and seeding is not None:
            counters.seed_again = seeding.again
        sharing = sharing_of(settings)
        if sharing is not None:
            await stack.enter_async_context(sharing.running())
        yield Shared(counters, store, seeding, sharing)


def _open_keys(given: StoreSettings) -> KeyStore:
    database = open_store(given)
    try:
        return KeyStore(database)
    except BaseException:
        database.close()
        raise


def _redis_counters(given: CounterSettings) -> RedisCounters:
    url = "" if given.redis_url is None else given.redis_url.get_secret_value()
    return RedisCounters(
        link=RedisLink(url=url, timeout_s=given.timeout_s),
        hold_s=given.hold_s,
        local=MemoryCounters(share=given.local_share) if given.when_down == "local" else None,
        prefix=given.prefix,
    )


@asynccontextmanager
async def running_access(
    settings: Settings, pool: Pool, shared: Shared, *, starting: bool = True
) -> AsyncIterator[Access]:
    """Who may ask under these settings, kept up to date while the block runs.

    Args:
        settings: checked.
        pool: of the candidates.
        shared: what stays while settings change.
        starting: whether nothing serves yet, so that nothing is lost where the database is away.

    Raises:
        StoreError: the database cannot be read.
    """
    embedding_models = build_embeddings(settings.embeddings)
    deployment = Deployment(
        candidates=(*pool.names, *embedding_models),
        teams=settings.teams,
        everyone=settings.limits,
    )
    if shared.seeding is None and settings.counters is None and has_budgets(settings):
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
    async with keyring.running(late=starting):
        yield Access(
            keyring=keyring,
            counters=shared.counters,
            costs=Costs(pool.candidates, settings.reserve.output_tokens),
            embedding_costs=Costs([m.candidate for m in embedding_models.values()], 0),
            common=deployment.common(),
            send_limit=settings.reserve.output_tokens if settings.reserve.send_limit else None,
        )


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


def has_budgets(settings: Settings) -> bool:
    """Whether a key, a team or the gateway as a whole has money to spend."""
    holders = (settings.limits, *settings.teams.values(), *settings.keys)
    return any(holder.budgets_usd for holder in holders)
