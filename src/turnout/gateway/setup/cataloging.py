"""From settings to what `model` may say: routes, arms, `auto`, and the routes that stand in for others."""

from __future__ import annotations

from turnout.engine import Engine
from turnout.errors import InputError, SettingsError, UnknownNameError
from turnout.gateway.calls.embedding import Embeddings
from turnout.gateway.routing.experiments import build_experiments
from turnout.gateway.routing.models import Catalog
from turnout.gateway.routing.routes import HALF, Route, build_routes, default_router
from turnout.names import RouteSpec, format_route, parse_route
from turnout.settings import AUTO, Settings
from turnout.settings.problems import Say, stop


def fallbacks_of(settings: Settings, say: Say = stop) -> dict[str, RouteSpec]:
    """Router → the route that stands in for it; `say` is told of one over no configured router."""
    found = {}
    for name, router in settings.routers.items():
        if router.fallback:
            try:
                found[name] = _own_route(settings, f"routers.{name}.fallback", router.fallback)
            except SettingsError as error:
                say(error)
    return found


def _own_route(settings: Settings, field: str, route: str) -> RouteSpec:
    try:
        return parse_route(route, routers=settings.routers, field=field)
    except InputError as error:
        raise SettingsError(field, route, error.remedy) from error
    except UnknownNameError as error:
        raise SettingsError(field, route, str(error)) from error


def build_catalog(
    settings: Settings,
    engine: Engine,
    embeddings: Embeddings | None = None,
    say: Say = stop,
) -> Catalog:
    """What `model` may say.

    Args:
        settings: checked.
        engine: of them.
        embeddings: the models that embed.
        say: told of routes, arms and a shadow that cannot be; they are left out.
    """
    routes = build_routes(settings, engine, say)
    shadow = settings.shadow
    if shadow and shadow not in settings.routes:
        try:
            _own_route(settings, "shadow", shadow)
        except SettingsError as error:
            say(error)
            shadow = ""
    if shadow in settings.routes and shadow not in routes:
        shadow = ""
    catalog = Catalog(
        engine,
        auto_route(settings, engine),
        settings.allow_passthrough,
        routes=routes,
        as_requested=settings.response_model == "requested",
        embeddings=embeddings or {},
        experiments=build_experiments(settings.experiments),
        shadow=(routes.get(shadow) or Route(spec=engine.parse(shadow))) if shadow else None,
    )
    _check_arms(settings, catalog, say)
    return catalog


def _check_arms(settings: Settings, catalog: Catalog, say: Say) -> None:
    for name, experiment in settings.experiments.items():
        for arm, model in experiment.arms.items():
            field = f"experiments.{name}.arms.{arm}"
            if model == AUTO or model in settings.experiments:
                remedy = "name a route or a candidate, and no other experiment"
                say(SettingsError(field, model, remedy))
            elif model not in settings.routes:  # those are checked by themselves
                _check_arm(field, model, catalog, say)


def _check_arm(field: str, model: str, catalog: Catalog, say: Say) -> None:
    try:
        catalog.resolve(model)
    except (InputError, UnknownNameError) as error:
        say(SettingsError(field, model, str(error)))


def auto_route(settings: Settings, engine: Engine) -> str:
    """The route that model `auto` means.

    The one that is named, else that of the last certificate, else half strong calls by `blend`.
    """
    if settings.auto:
        return settings.auto
    certified = engine.certified_route()
    if certified is not None:
        return format_route(certified)
    return format_route(engine.route_for_share(default_router(engine), HALF))


def check_auto(settings: Settings, say: Say = stop) -> None:
    """Say where `auto` is given and names neither a configured route nor one over the routers."""
    if settings.auto and settings.auto not in {*settings.routes, *settings.experiments}:
        try:
            _own_route(settings, "auto", settings.auto)
        except SettingsError as error:
            say(error)
