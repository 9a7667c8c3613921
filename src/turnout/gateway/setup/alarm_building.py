"""From settings to the routes that the strong-share alarm watches, and what is to be expected of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnout.engine import Engine
from turnout.errors import InputError, SettingsError, UnknownNameError
from turnout.gateway.routing.alarming import RouteKey, StrongShareAlarm, WatchedRoute, dearest_first
from turnout.gateway.routing.models import Catalog
from turnout.gateway.routing.routes import Route
from turnout.names import RouteSpec
from turnout.settings import AUTO, AlarmSettings
from turnout.types import Candidate


def build_alarm(
    settings: AlarmSettings | None,
    engine: Engine,
    catalog: Catalog,
    before: StrongShareAlarm | None = None,
) -> StrongShareAlarm | None:
    """The alarm over the routes of the settings; None where there is none.

    Args:
        settings: see `AlarmSettings`.
        engine: decides.
        catalog: knows the routes.
        before: the one whose place it takes; keys stay as they are, and routes that stay the same.

    Raises:
        SettingsError: a share of something that is no route here.
    """
    if settings is None:
        return None
    shares = {_key(r): share for r, share in _given(settings, catalog).values()}
    routes: dict[RouteKey, WatchedRoute] = {}
    for route in _routes(engine, catalog):
        made = _watched(route, engine, shares.get(_key(route)))
        if made is not None:
            routes[_key(route)] = made
    if before is not None:
        for key, route_before in before.routes.items():
            if key in routes and routes[key].candidates == route_before.candidates:
                routes[key].others = route_before.others
    return StrongShareAlarm(
        settings, engine.pool, routes, None if before is None else before.remembered
    )


def _given(settings: AlarmSettings, catalog: Catalog) -> dict[str, tuple[Route, float]]:
    found = {}
    for name, share in settings.strong_share.items():
        field = f"alarm.strong_share.{name}"
        try:
            target = catalog.resolve(name)
        except (InputError, UnknownNameError) as error:
            raise SettingsError(field, name, str(error)) from error
        if isinstance(target, Candidate):
            raise SettingsError(field, name, "a candidate is not routed; name a route")
        found[name] = (target, share)
    return found


def _routes(engine: Engine, catalog: Catalog) -> Iterator[Route]:
    """Those that the settings name, in any way, and those of certificates."""
    yield from catalog.routes.values()
    names = [AUTO] if catalog.auto not in catalog.experiments else []
    names += [model for e in catalog.experiments.values() for _, model in e.arms]
    for name in names:
        target = catalog.resolve(name)
        if isinstance(target, Route):
            yield target
    for spec in engine.watches:
        yield Route(spec=spec)


def _key(route: Route) -> RouteKey:
    return (route.name, route.spec.router, route.spec.knob)


def _watched(route: Route, engine: Engine, share: float | None) -> WatchedRoute | None:
    allow = route.limits.allow
    names = [n for n in dearest_first(engine.pool) if allow is None or n in allow]
    if len(names) < 2 or route.serves:
        return None
    if share is None and allow is None:
        share = _certified(route.spec, engine, names)
    return WatchedRoute(strong=names[0], candidates=len(names), reference=share)


def _certified(spec: RouteSpec, engine: Engine, names: Sequence[str]) -> float | None:
    """The upper end of the share that a certificate of this route takes for no change."""
    watch = engine.watches.get(spec)
    if watch is None or watch.certificate.strong != names[0]:
        return None
    return watch.certificate.watched.share_high
