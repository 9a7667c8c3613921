"""What a request asks of routing, put over the route that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from turnout.engine import Engine
from turnout.errors import NoCandidateError, RequestError, suggest
from turnout.gateway.calls.calling import Answer
from turnout.gateway.http.asgi import json_bytes
from turnout.gateway.routing.routes import Route, bounds, check_promise, narrowed, picousd, spec_of
from turnout.names import RouteSpec, format_route
from turnout.policies.constraints import NO_LIMITS, Limits
from turnout.types import Candidate, Decision, Query
from turnout.wire.asks import FIELD, KNOBS, NOTHING, Asks
from turnout.wire.renaming import with_first_field


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Wanted:
    """How one request is to be decided."""

    spec: RouteSpec | None
    """None: the candidate that was asked for by its name serves."""
    candidate: str = ""
    limits: Limits = NO_LIMITS
    pin: str | None = None
    route: str = ""
    shadow: str = ""
    """What decides in record only, by its name; `candidate` serves."""
    asked: Mapping[str, Any]

    def decide(self, engine: Engine, query: Query) -> Decision:
        """The decision, which says what was asked for.

        Raises:
            NoCandidateError: no candidate can and may serve the request.
        """
        bounds: dict[str, Any] = {
            "allow": self.limits.allow,
            "max_cost_picousd": self.limits.max_cost_picousd,
            "barred": self.limits.barred,
        }
        if self.spec is None:
            made = engine.by_name(query, self.candidate, **bounds)
        else:
            made = engine.decide(query, self.spec, **bounds)
        return self.told(made)

    def key(self, model: str) -> str:
        """What is asked for, its knob included: two requests with one key may share a model."""
        spec = self.spec
        if spec is None or self.asked.keys().isdisjoint(("router", *KNOBS)):
            return model
        return f"{model} {spec.router} {spec.threshold!r} {spec.usd_per_quality!r}"

    def told(self, made: Decision) -> Decision:
        """The decision, which says what was asked for."""
        if self.pin is not None:
            made = _pinned(made)
        if self.route or self.asked:
            made = replace(made, route=self.route or None, asked=self.asked)
        return made

    def beside(self, engine: Engine, query: Query, would: Decision | None) -> Decision:
        """The decision by which a candidate serves, with what routing would have done noted in it.

        Args:
            engine: decides.
            query: what is asked.
            would: the route's decision; None where no candidate can serve.
        """
        served = engine.by_name(query, self.candidate)
        said: dict[str, Any] = {"route": self.shadow}
        if would is None:
            said |= {"model": None, "code": NoCandidateError.code}
        else:
            said |= {
                "model": would.model,
                "router": would.router,
                "threshold": would.threshold,
                "code": would.code,
                "quality": dict(would.quality),
                "expected_cost_usd": would.expected_cost_usd,
            }
        if self.route:
            reason = f"{self.candidate} serves while {self.route} decides in record only"
            first = replace(served.attempts[0], reason=reason)
            served = replace(served, code="shadow", reason=reason, attempts=(first,))
        return replace(served, shadow=said)


def wanted(
    engine: Engine, target: Route | Candidate, asks: Asks = NOTHING, *, by_name: bool = True
) -> Wanted:
    """How a request is to be decided.

    Args:
        engine: decides.
        target: what its `model` means.
        asks: what it asks beside.
        by_name: whether a candidate may be asked for by its name.

    Raises:
        RequestError: what is asked for does not exist here, or does not go together.
    """
    route = target if isinstance(target, Route) else None
    if asks is NOTHING:
        if route is None:
            return Wanted(spec=None, candidate=target.name, asked={})
        return Wanted(
            spec=route.spec,
            limits=route.limits,
            route=route.name,
            candidate=route.serves,
            shadow=route.name if route.serves else "",
            asked={},
        )
    given = NO_LIMITS if route is None else route.limits
    allow = narrowed(engine, given.allow, asks.allow, asks.deny)
    caps = [picousd(asks.max_cost_usd), given.max_cost_picousd]
    most = min((cap for cap in caps if cap is not None), default=None)
    if asks.pin is not None:
        allow = _pin(engine, asks.pin, allow, by_name=by_name)
    if route is None:
        _check_named(target.name, asks)
        spec = None
    else:
        check_promise(asks, allow, most)
        spec = spec_of(engine, route.spec, asks)
    return Wanted(
        spec=spec,
        candidate=route.serves if route else target.name,
        limits=bounds(spec, allow, most),
        pin=asks.pin,
        route=route.name if route else "",
        shadow=route.name if route and route.serves and asks.pin is None else "",
        asked=asks.given(),
    )


def in_shadow(route: Route, candidate: str) -> Wanted:
    """A candidate was asked for by its name and serves; a route decides in record only."""
    return Wanted(
        spec=route.spec,
        candidate=candidate,
        limits=route.limits,
        shadow=route.name or format_route(route.spec),
        asked={},
    )


def explain(answer: Answer, decision: Decision) -> None:
    """Put the decision into the answer: a field `turnout` at its start, or a comment in a stream."""
    said = decision.to_dict()
    if answer.passing is not None:
        answer.content = b": turnout " + json_bytes(said) + b"\n\n" + answer.content
        answer.events -= 1  # a comment is no event
    elif "content-encoding" not in answer.headers:
        answer.content = with_first_field(answer.content, FIELD, said)


def _pin(
    engine: Engine, pin: str, allow: frozenset[str] | None, *, by_name: bool
) -> frozenset[str]:
    names = engine.pool.names
    if not by_name:
        remedy = "this gateway lets nobody ask for a candidate by its name; leave it out"
        raise RequestError("turnout.pin", pin, remedy)
    if pin not in names:
        remedy = f"name one of: {', '.join(names)}.{suggest(pin, names)}"
        raise RequestError("turnout.pin", pin, remedy)
    if allow is not None and pin not in allow:
        remedy = f"only these may serve: {', '.join(sorted(allow)) or 'none'}"
        raise RequestError("turnout.pin", pin, remedy)
    return frozenset((pin,))


def _check_named(name: str, asks: Asks) -> None:
    """Routing has nothing to say where a candidate is asked for by its name."""
    given = "router" if asks.router is not None else asks.knob
    if given is not None:
        remedy = f"ask for a route with it, such as auto: {name} is one candidate"
        raise RequestError(f"turnout.{given}", getattr(asks, given), remedy)


def _pinned(decision: Decision) -> Decision:
    reason = f"{decision.model} is pinned by the request"
    first, *others = decision.attempts
    attempts = (replace(first, reason=reason), *others)
    return replace(decision, code="pinned", reason=reason, attempts=attempts)
