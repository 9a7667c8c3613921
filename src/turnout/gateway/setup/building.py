"""From settings to the things that serve: candidates, engine, providers."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping

from turnout.access import keystore
from turnout.artifacts.certificates import certificates_of, open_watches
from turnout.artifacts.opening import open_router
from turnout.encoders.named import NamedEncoders
from turnout.engine import Engine
from turnout.execution.attempts import Target
from turnout.execution.health import BreakerRules
from turnout.execution.resilience import Resilience, RetryRules
from turnout.gateway.calls.embedding import Embeddings
from turnout.gateway.routing.learning import kept_artifact
from turnout.gateway.setup.cataloging import check_auto, fallbacks_of
from turnout.gateway.setup.prices import read_price
from turnout.policies.explore import Explore
from turnout.pricing import with_list_values
from turnout.providers.base import Provider
from turnout.providers.endpoint import HttpProvider
from turnout.providers.http.connection import Waits
from turnout.providers.litellm.provider import LitellmProvider
from turnout.routers.base import Router
from turnout.settings import CandidateSettings, ProviderSettings, Settings, StoreSettings
from turnout.store import feedback, records
from turnout.store.database import Database, open_database
from turnout.store.ledger import Ledger
from turnout.store.records import RecordTable
from turnout.types import Candidate, Pool
from turnout.wire.translate.target import Target as Rules

SCHEMAS = (records.SCHEMA, feedback.SCHEMA, keystore.SCHEMA)
"""All that a store holds."""


def build_pool(settings: Settings) -> Pool:
    """The candidates, strongest first; prices and windows that are not given are list values."""
    candidates = tuple(_candidate(c) for c in settings.candidates)
    return Pool(candidates=candidates, default=settings.default)


def build_engine(
    settings: Settings,
    opened: Mapping[str, Router] | None = None,
    encoders: NamedEncoders | None = None,
) -> Engine:
    """Open every router and check it against the candidates. No key is used and nothing is called.

    Args:
        settings: checked.
        opened: routers that are taken as they are, by name.
        encoders: those of the settings, where others share them.

    Raises:
        TurnoutError: a router that does not exist, does not open, or does not know a candidate.
        SettingsError: `auto` does not name a route.
    """
    encoders = encoders or NamedEncoders(settings.encoders)
    opened = opened or {}
    routers = {
        name: opened.get(name) or open_configured(settings, encoders, name)
        for name in settings.routers
    }
    check_auto(settings)
    engine = join_engine(settings, routers)
    engine.check()
    return engine


def open_configured(settings: Settings, encoders: NamedEncoders, name: str) -> Router:
    """One of the settings' routers.

    Raises:
        TurnoutError: it does not exist, or does not open.
    """
    router = settings.routers[name]
    return open_router(
        name,
        artifact=kept_artifact(settings.learn, name, router),
        options=encoders.in_options(name, router.options) or None,
    )


def join_engine(settings: Settings, routers: Mapping[str, Router]) -> Engine:
    """The engine over open routers, which are not checked against the candidates.

    Raises:
        SettingsError: a fallback that is not a route over the configured routers.
        ArtifactError: a certificate that cannot be read.
    """
    pool = build_pool(settings)
    certificates = {
        name: certificates_of(router.artifact, router.certificate)
        for name, router in settings.routers.items()
    }
    return Engine(
        pool,
        routers,
        fallbacks=fallbacks_of(settings),
        explore=_explore(settings),
        spares=settings.resilience.spares,
        watches=open_watches(certificates, routers, pool.candidates),
    )


def _explore(settings: Settings) -> Explore | None:
    given = settings.explore
    return None if given is None else Explore(**given.model_dump())


def build_providers(
    settings: Settings, *, hop: str = "", kept: Mapping[str, Provider] | None = None
) -> dict[str, Provider]:
    """A client for each provider, by name; open them with `async with`.

    Args:
        settings: checked.
        hop: names this process to upstreams, so that a request that comes round is known.
        kept: clients that are taken as they are, by name.
    """
    kept = kept or {}
    return {
        name: kept.get(name) or _provider(name, given, hop)
        for name, given in settings.providers.items()
    }


def build_resilience(
    settings: Settings, engine: Engine, embeddings: Embeddings | None = None
) -> Resilience:
    """The health of every target, unknown yet, and the budget of further calls."""
    given, embeddings = settings.resilience, embeddings or {}
    return Resilience(
        targets={
            **{c.name: _targets(c, engine) for c in settings.candidates},
            **{name: model.targets for name, model in embeddings.items()},
        },
        windows={c.name: c.context_tokens for c in engine.pool.candidates},
        clock=time.monotonic,
        rng=random.Random(),  # noqa: S311 - jitter and a choice of targets, no secret
        breaker=BreakerRules(
            consecutive=given.breaker_failures,
            share=given.breaker_share,
            open_s=given.breaker_open_s,
        ),
        retries=RetryRules(most=given.retries, budget_share=given.retry_budget),
    )


def priced_pool(engine: Engine, embeddings: Embeddings) -> Pool:
    """Every model that a request may be charged for: the candidates, and the embedding models."""
    models = tuple(model.candidate for model in embeddings.values())
    return Pool(candidates=engine.pool.candidates + models, default=engine.pool.default)


def build_ledger(settings: Settings) -> Ledger | None:
    """Where records are kept, not opened yet; None where none are."""
    given = settings.store
    if given is None:
        return None
    return Ledger(
        given.journal_folder,
        lambda: RecordTable(open_store(given)),
        most_bytes=given.journal_bytes,
        sync=given.sync,
    )


def open_store(given: StoreSettings) -> Database:
    """A connection of its own to the database that the settings name.

    Raises:
        StoreError: it cannot be opened.
        MissingExtraError: it needs psycopg.
    """
    url = None if given.url is None else given.url.get_secret_value()
    return open_database(url or given.path or "")


def build_rules(settings: Settings) -> dict[str, Rules]:
    """Candidate → what its model takes of a request that is translated for it."""
    return {
        c.name: Rules(
            dialect="chat",  # the endpoint that is called decides
            model=c.model or c.name,
            max_output_tokens=c.max_output_tokens,
            thinking=c.thinking,
            sampling=c.sampling,
        )
        for c in settings.candidates
    }


def _targets(given: CandidateSettings, engine: Engine) -> list[Target]:
    """The candidate's own endpoint, then its replicas."""
    model = engine.pool[given.name].model
    own = Target(given.name, given.provider or "", model)
    return [own, *(Target(given.name, t.provider, t.model or model) for t in given.replicas)]


