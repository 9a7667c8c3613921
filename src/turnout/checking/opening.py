"""Everything that settings name and that can be opened without the network, opened as `serve` does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from turnout.artifacts.certificates import read_certificates
from turnout.checking.findings import Finding, Findings
from turnout.encoders.named import NamedEncoders
from turnout.engine import Engine
from turnout.errors import InputError, MissingExtraError, TurnoutError
from turnout.gateway.calls.embedding import build_embeddings
from turnout.gateway.calls.mirroring import mirrored
from turnout.gateway.routing.routes import check_router_name, matching
from turnout.gateway.setup.building import build_pool, join_engine, open_configured
from turnout.gateway.setup.cataloging import build_catalog, check_auto, fallbacks_of
from turnout.routers.base import Router
from turnout.settings import Settings
from turnout.settings.loops import check_loops
from turnout.types import Pool


@dataclass(slots=True)
class Opened:
    """What could be opened."""

    pool: Pool
    engine: Engine | None = None
    """None where a router does not open, or they do not go together."""
    routers: dict[str, Router] = field(default_factory=dict)


def open_all(
    settings: Settings, found: Findings, *, whole: bool, all_routers: bool = True
) -> Opened:
    """Open routers, certificates, candidates and routes; what fails is added to `found`.

    Args:
        settings: as far as they could be read.
        found: told of what fails.
        whole: whether the candidates are all there, so that routes can be read against them.
        all_routers: whether the routers are.
    """
    check_loops(settings, found.say)
    _check_extras(settings, found)
    opened = Opened(build_pool(settings), routers=_open_routers(settings, found))
    check_auto(settings, found.say)
    sound = len(fallbacks_of(settings, found.say)) == sum(
        bool(r.fallback) for r in settings.routers.values()
    )
    sound &= _check_certificates(settings, found)
    if whole and sound and len(opened.routers) == len(settings.routers):
        opened.engine = found.trying(lambda: join_engine(settings, opened.routers), "routers")
    if opened.engine is None or not _check_engine(settings, opened.engine, found):
        _check_names(settings, found, candidates=whole, routers=all_routers)
    if settings.mirror is not None:
        given = settings.mirror
        found.trying(lambda: mirrored(given, opened.pool), "mirror.to")
    if settings.cache is not None and settings.cache.semantic is not None:
        encoder, field = settings.cache.semantic.encoder, "cache.semantic.encoder"
        found.trying(lambda: NamedEncoders(settings.encoders).open(encoder, field), field)
    if settings.learn is not None and settings.learn.keep is not None:
        check_writable(settings.learn.keep, "learn.keep", found)
    return opened


def _open_routers(settings: Settings, found: Findings) -> dict[str, Router]:
    encoders = NamedEncoders(settings.encoders)
    opened = {}
    for name in settings.routers:
        try:
            opened[name] = open_configured(settings, encoders, name)
        except TurnoutError as error:
            found.fail(error, _field_of(error, f"routers.{name}"))
    return opened


def _field_of(error: TurnoutError, default: str) -> str:
    """The setting that an error names, where it names one below this router or another section."""
    named = error.field if isinstance(error, InputError) else ""
    sections = ("routers.", "encoders.", "learn.")
    return named if named.startswith(sections) else default


def _check_certificates(settings: Settings, found: Findings) -> bool:
    """Whether every certificate that is named, or lies beside an artifact, can be read."""
    sound = True
    for name, router in settings.routers.items():
        for key, place in (("artifact", router.artifact), ("certificate", router.certificate)):
            if place is None or (key == "artifact" and not place.is_dir()):
                continue  # an artifact that is not there has been said
            try:
                read_certificates(place)
            except TurnoutError as error:
                found.fail(error, f"routers.{name}.{key}")
                sound = False
    return sound


def _check_engine(settings: Settings, engine: Engine, found: Findings) -> bool:
    """Whether every router fits the candidates, so that routes were read against them."""
    sound = True
    for name in engine.routers:
        try:
            engine.check_router(name)
        except TurnoutError as error:
            found.fail(error, _candidate_field(settings, error) or f"routers.{name}")
            sound = False
    if sound:
        embeddings = build_embeddings(settings.embeddings)
        found.trying(lambda: build_catalog(settings, engine, embeddings, found.say), "routes")
    for spec, watch in engine.watches.items():
        if watch.revoked is not None:
            found.add(
                Finding(
                    level="warning",
                    code="certificate-void",
                    field=f"routers.{spec.router}",
                    message=f"certificate {watch.id} does not hold here: {watch.revoked}",
                    remedy="certify again with `turnout calibrate`, or leave it out: its route goes "
                    f"to {watch.certificate.safe}",
                )
            )
    return sound


def _check_names(settings: Settings, found: Findings, *, candidates: bool, routers: bool) -> None:
    """The names in routes, which are right or wrong whatever else is broken."""
    names = [c.name for c in settings.candidates]
    for name, route in settings.routes.items():
        where = f"routes.{name}"
        if routers and route.router:
            check = partial(check_router_name, route.router, settings.routers, where)
            found.trying(check, f"{where}.router")
        for key in ("allow", "deny") if candidates else ():
            field = f"{where}.{key}"
            found.trying(partial(matching, names, getattr(route, key) or (), field), field)


def _candidate_field(settings: Settings, error: TurnoutError) -> str | None:
    """The candidate's own setting, where a router lacks something of one."""
    if not isinstance(error, InputError) or error.field != "price":
        return None
    at = [c.name for c in settings.candidates].index(str(error.value))
    return f"candidates[{at}].price"


