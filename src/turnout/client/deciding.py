"""Which model serves a call: a route is decided by the engine, a candidate's name is taken as said.

Prices. A decision says what each candidate is expected to cost, and leaves out those whose window
is too short. Both are in an offline list that takes 0.4 s to read, once. With two models prices
only inform, the threshold decides: the list is read at the first decision, and building stays
light. With three or more prices decide: the list is read when the controller is built, and a model
with neither a price nor recorded costs is refused then, not at the first request. Where every price
and window is given, the list is never read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.artifacts.certificates import open_watches
from turnout.calibration.certificate import Certificate
from turnout.client.requests import query_of
from turnout.client.settings import completed, require_prices
from turnout.engine import Engine
from turnout.errors import InputError, RouteNameError, UnknownNameError
from turnout.names import RouteSpec, is_route, parse_route
from turnout.policies.explore import Explore
from turnout.routers.base import Router
from turnout.types import Decision, Pool


class Decider:
    """Decides for the arguments of chat calls. Safe to share between threads.

    Args:
        pool: the candidates; prices and windows may be missing.
        routers: by name.
        fallbacks: router → the route that decides where it fails.
        explore: sends a share of requests elsewhere; None never does.
        certificates: router → the certificates in use of its routes.
    """

    def __init__(
        self,
        pool: Pool,
        routers: Mapping[str, Router],
        fallbacks: Mapping[str, RouteSpec] | None = None,
        explore: Explore | None = None,
        certificates: Mapping[str, Sequence[Certificate]] | None = None,
    ) -> None:
        self._pool, self._routers = pool, routers
        self._fallbacks, self._explore = dict(fallbacks or {}), explore
        self._certificates = dict(certificates or {})
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """What decides on routes, with what the list knows of its candidates."""
        with self._lock:
            if self._engine is None:
                pool = completed(self._pool)
                self._engine = Engine(
                    pool,
                    self._routers,
                    fallbacks=self._fallbacks,
                    explore=self._explore,
                    watches=open_watches(self._certificates, self._routers, pool.candidates),
                )
            return self._engine

    def check(self) -> None:
        """Raise now what the first request would.

        Raises:
            UnknownNameError: a router does not know a candidate.
            SettingsError: three or more candidates, and one has neither a price nor costs
                recorded with a router's outcomes.
            InputError: no prompt of a router's reference has a score of three or more candidates.
        """
        candidates = self._pool.candidates
        if len(candidates) <= 2:
            for router in self._routers.values():
                router.check(candidates)
            return
        try:
            self.engine.check()
        except InputError as error:
            if error.field == "price":
                require_prices(self.engine.pool)
            raise

    def decide(self, request: Mapping[str, Any]) -> Decision:
        """Decide for the arguments of one call, `model`, `router` and `threshold` among them.

        Raises:
            RouteNameError, UnknownNameError: a route, router or model that does not exist.
            RequestError: messages that no upstream could serve.
            NoCandidateError: no candidate can do what the request needs.
        """
        target = self._target(request)
        query = query_of(request)
        if isinstance(target, RouteSpec):
            return self.engine.decide(query, target)
        return self.engine.by_name(query, target)

    def _target(self, request: Mapping[str, Any]) -> RouteSpec | str:
        """What is asked for; `model` goes first where both are given, as in RouteLLM."""
        model = request.get("model")
        if model is None:
            return _spec(request.get("router"), request.get("threshold"))
        if not isinstance(model, str) or is_route(model):
            return parse_route(model, routers=self._routers)
        if model in self._pool.names:
            return model
        routes = ", ".join(f"router-{name}-THRESHOLD" for name in sorted(self._routers))
        raise UnknownNameError(
            "model", model, self._pool.names, f" Or let one be chosen: {routes}."
        )


def _spec(router: str | None, threshold: float | None) -> RouteSpec:
    if router is None or threshold is None:
        remedy = "give model='router-mf-0.45', or both router= and threshold="
        raise RouteNameError("model", None, remedy)
    try:
        return RouteSpec(router, float(threshold))
    except (TypeError, ValueError) as error:
        remedy = "give a number from 0 to 1"
        raise RouteNameError("threshold", threshold, remedy) from error