def _candidate(given: CandidateSettings) -> Candidate:
    price = given.price
    candidate = Candidate(
        name=given.name,
        upstream_model=given.model or "",
        provider=given.provider or "",
        price=None if price is None else read_price(price),
        context_tokens=given.context_tokens,
        max_output_tokens=given.max_output_tokens,
        capabilities=None if given.capabilities is None else frozenset(given.capabilities),
        known_as=given.known_as,
        effort=given.effort,
        arm_output_tokens=given.arm_output_tokens,
    )
    return with_list_values(candidate)


def _provider(name: str, given: ProviderSettings, hop: str) -> Provider:
    key = None if given.api_key is None else given.api_key.get_secret_value()
    waits = Waits(
        connect_s=given.connect_timeout_s,
        first_byte_s=min(given.first_byte_timeout_s, given.timeout_s),
        idle_s=min(given.idle_timeout_s, given.timeout_s),
    )
    if given.kind == "litellm":
        return LitellmProvider(
            name,
            environ={variable: os.environ.get(variable, "") for variable in given.env},
            options=given.options,
            api_key=key,
            api_base=given.base_url,
            waits=waits,
            timeout_s=given.timeout_s,
        )
    return HttpProvider(
        name,
        given.base_url or "",
        api_key=key,
        dialect=given.api,
        stream_usage=given.stream_usage,
        waits=waits,
        timeout_s=given.timeout_s,
        headers={k: v.get_secret_value() for k, v in given.headers.items()},
        allow_link_local=given.allow_link_local,
        hop=hop,
    )