_EXTRAS: Mapping[str, tuple[str, str, str]] = {
    "store": ("psycopg", "a PostgreSQL store", "postgres"),
    "counters": ("redis", "counters in Redis", "redis"),
    "conversations": ("redis", "conversations in Redis", "redis"),
    "providers": ("litellm", "a provider of kind litellm", "litellm"),
    "otel": ("opentelemetry.sdk", "otel in the settings", "otel"),
}
"""Section → the module that it needs, what for, and the extra that has it."""


def _check_extras(settings: Settings, found: Findings) -> None:
    wanted = {
        "store": settings.store is not None and settings.store.url is not None,
        "counters": settings.counters is not None,
        "conversations": settings.conversations.redis_url is not None,
        "providers": any(p.kind == "litellm" for p in settings.providers.values()),
        "otel": settings.otel.traces or settings.otel.metrics,
    }
    for section, (module, what, extra) in _EXTRAS.items():
        if wanted[section] and not _installed(module):
            found.fail(MissingExtraError(what, extra), section)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent
        return False


def check_writable(path: Path, field: str, found: Findings) -> None:
    """Say where nothing can be written at a path, or at the nearest folder that is there."""
    at = path
    while not at.exists() and at != at.parent:
        at = at.parent
    if not os.access(at, os.W_OK):
        remedy = "name a place that this user may write to"
        found.fail(InputError(field, str(path), remedy), field)


def redis_urls(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each Redis that settings name: the setting that its URL comes from, and the URL."""
    for section, given in (
        ("counters", settings.counters),
        ("conversations", settings.conversations),
    ):
        if given is not None and given.redis_url is not None:
            keys = ("redis_url_env", "redis_url_file")
            key = next((k for k in keys if getattr(given, k) is not None), "redis_url")
            yield f"{section}.{key}", given.redis_url.get_secret_value()


def facts_of(settings: Settings, opened: Opened) -> dict[str, Any]:
    """What there is, by name."""
    listed = [c.name for c in opened.pool.candidates if c.price is not None]
    own = [c.name for c in settings.candidates if c.price is not None]
    return {
        "candidates": list(opened.pool.names),
        "providers": list(settings.providers),
        "routers": {name: router.fingerprint for name, router in opened.routers.items()},
        "prices": {
            "own": own,
            "list": [name for name in listed if name not in own],
            "none": [c.name for c in opened.pool.candidates if c.price is None],
        },
        "certificates": [] if opened.engine is None else opened.engine.certificates(),
    }
