"""Constraints → router → policy → Decision, and the default candidate where a router fails."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from turnout.errors import (
    InputError,
    NoCandidateError,
    RouteNameError,
    RouterError,
    UnknownNameError,
)
from turnout.names import RouteSpec, format_route, parse_route
from turnout.policies.base import Choice, Policy
from turnout.policies.constraints import exclusions
from turnout.policies.explore import DRAWS, Explore
from turnout.policies.hull import HullPolicy, OperatingPoint, operating_points
from turnout.policies.threshold import ThresholdPolicy
from turnout.policies.within_price import WithinPricePolicy
from turnout.pricing import DEFAULT_OUTPUT_TOKENS, expected_cost_picousd, rates
from turnout.routers.base import Learns, Router, Samples
from turnout.routers.reference import Reference
from turnout.types import PICO, Attempt, Candidate, Decision, Outcome, Pool, Prediction, Query

log = logging.getLogger("turnout.engine")

_MOST_KEPT = 1024
"""Thresholds and needs come from requests, so what is kept per threshold or subset is bounded."""

K = TypeVar("K")
V = TypeVar("V")


@runtime_checkable
class HasReference(Protocol):
    """A router that remembers out-of-fold predictions beside outcomes."""

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """What is known of these candidates."""
        ...


@runtime_checkable
class KnowsShares(Protocol):
    """A router that knows how often each threshold would call the strong one of two models."""

    def threshold_for_share(self, candidates: Sequence[Candidate], share: float) -> float:
        """The threshold that calls the first of two candidates on this share of prompts."""
        ...


class Engine:
    """Decides; calls nothing. Safe to share between threads: it holds no per-request state.

    Args:
        pool: the candidates, strongest first.
        routers: by name.
        fallbacks: router name → the route that decides where that router fails; without one, and
            where it fails too, the pool's default candidate serves.
        explore: sends a share of requests elsewhere and records propensities; None never does.
        new_id: makes decision ids; passed in by tests.
    """

    def __init__(
        self,
        pool: Pool,
        routers: Mapping[str, Router],
        *,
        fallbacks: Mapping[str, RouteSpec] | None = None,
        explore: Explore | None = None,
        new_id: Callable[[], str] = lambda: f"dec_{secrets.token_hex(8)}",
    ) -> None:
        if not pool.candidates:
            raise InputError("candidates", (), "name at least one model")
        for name in pool.names:
            if pool.names.count(name) > 1:
                raise InputError("candidates", name, "name each candidate once")
        if pool.default not in pool.names:
            raise UnknownNameError("candidate", pool.default, pool.names)
        self.pool, self.routers, self._new_id = pool, dict(routers), new_id
        self.explore = explore
        self._fallback_routes = dict(fallbacks or {})
        for name, spec in self._fallback_routes.items():
            for known in (name, spec.router):
                if known not in self.routers:
                    raise UnknownNameError("router", known, self.routers)
            if spec.router in self._fallback_routes:
                remedy = "name a router that has no fallback of its own, such as rules"
                raise InputError(f"fallback of {name}", spec.router, remedy)
        self._policies: dict[tuple[RouteSpec, tuple[str, ...]], Policy] = {}
        self._points: dict[tuple[str, tuple[str, ...]], tuple[OperatingPoint, ...]] = {}
        self._recorded: dict[tuple[str, tuple[str, ...]], NDArray[np.float64]] = {}
        self._lock = threading.Lock()
        self.fallbacks = 0
        """Decisions in which a router failed, and a fallback route or the default decided; one where
        both failed counts once."""

    def check(self) -> None:
        """Raise what routing would raise later: unknown candidates, missing prices or outcomes.

        Raises:
            InputError: three or more candidates, among which prices decide, and one that has
                neither a price nor costs recorded with its outcomes; or no prompt of a router's
                reference has a score of all of them.
            TurnoutError: the first router that does not fit the pool.
        """
        candidates = self.pool.candidates
        for key, router in self.routers.items():
            router.check(candidates)
            if len(candidates) > 2:
                recorded = self._recorded_picousd(key, candidates)
                for candidate, usual in zip(candidates, recorded, strict=True):
                    if candidate.price is None and np.isnan(usual):
                        remedy = "give a price for this model, in the settings or with --price"
                        raise InputError("price", candidate.name, remedy)
                self.policy(RouteSpec(key, 0.0), candidates)

    def parse(self, model: str, field: str = "model") -> RouteSpec:
        """Read `router-mf-0.45` against the routers loaded here."""
        return parse_route(model, routers=self.routers, field=field)

    def route_for_share(self, router: str, share: float) -> RouteSpec:
        """A router's knob for about this share of calls to the strongest model.

        In a pool of two, a router that remembers reference prompts calls the strong model on this
        share of them; your traffic may differ: `turnout calibrate` measures it. For other routers
        and pools the threshold is 1 - share.

        Raises:
            UnknownNameError: no such router here.
        """
        if router not in self.routers:
            raise UnknownNameError("router", router, self.routers)
        opened = self.routers[router]
        if len(self.pool.candidates) == 2 and isinstance(opened, KnowsShares):
            found = opened.threshold_for_share(self.pool.candidates, share)
            # Four decimals read well; cut down, so that the share is not below what was asked.
            return RouteSpec(router, math.floor(found * 1e4) / 1e4)
        return RouteSpec(router, 1.0 - share)

    def waits(self, router: str) -> bool:
        """Whether a router's decisions take long or call something: run them off an event loop."""
        names = [router]
        if router in self._fallback_routes:
            names.append(self._fallback_routes[router].router)
        found = (self.routers.get(name) for name in names)
        return any(getattr(opened, "waits", False) for opened in found)

    def decide(
        self, query: Query, spec: RouteSpec, *, allow: Sequence[str] | None = None
    ) -> Decision:
        """Decide for one query. See `decide_many`."""
        return self.decide_many([query], spec, allow=allow)[0]

    def decide_many(
        self, queries: Sequence[Query], spec: RouteSpec, *, allow: Sequence[str] | None = None
    ) -> list[Decision]:
        """Decide for n queries; those with the same fit candidates are predicted together.

        Args:
            queries: what is asked.
            spec: router and threshold.
            allow: names of the candidates that may serve; None allows all.

        Raises:
            NoCandidateError: constraints leave none for some query.
            UnknownNameError: no such router here.
        """
        if spec.router not in self.routers:
            raise UnknownNameError("router", spec.router, self.routers)
        if not 0.0 <= spec.threshold <= 1.0:
            raise RouteNameError("threshold", spec.threshold, "give a number from 0 to 1")
        out = [exclusions(query, self.pool.candidates, allow=allow) for query in queries]
        for excluded in out:
            if len(excluded) == len(self.pool.candidates):
                raise NoCandidateError(excluded)
        decisions: list[Decision | None] = [None] * len(queries)
        for kept in dict.fromkeys(tuple(sorted(excluded)) for excluded in out):
            at = [i for i, excluded in enumerate(out) if tuple(sorted(excluded)) == kept]
            fit = [c for c in self.pool.candidates if c.name not in kept]
            made = self._decide_group([queries[i] for i in at], fit, spec, [out[i] for i in at])
            for i, decision in zip(at, made, strict=True):
                decisions[i] = decision
        return [d for d in decisions if d is not None]

    def learn(self, outcomes: Sequence[Outcome]) -> dict[str, int]:
        """Let every router that learns take in outcomes of the pool's candidates, by their names.

        Returns:
            Router → how many outcomes it took; empty where none learns.

        Raises:
            UnknownNameError: a model that is no candidate, or that an artifact does not know.
            DataError: a prompt or a score that cannot be used.
        """
        pool = self.pool.candidates
        return {
            name: router.partial_fit(outcomes, pool=pool)
            for name, router in self.routers.items()
            if isinstance(router, Learns)
        }

    def by_name(self, query: Query, name: str) -> Decision:
        """The decision where a candidate was asked for by its name: nothing is predicted.

        Raises:
            KeyError: no candidate of that name.
        """
        candidate = self.pool[name]
        reason = "asked for by name"
        cost = expected_cost_picousd([query], [candidate])[0].tolist()
        return Decision(
            id=self._new_id(),
            router="none",
            policy="by_name",
            attempts=(Attempt(candidate=name, reason=reason),),
            code="asked_for_by_name",
            reason=reason,
            expected_cost_picousd=_whole((name,), cost),
            notes=query.notes,
        )

    def _decide_group(
        self,
        queries: Sequence[Query],
        candidates: Sequence[Candidate],
        spec: RouteSpec,
        excluded: Sequence[Mapping[str, str]],
        *,
        since: int | None = None,
    ) -> list[Decision]:
        """`since`: when a router began that failed before this one; that failure is counted."""
        start = time.perf_counter_ns() if since is None else since
        if len(candidates) == 1:
            return [
                self._only(query, candidates[0], spec, why, start)
                for query, why in zip(queries, excluded, strict=True)
            ]
        try:
            routed = self._route(queries, candidates, spec)
        except Exception as error:  # noqa: BLE001 - a router's failure must not fail the request
            if since is None:
                with self._lock:
                    self.fallbacks += len(queries)
            # Not the message: an error that is not ours may quote the prompt.
            stand_in = self._fallback_routes.get(spec.router)
            log.error(
                "router %s failed with %s; %s\n%s",
                spec.router,
                type(error).__name__,
                "the default candidate serves"
                if stand_in is None
                else f"{format_route(stand_in)} decides",
                "".join(traceback.format_tb(error.__traceback__)),
            )
            if stand_in is not None:
                return self._stand_in(queries, candidates, spec, stand_in, excluded, error, start)
            return [
                self._default(query, candidates, spec, why, error, start)
                for query, why in zip(queries, excluded, strict=True)
            ]
        elapsed_us = (time.perf_counter_ns() - start) // 1000 // len(queries)
        return [
            self._chosen(i, query, routed, spec, why, elapsed_us)
            for i, (query, why) in enumerate(zip(queries, excluded, strict=True))
        ]

    def _stand_in(
        self,
        queries: Sequence[Query],
        candidates: Sequence[Candidate],
        failed: RouteSpec,
        spec: RouteSpec,
        excluded: Sequence[Mapping[str, str]],
        error: Exception,
        start: int,
    ) -> list[Decision]:
        """The decisions of the fallback route, which say what failed and who decided instead."""
        note = f"router {failed.router} failed, {format_route(spec)} decided: {error}"
        made = self._decide_group(queries, candidates, spec, excluded, since=start)
        return [replace(d, fallback=True, notes=(*d.notes, note)) for d in made]

    def _route(
        self, queries: Sequence[Query], candidates: Sequence[Candidate], spec: RouteSpec
    ) -> _Routed:
        router = self.routers[spec.router]
        prediction = router.predict(queries, candidates)
        names, shape = tuple(c.name for c in candidates), prediction.quality.shape
        if prediction.candidates != names or shape != (len(queries), len(names)):
            raise RouterError(
                f"asked for {len(queries)} queries and {', '.join(names)}, it predicted {shape} "
                f"for {', '.join(prediction.candidates)}"
            )
        if not np.isfinite(prediction.quality).all():
            raise RouterError(f"router {spec.router} predicted a quality that is not a number")
        cost = self.cost_picousd(spec.router, queries, candidates, prediction)
        policy = self.policy(spec, candidates)
        choice = policy.choose(prediction, candidates, cost)
        return _Routed(router, prediction, cost, policy.name, choice)

    def cost_picousd(
        self,
        router: str,
        queries: Sequence[Query],
        candidates: Sequence[Candidate],
        prediction: Prediction,
    ) -> NDArray[np.float64]:
        """(n, m) expected price of each call.

        A candidate without a price counts at the mean cost recorded with the outcomes of this
        router's artifact; NaN where there is none either.
        """
        cost = expected_cost_picousd(queries, candidates, prediction)
        if any(c.price is None for c in candidates):
            cost = np.where(np.isnan(cost), self._recorded_picousd(router, candidates), cost)
        return cost

    def _recorded_picousd(
        self, router: str, candidates: Sequence[Candidate]
    ) -> NDArray[np.float64]:
        key = (router, tuple(c.name for c in candidates))
        return _kept(
            self._recorded, key, lambda: recorded_cost_picousd(self.routers[router], candidates)
        )

    def policy(self, spec: RouteSpec, candidates: Sequence[Candidate]) -> Policy:
        """The policy that a spec means here: a threshold in a pool of two, the hull in a larger one.

        The pool decides, not how many candidates constraints leave, so that a threshold keeps its
        meaning from request to request.
        """
        key = (spec, tuple(c.name for c in candidates))
        return _kept(self._policies, key, lambda: self._make_policy(spec, candidates))

    def _make_policy(self, spec: RouteSpec, candidates: Sequence[Candidate]) -> Policy:
        if len(self.pool.candidates) == 2:
            return ThresholdPolicy(spec.threshold)
        router = self.routers[spec.router]
        if not isinstance(router, HasReference):
            return WithinPricePolicy(spec.threshold)
        key = (spec.router, tuple(c.name for c in candidates))
        points = _kept(
            self._points, key, lambda: reference_points(router.reference(candidates), candidates)
        )
        return HullPolicy(points, spec.threshold)

    def _chosen(
        self,
        i: int,
        query: Query,
        routed: _Routed,
        spec: RouteSpec,
        excluded: Mapping[str, str],
        elapsed_us: int,
    ) -> Decision:
        prediction, choice = routed.prediction, routed.choice
        names = prediction.candidates
        quality = prediction.quality[i].tolist()
        index, code, reason = int(choice.index[i]), choice.code[i], choice.reason[i]
        propensity = None
        if self.explore is not None:
            base = index
            index, propensity = self._explored(self.explore, i, query, routed)
            if index != base:
                code = "explored"
                reason = (
                    f"explored, as {self.explore.share:.3g} of requests are; "
                    f"{names[base]} was the choice: {reason}"
                )
        return Decision(
            id=self._new_id(),
            router=spec.router,
            policy=routed.policy,
            attempts=(Attempt(candidate=names[index], reason=reason),),
            code=code,
            reason=reason,
            propensity=propensity,
            threshold=spec.threshold,
            win_rate=None if choice.win_rate is None else float(choice.win_rate[i]),
            quality=dict(zip(names, quality, strict=True)),
            spread=_spread(prediction, i),
            expected_cost_picousd=_whole(names, routed.cost_picousd[i].tolist()),
            basis=dict(zip(names, prediction.basis, strict=False)),
            excluded=dict(excluded),
            artifact=routed.router.fingerprint,
            notes=(*query.notes, *prediction.notes[i : i + 1]),
            elapsed_us=elapsed_us,
        )

    def _explored(
        self, explore: Explore, i: int, query: Query, routed: _Routed
    ) -> tuple[int, float]:
        """The column to call for the i-th query, and its propensity."""
        samples = None
        if explore.how == "samples" and isinstance(routed.router, Samples):
            fit = [self.pool[name] for name in routed.prediction.candidates]
            samples = routed.router.samples(
                query, fit, routed.prediction.quality[i], explore.child_rng(), DRAWS
            )
        return explore.choose(int(routed.choice.index[i]), routed.cost_picousd[i], samples)

    def _only(
        self,
        query: Query,
        candidate: Candidate,
        spec: RouteSpec,
        excluded: Mapping[str, str],
        start: int,
    ) -> Decision:
        reason = f"{candidate.name} is the only candidate that can serve this request"
        return self._without_prediction(
            query, candidate, spec, excluded, start, code="only_candidate", reason=reason
        )

    def _default(
        self,
        query: Query,
        candidates: Sequence[Candidate],
        spec: RouteSpec,
        excluded: Mapping[str, str],
        error: Exception,
        start: int,
    ) -> Decision:
        fit = {c.name: c for c in candidates}
        candidate = fit.get(self.pool.default, candidates[0])
        reason = f"router {spec.router} failed, {candidate.name} serves by default: {error}"
        return self._without_prediction(
            query,
            candidate,
            spec,
            excluded,
            start,
            code="router_failed",
            reason=reason,
            fallback=True,
        )

    def _without_prediction(
        self,
        query: Query,
        candidate: Candidate,
        spec: RouteSpec,
        excluded: Mapping[str, str],
        start: int,
        *,
        code: str,
        reason: str,
        fallback: bool = False,
    ) -> Decision:
        cost = expected_cost_picousd([query], [candidate])[0].tolist()
        return Decision(
            id=self._new_id(),
            router=spec.router,
            policy="constraints" if not fallback else "default",
            attempts=(Attempt(candidate=candidate.name, reason=reason),),
            code=code,
            reason=reason,
            threshold=spec.threshold,
            expected_cost_picousd=_whole((candidate.name,), cost),
            excluded=dict(excluded),
            fallback=fallback,
            notes=query.notes,
            elapsed_us=(time.perf_counter_ns() - start) // 1000,
        )


