"""Routes that settings name: a router, a knob, and limits that a request may tighten, never widen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from turnout.calibration.watch import Watch
from turnout.engine import Engine
from turnout.errors import InputError, RequestError, SettingsError, TurnoutError, suggest
from turnout.names import RouteSpec
from turnout.policies.constraints import NO_LIMITS, Limits
from turnout.settings import RouteSettings, Settings
from turnout.settings.problems import Say, stop
from turnout.types import PICO
from turnout.wire.asks import KNOBS, Asks

PROMISES = ("floor", "max_loss")
"""Knobs that a certificate must stand behind."""
HALF = 0.5
"""Share of strong calls where a route names no knob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way to decide."""

    name: str = ""
    """As settings call it; empty for one that is written out, such as `router-mf-0.5`."""
    spec: RouteSpec
    limits: Limits = NO_LIMITS
    as_requested: bool = False
    """Whether replies name the model that was asked for, not the one that answered."""
    serves: str = ""
    """The candidate that answers while this route decides in record only; empty: it decides."""


def build_routes(settings: Settings, engine: Engine, say: Say = stop) -> dict[str, Route]:
    """The routes of settings, by name.

    Args:
        settings: whose `routes` are read.
        engine: whose routers, candidates and certificates they speak of.
        say: told of a router or a pattern that names nothing here, and of a promise without a
            certificate; such a route is left out.
    """
    found = {}
    for name, given in settings.routes.items():
        try:
            found[name] = _route(name, given, settings, engine)
        except SettingsError as error:
            say(error)
    return found


def _route(name: str, given: RouteSettings, settings: Settings, engine: Engine) -> Route:
    where = f"routes.{name}"
    asks = Asks(**{knob: getattr(given, knob) for knob in KNOBS}, router=given.router or None)
    try:
        base = RouteSpec(given.router or default_router(engine), HALF)
        if asks.knob is None:
            asks = Asks(strong_share=HALF)
        spec = spec_of(engine, base, asks, where=where)
        allow = narrowed(engine, None, given.allow, given.deny, where=where)
        check_promise(asks, allow, given.max_cost_usd, where=where)
    except InputError as error:
        raise SettingsError(error.field, error.value, error.remedy) from error
    except TurnoutError as error:
        raise SettingsError(where, name, str(error)) from error
    said = given.response_model or settings.response_model
    return Route(
        name=name,
        spec=spec,
        limits=bounds(spec, allow, picousd(given.max_cost_usd)),
        as_requested=said == "requested",
        serves=(given.serves or settings.default) if given.mode == "shadow" else "",
    )


def bounds(
    spec: RouteSpec | None, allow: frozenset[str] | None, max_cost_picousd: int | None
) -> Limits:
    """The limits of a request for a route; None: for a candidate by its name."""
    priced = spec is not None and spec.usd_per_quality is not None
    return Limits(allow=allow, max_cost_picousd=max_cost_picousd, priced=priced)


def default_router(engine: Engine) -> str:
    """The router that serves where none is named."""
    return "blend" if "blend" in engine.routers else next(iter(engine.routers))


def picousd(usd: float | None) -> int | None:
    """USD in picodollars."""
    return None if usd is None else round(usd * PICO)


def spec_of(engine: Engine, base: RouteSpec, asks: Asks, *, where: str = "turnout") -> RouteSpec:
    """Router and knob, where some of it is asked for.

    Args:
        engine: whose routers and certificates count.
        base: what holds where nothing is asked.
        asks: at most one knob.
        where: for errors.

    Raises:
        RequestError: a router that is not here, one without a knob, or a promise that no certificate
            keeps.
    """
    knob, router = asks.knob, asks.router or base.router
    check_router_name(router, engine.routers, where)
    if knob is None:
        if router != base.router:
            remedy = (
                f"give a knob with it, one of {', '.join(KNOBS)}: each router has its own scale"
            )
            raise RequestError(f"{where}.router", router, remedy)
        return base
    value = getattr(asks, knob)
    if knob == "threshold":
        return RouteSpec(router, value)
    if knob == "strong_share":
        return engine.route_for_share(router, value)
    if knob == "willingness_to_pay_usd":
        return RouteSpec(router, 0.0, value)
    return _certified(engine, asks.router, knob, value, where)


def check_router_name(router: str, known: Collection[str], where: str) -> None:
    """Whether there is a router of that name.

    Raises:
        RequestError: there is none.
    """
    if router not in known:
        names = sorted(known)
        remedy = f"name one of: {', '.join(names)}.{suggest(router, names)}"
        raise RequestError(f"{where}.router", router, remedy)


def _certified(
    engine: Engine, router: str | None, kind: str, value: float, where: str
) -> RouteSpec:
    """The route of a certificate that promises at least this; of several the one that saves most.

    One that is revoked counts after all others: its safe model then keeps the promise.
    """
    found = [
        (watch.revoked is None, _saving(watch), i, spec)
        for i, (spec, watch) in enumerate(engine.watches.items())
        if router in (None, spec.router) and _keeps(watch, kind, value)
    ]
    if found:
        return max(found)[3]
    promised = sorted(
        f"{w.certificate.promise.value:g}"
        for w in engine.watches.values()
        if w.certificate.promise.kind == kind
    )
    raise RequestError(
        f"{where}.{kind}",
        value,
        f"no certificate here promises that (promised: {', '.join(promised) or 'nothing'}); make one "
        "with `turnout calibrate`, or give a threshold",
    )


def _keeps(watch: Watch, kind: str, value: float) -> bool:
    promise = watch.certificate.promise
    if promise.kind != kind or promise.risk != "all":
        return False
    return promise.value >= value if promise.higher_is_better else promise.value <= value


def _saving(watch: Watch) -> float:
    saving = watch.certificate.saving
    return 0.0 if saving is None else saving.value


def narrowed(
    engine: Engine,
    allowed: frozenset[str] | None,
    allow: Sequence[str] | None,
    deny: Sequence[str] | None,
    *,
    where: str = "turnout",
) -> frozenset[str] | None:
    """The candidates that may serve: those allowed so far, of them the allowed, less the denied.

    Raises:
        RequestError: a pattern that matches no candidate.
    """
    if allow is None and deny is None:
        return allowed
    names = engine.pool.names
    found = frozenset(names) if allowed is None else allowed
    if allow is not None:
        found &= matching(names, allow, f"{where}.allow")
    return found if deny is None else found - matching(names, deny, f"{where}.deny")


def matching(names: Sequence[str], patterns: Sequence[str], field: str) -> frozenset[str]:
    """The names that patterns mean.

    Raises:
        RequestError: a pattern that matches none.
    """
    found: set[str] = set()
    for pattern in patterns:
        hit = [n for n in names if n == pattern or fnmatchcase(n, pattern)]
        if not hit:
            hint = suggest(pattern, names)
            raise RequestError(
                field, pattern, f"no candidate matches; here are {', '.join(names)}.{hint}"
            )
        found.update(hit)
    return frozenset(found)


def check_promise(
    asks: Asks, allow: Collection[str] | None, max_cost: float | None, *, where: str = "turnout"
) -> None:
    """A promise speaks of the choice between all candidates.

    Raises:
        RequestError: it is asked for together with limits.
    """
    if asks.knob in PROMISES and (allow is not None or max_cost is not None):
        remedy = "a promise is of the choice between all candidates: give it without allow, deny, "
        value = getattr(asks, str(asks.knob))
        raise RequestError(f"{where}.{asks.knob}", value, f"{remedy}pin and max_cost_usd")
