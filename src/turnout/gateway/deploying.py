"""One set of settings in service, and how another takes its place while requests are under way."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType

from turnout.access.gate import Access
from turnout.encoders.named import NamedEncoders
from turnout.engine import Engine
from turnout.errors import SettingsError, TurnoutError
from turnout.execution.hedging import Hedges
from turnout.execution.resilience import Resilience
from turnout.gateway.beside import Beside
from turnout.gateway.calls.booking import Books
from turnout.gateway.calls.embedding import build_embeddings
from turnout.gateway.calls.hedging import Hedging, hedge_rules
from turnout.gateway.calls.mirroring import Mirror
from turnout.gateway.calls.recording import Observer, Recorder
from turnout.gateway.express.lane import lane_of
from turnout.gateway.http.hops import Hops
from turnout.gateway.kept.idempotency.once import Once
from turnout.gateway.routing.deciding import Deciding
from turnout.gateway.routing.learning import Keeper
from turnout.gateway.serving import Serving
from turnout.gateway.sessions.conversing import Conversing
from turnout.gateway.setup.accessing import Shared, running_access
from turnout.gateway.setup.alarm_building import build_alarm
from turnout.gateway.setup.building import (
    build_engine,
    build_providers,
    build_resilience,
    build_rules,
    priced_pool,
)
from turnout.gateway.setup.cache_building import Caches, may_stay, open_caches
from turnout.gateway.setup.cataloging import build_catalog, check_auto
from turnout.providers.base import Provider
from turnout.providers.litellm.provider import LitellmProvider
from turnout.routers.base import Router
from turnout.routers.learning import LearningRouter
from turnout.settings import Settings
from turnout.store.ledger import Ledger

log = logging.getLogger("turnout.gateway")

RELOADED = frozenset({
    "alarm", "allow_passthrough", "auth", "auto", "cache", "candidates", "default", "embeddings", "encoders",
    "experiments", "explore", "idempotency", "keys", "limits", "max_body_bytes", "mirror", "providers",
    "reserve", "resilience", "response_model", "routers", "routes", "server", "shadow",
    "teams",
})  # fmt: skip
"""Settings that may change while the gateway runs; all others are read once, at its start."""


class Deployment:
    """What serves under one set of settings. A `with` block holds it open for one request.

    Args:
        settings: that it was built from.
        serving: serves requests.
        problem: why it is not ready, or None.
        caches: what answers are kept in.
        stack: closes its providers, and the caches unless another deployment has taken them.
    """

    __slots__ = (
        "_idle", "_retired", "_stack", "_users", "caches", "lane", "problem", "serving", "settings",
    )  # fmt: skip

    def __init__(
        self,
        settings: Settings,
        serving: Serving,
        problem: str | None,
        caches: Caches,
        stack: AsyncExitStack,
    ) -> None:
        self.settings, self.serving, self.problem = settings, serving, problem
        self.lane = lane_of(serving)
        self.caches, self._stack = caches, stack
        self._users = 0
        self._retired = False
        self._idle = asyncio.Event()

    def __enter__(self) -> Serving:
        self._users += 1
        return self.serving

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._users -= 1
        if self._retired and not self._users:
            self._idle.set()

    async def retire(self) -> None:
        """Close it, once the last request that began with it is over."""
        self._retired = True
        if self._users:
            await self._idle.wait()
        await self._stack.aclose()


async def deploy(
    settings: Settings,
    shared: Shared,
    *,
    engine: Engine | None = None,
    providers: Mapping[str, Provider] | None = None,
    ledger: Ledger | None = None,
    observers: Sequence[Observer] = (),
    hops: Hops | None = None,
    once: Once | None = None,
    before: Deployment | None = None,
) -> Deployment:
    """Open what serves under these settings. Nothing is in service until the caller puts it there.

    Args:
        settings: checked.
        shared: what access keeps while settings change.
        engine: decides; default: built from the settings, off the event loop.
        providers: by name, not open yet; default: built from the settings.
        ledger: open; None keeps no records.
        observers: told of every record.
        hops: of this process; default: a new one.
        once: serves requests with idempotency keys, where the settings say so.
        before: what serves until now: what was learned of upstreams and traffic is taken over.

    Raises:
        TurnoutError: something cannot be opened; all that was is closed again.
    """
    check_auto(settings)
    encoders = NamedEncoders(settings.encoders)
    if engine is None:
        engine = await asyncio.to_thread(build_engine, settings, _learned(before), encoders)
    if before is not None:
        _take_over(engine, before.serving.engine)
    stack = AsyncExitStack()
    try:
        hops = hops or Hops()
        kept = {} if before is None else _going_on(before, settings)
        given = providers or build_providers(settings, hop=hops.name, kept=kept)
        opened = {n: await stack.enter_async_context(p) for n, p in given.items()}
        beside = Beside(settings.server.decision_timeout_s)
        stack.callback(beside.close)
        embeddings = build_embeddings(settings.embeddings)
        resilience = build_resilience(settings, engine, embeddings)
        if before is not None:
            _take_over_health(resilience, before, settings)
        deciding = Deciding(engine=engine, beside=beside)
        await deciding.warm()
        conversing = Conversing(
            engine=engine,
            resilience=resilience,
            providers=opened,
            settings=settings.conversations,
            sharing=shared.sharing,
            before=None if before is None else before.serving.conversing.table,
        )
        access = await stack.enter_async_context(
            running_access(settings, engine.pool, shared, starting=before is None)
        )
        recorder = Recorder(
            ledger=ledger,
            books=Books(priced_pool(engine, embeddings)),
            observers=(access, conversing, *observers),
        )
        catalog = build_catalog(settings, engine, embeddings)
        caches = await _caches(settings, encoders, before, stack)
        serving = Serving(
            engine=engine,
            providers=opened,
            catalog=catalog,
            embeddings=embeddings,
            resilience=resilience,
            deciding=deciding,
            conversing=conversing,
            recorder=recorder,
            access=access,
            rules=build_rules(settings),
            max_body_bytes=settings.max_body_bytes,
            hops=hops,
            once=once if settings.idempotency.enabled else None,
            hedging=_hedging(settings, access, recorder, before),
            cache=caches.exact,
            semantic=caches.semantic,
            mirror=_mirror(settings, engine, opened, ledger, before),
            alarm=build_alarm(
                settings.alarm, engine, catalog, None if before is None else before.serving.alarm
            ),
        )
        if serving.mirror is not None:
            stack.push_async_callback(serving.mirror.close)
        if settings.learn is not None:
            keeper = Keeper(engine, settings.learn, settings.routers)
            await stack.enter_async_context(keeper.running())
    except BaseException:
        await stack.aclose()
        raise
    if once is not None:
        once.take_limits(settings.idempotency)
    if before is not None and caches is before.caches:
        # Last of all: a deployment that fails must leave them to the one that serves.
        caches = before.caches.handed_over()
        stack.push_async_callback(caches.stack.aclose)
    return Deployment(settings, serving, _problem(engine), caches, stack)


async def _caches(
    settings: Settings,
    encoders: NamedEncoders,
    before: Deployment | None,
    stack: AsyncExitStack,
) -> Caches:
    """Those of before, where what they keep holds still; else new ones, which `stack` closes."""
    if before is not None and may_stay(before.settings, settings):
        return before.caches
    caches = await open_caches(settings, encoders)
    stack.push_async_callback(caches.stack.aclose)
    return caches


def _hedging(
    settings: Settings, access: Access, recorder: Recorder, before: Deployment | None
) -> Hedging | None:
    rules = hedge_rules(settings.candidates)
    if not rules:
        return None
    hedging = Hedging(Hedges(rules, time.monotonic), access, recorder)
    old = None if before is None else before.serving.hedging
    if old is not None:
        hedging.take_over(old)
    return hedging


def _mirror(
    settings: Settings,
    engine: Engine,
    providers: Mapping[str, Provider],
    ledger: Ledger | None,
    before: Deployment | None,
) -> Mirror | None:
    if settings.mirror is None:
        return None
    mirror = Mirror(
        settings.mirror,
        engine=engine,
        providers=providers,
        rules=build_rules(settings),
        resilience=build_resilience(settings, engine),
        ledger=ledger,
        rng=random.Random(),  # noqa: S311 - draws requests, no secret
    )
    old = None if before is None else before.serving.mirror
    if old is not None:
        mirror.take_over(old)
    return mirror


def check_change(old: Settings, new: Settings) -> None:
    """Raise where a change cannot be made while the gateway runs.

    Raises:
        SettingsError: names the setting and says to start anew.
    """
    for name in type(new).model_fields:
        if name not in RELOADED and getattr(old, name) != getattr(new, name):
            raise SettingsError(name, _Changed(), "restart the gateway to change this setting")
    if new.learn is not None and old.routers != new.routers:
        remedy = "restart the gateway: routers that learn cannot be exchanged while they do"
        raise SettingsError("routers", _Changed(), remedy)


class _Changed:
    """Stands for a value that may be a secret."""

    def __repr__(self) -> str:
        return "another value than it runs with"


def _learned(before: Deployment | None) -> dict[str, Router]:
    """The routers that learn go on with what they know; all others are opened again."""
    if before is None or before.settings.learn is None:
        return {}
    routers = before.serving.engine.routers
    return {name: router for name, router in routers.items() if isinstance(router, LearningRouter)}


def _take_over(new: Engine, old: Engine) -> None:
    """Counts go on, and a certificate that traffic has revoked stays revoked."""
    new.fallbacks += old.fallbacks
    known = {watch.id: watch for watch in old.watches.values()}
    for spec, watch in new.watches.items():
        new.watches[spec] = known.get(watch.id, watch)


def _take_over_health(new: Resilience, before: Deployment, settings: Settings) -> None:
    """What is known of targets whose provider is set up as before; of others nothing is."""
    new.take_over(before.serving.resilience, _same(before, settings))


def _same(before: Deployment, settings: Settings) -> set[str]:
    """The providers that are set up as before."""
    known = before.settings.providers
    return {name for name, given in settings.providers.items() if known.get(name) == given}


def _going_on(before: Deployment, settings: Settings) -> dict[str, Provider]:
    """Those of them that are processes, which are not started again for nothing."""
    open_now = before.serving.providers
    return {
        name: open_now[name]
        for name in _same(before, settings)
        if isinstance(open_now[name], LitellmProvider)
    }


def _problem(engine: Engine) -> str | None:
    """Why this engine is not ready: a router that does not fit the candidates."""
    try:
        engine.check()
    except TurnoutError as error:
        log.error("not ready, the default candidate serves: %s", error)
        return str(error)
    return None