@dataclass(frozen=True, slots=True)
class _Routed:
    """What routing n queries gave, before it is written out as decisions."""

    router: Router
    prediction: Prediction
    cost_picousd: NDArray[np.float64]
    policy: str
    choice: Choice


def reference_points(
    reference: Reference, candidates: Sequence[Candidate]
) -> tuple[OperatingPoint, ...]:
    """The hull of a router for these candidates at today's prices, best quality first.

    Each call of the reference is priced by its tokens at the candidate's price; a candidate without
    a price counts at the mean cost that was recorded with its outcomes.

    Raises:
        InputError: a candidate has neither.
    """
    tokens_out = np.where(
        np.isfinite(reference.output_tokens), reference.output_tokens, DEFAULT_OUTPUT_TOKENS
    )
    priced = (
        reference.input_tokens[:, None] * rates(candidates, "input_picousd")
        + tokens_out * rates(candidates, "output_picousd")
    ) / PICO
    cost = np.where(np.isfinite(priced), priced, reference.mean_cost_usd())
    names = [c.name for c in candidates]
    return operating_points(reference.predicted, reference.score, cost, names)


def recorded_cost_picousd(router: Router, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """(m,) mean cost recorded with the outcomes of a router's artifact; NaN where there is none."""
    if not isinstance(router, HasReference):
        return np.full(len(candidates), np.nan)
    return router.reference(candidates).mean_cost_usd().astype(np.float64) * PICO


def _spread(prediction: Prediction, i: int) -> dict[str, float]:
    """Per candidate, of the i-th query; empty where the router cannot tell."""
    if prediction.spread is None:
        return {}
    return dict(zip(prediction.candidates, prediction.spread[i].tolist(), strict=True))


def _kept(cache: dict[K, V], key: K, make: Callable[[], V]) -> V:
    """What is kept under a key, made where it is not; a full cache starts again.

    The value made is the one returned, so that another thread may clear the cache at any time.
    """
    found = cache.get(key)
    if found is None:
        found = make()
        if len(cache) >= _MOST_KEPT:
            cache.clear()
        cache[key] = found
    return found


def _whole(names: Sequence[str], cost: Sequence[float]) -> dict[str, int | None]:
    return {n: None if c != c else round(c) for n, c in zip(names, cost, strict=True)}
