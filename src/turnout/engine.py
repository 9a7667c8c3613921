"""Constraints → router → policy → Decision, and the default candidate where a router fails."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.watch import Watch, watched_scores
from turnout.errors import (
    InputError,
    NoCandidateError,
    RouteNameError,
    RouterError,
    UnknownNameError,
)
from turnout.explaining import (
    Explored,
    Routed,
    named_decision,
    routed_decision,
    staying_decision,
    unpredicted_decision,
    with_spares,
    withheld_decision,
)
from turnout.ids import id_maker
from turnout.knobs import MOST_KEPT, Knobs
from turnout.names import RouteSpec, format_route, parse_route
from turnout.policies.base import Policy
from turnout.policies.constraints import Common, exclusions
from turnout.policies.explore import DRAWS, Explore
from turnout.pricing import Tariff
from turnout.routers.base import Learns, Router, Samples
from turnout.routers.by_candidates import ByCandidates
from turnout.types import Candidate, Decision, Outcome, Pool, Prediction, Query

log = logging.getLogger("turnout.engine")


class Engine:
    """Decides; calls nothing. Safe to share between threads: it holds no per-request state.

    Args:
        pool: the candidates, strongest first.
        routers: by name.
        fallbacks: router name → the route that decides where that router fails; without one, and
            where it fails too, the pool's default candidate serves.
        explore: sends a share of requests elsewhere and records propensities; None never does.
        spares: candidates that each decision names behind the chosen one, for when that fails.
        watches: certificates in use; of two for one route the later one counts. A route whose
            certificate is revoked goes to the certificate's safe model.
        new_id: makes decision ids; passed in by tests.
    """

    def __init__(
        self,
        pool: Pool,
        routers: Mapping[str, Router],
        *,
        fallbacks: Mapping[str, RouteSpec] | None = None,
        explore: Explore | None = None,
        spares: int = 0,
        watches: Sequence[Watch] = (),
        new_id: Callable[[], str] | None = None,
    ) -> None:
        if not pool.candidates:
            raise InputError("candidates", (), "name at least one model")
        for name in pool.names:
            if pool.names.count(name) > 1:
                raise InputError("candidates", name, "name each candidate once")
        if pool.default not in pool.names:
            raise UnknownNameError("candidate", pool.default, pool.names)
        self.pool, self.routers = pool, dict(routers)
        self._new_id = new_id or id_maker("dec_", 8, ordered=True)
        self.explore, self.spares = explore, spares
        self._fallback_routes = dict(fallbacks or {})
        for name, spec in self._fallback_routes.items():
            for known in (name, spec.router):
                if known not in self.routers:
                    raise UnknownNameError("router", known, self.routers)
            if spec.router in self._fallback_routes:
                remedy = "name a router that has no fallback of its own, such as rules"
                raise InputError(f"fallback of {name}", spec.router, remedy)
        slow = {n for n, opened in self.routers.items() if getattr(opened, "waits", False)}
        stood_in = {n for n, spec in self._fallback_routes.items() if spec.router in slow}
        self._waiting = frozenset(slow | stood_in)
        """Routers whose decisions, or those of their fallbacks, take long."""
        self.watches = {self.parse(w.certificate.route, "certificate"): w for w in watches}
        """Certificates in use, by their routes."""
        self._knobs = Knobs(pool, self.routers)
        self._common = Common.of(pool.candidates)
        self._tariffs: ByCandidates[Tariff] = ByCandidates()
        self._subsets: dict[tuple[str, ...], tuple[Candidate, ...]] = {}
        """By the names that are not in them."""
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
        for key in self.routers:
            self.check_router(key)

    def check_router(self, key: str) -> None:
        """The same of one router."""
        candidates = self.pool.candidates
        self.routers[key].check(candidates)
        if len(candidates) > 2:
            recorded = self._knobs.recorded_picousd(key, candidates)
            for candidate, usual in zip(candidates, recorded, strict=True):
                if candidate.price is None and np.isnan(usual):
                    remedy = "give a price for this model, in the settings or with --price"
                    raise InputError("price", candidate.name, remedy)
            self.policy(RouteSpec(key, 0.0), candidates)

    def parse(self, model: str, field: str = "model") -> RouteSpec:
        """Read `router-mf-0.45` against the routers loaded here."""
        return parse_route(model, routers=self.routers, field=field)

    def route_for_share(self, router: str, share: float) -> RouteSpec:
        """A router's knob for about this share of calls to the strongest model: see `Knobs`."""
        return self._knobs.route_for_share(router, share)

    def steps(self, router: str) -> tuple[float, ...]:
        """The thresholds at which a router's knob is tested, best quality first: see `Knobs`."""
        return self._knobs.steps(router)

    def certified_route(self, router: str | None = None) -> RouteSpec | None:
        """The route of the certificate made last, of one router or of any; None without any."""
        made = [
            (watch.certificate.made_at, i, spec)
            for i, (spec, watch) in enumerate(self.watches.items())
            if router in (None, spec.router)
        ]
        return max(made)[2] if made else None

    def certificates(self) -> list[dict[str, Any]]:
        """The state of each certificate in use, JSON-ready."""
        return [watch.state() for watch in self.watches.values()]

    def waits(self, router: str) -> bool:
        """Whether a router's decisions take long or call something: run them off an event loop."""
        return router in self._waiting

    def decide(
        self,
        query: Query,
        spec: RouteSpec,
        *,
        allow: Collection[str] | None = None,
        max_cost_picousd: int | None = None,
        barred: Mapping[str, str] | None = None,
        explore: bool = True,
        usual: bool = True,
    ) -> Decision:
        """Decide for one query. See `decide_many`."""
        return self.decide_many(
            [query],
            spec,
            allow=allow,
            max_cost_picousd=max_cost_picousd,
            barred=barred,
            explore=explore,
            usual=usual,
        )[0]

    def decide_many(
        self,
        queries: Sequence[Query],
        spec: RouteSpec,
        *,
        allow: Collection[str] | None = None,
        max_cost_picousd: int | None = None,
        barred: Mapping[str, str] | None = None,
        explore: bool = True,
        usual: bool = True,
        apart: bool = False,
    ) -> list[Decision]:
        """Decide for n queries; those with the same fit candidates are predicted together.

        Args:
            queries: what is asked.
            spec: router and knob.
            allow: names of the candidates that may serve; None allows all.
            max_cost_picousd: the most that each call may cost: see `most_cost_picousd`.
            barred: names of candidates that the caller may not use, and why.
            explore: False leaves exploring out: for queries that are not free to go anywhere.
            usual: False for queries that no certificate speaks of: none covers them, and they are no
                evidence of what traffic is like.
            apart: the queries have nothing to do with each other: where the router fails on them
                together, each is predicted alone, so that one query does not send all elsewhere.

        Raises:
            NoCandidateError: constraints leave none for some query.
            UnknownNameError: no such router here.
        """
        if spec.router not in self.routers:
            raise UnknownNameError("router", spec.router, self.routers)
        if not 0.0 <= spec.threshold <= 1.0:
            raise RouteNameError("threshold", spec.threshold, "give a number from 0 to 1")
        out = self._excluded(queries, spec, allow, max_cost_picousd, barred)
        decide = partial(self._decide_group, spec=spec, explore=explore, usual=usual, apart=apart)
        if any(out):
            decisions = self._in_groups(queries, out, decide)
        else:
            decisions = decide(queries, self.pool.candidates, excluded=out) if queries else []
        return [with_spares(decision, self.pool, self.spares) for decision in decisions]

    def _in_groups(
        self,
        queries: Sequence[Query],
        out: Sequence[Mapping[str, str]],
        decide: Callable[..., list[Decision]],
    ) -> list[Decision]:
        """Decide for queries of which each has candidates put out; those with the same ones together.

        Raises:
            NoCandidateError: none is left for some query.
        """
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, excluded in enumerate(out):
            if len(excluded) == len(self.pool.candidates):
                raise NoCandidateError(excluded)
            groups.setdefault(tuple(sorted(excluded)), []).append(i)
        decisions: dict[int, Decision] = {}
        for kept, at in groups.items():
            some, why = [queries[i] for i in at], [out[i] for i in at]
            decisions.update(zip(at, decide(some, self._fit(kept), excluded=why), strict=True))
        return [decisions[i] for i in range(len(queries))]

    def _excluded(
        self,
        queries: Sequence[Query],
        spec: RouteSpec,
        allow: Collection[str] | None,
        max_cost_picousd: int | None,
        barred: Mapping[str, str] | None,
    ) -> list[dict[str, str]]:
        """For each query, the candidates that constraints put out, and why."""
        priced, common = spec.usd_per_quality is not None, self._common
        free = allow is None and max_cost_picousd is None and not barred
        free = free and (common.priced or not priced)
        return [
            {}
            if free and common.serves(query)
            else exclusions(
                query,
                self.pool.candidates,
                allow=allow,
                max_cost_picousd=max_cost_picousd,
                barred=barred,
                priced=priced,
            )
            for query in queries
        ]

    def _fit(self, excluded: tuple[str, ...]) -> tuple[Candidate, ...]:
        """The candidates that are left: of the same names the same tuple, see `ByCandidates`."""
        if not excluded:
            return self.pool.candidates
        found = self._subsets.get(excluded)
        if found is None:
            if len(self._subsets) >= MOST_KEPT:
                self._subsets.clear()
            found = tuple(c for c in self.pool.candidates if c.name not in excluded)
            self._subsets[excluded] = found
        return found

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

    def by_name(
        self,
        query: Query,
        name: str,
        *,
        allow: Collection[str] | None = None,
        max_cost_picousd: int | None = None,
        barred: Mapping[str, str] | None = None,
    ) -> Decision:
        """The decision where a candidate was asked for by its name: nothing is predicted.

        What it can do is between the caller and the upstream, unless the request is limited too.

        Raises:
            KeyError: no candidate of that name.
            NoCandidateError: limits are given, and put it out.
        """
        if barred and name in barred:
            raise NoCandidateError({name: barred[name]})
        if allow is not None or max_cost_picousd is not None:
            given = [self.pool[name]]
            out = exclusions(query, given, allow=allow, max_cost_picousd=max_cost_picousd)
            if out:
                raise NoCandidateError(out)
        return self.named(query, self.pool[name])

    def new_id(self) -> str:
        """The id of a decision that is made elsewhere."""
        return self._new_id()

    def named(self, query: Query, model: Candidate) -> Decision:
        """The same for any model, such as one for embeddings, which is not among the candidates."""
        return named_decision(query, model, decision_id=self._new_id())

    def without(
        self,
        query: Query,
        spec: RouteSpec,
        error: Exception,
        *,
        allow: Collection[str] | None = None,
        max_cost_picousd: int | None = None,
        barred: Mapping[str, str] | None = None,
    ) -> Decision:
        """The decision where a router's did not come in time: the default candidate serves.

        Raises:
            NoCandidateError: constraints leave none.
        """
        pool = self.pool.candidates
        excluded = exclusions(
            query, pool, allow=allow, max_cost_picousd=max_cost_picousd, barred=barred
        )
        fit = [c for c in pool if c.name not in excluded]
        if not fit:
            raise NoCandidateError(excluded)
        with self._lock:
            self.fallbacks += 1
        log.error("router %s: %s; the default candidate serves", spec.router, error)
        decision = unpredicted_decision(
            query,
            self._default(fit),
            spec,
            decision_id=self._new_id(),
            excluded=excluded,
            elapsed_us=0,
            error=error,
        )
        return with_spares(decision, self.pool, self.spares) if self.spares else decision

    def stay(
        self,
        query: Query,
        name: str,
        spec: RouteSpec,
        reason: str,
        *,
        excluded: Mapping[str, str],
    ) -> Decision:
        """The decision where a conversation keeps the candidate that it has: nothing is predicted.

        Raises:
            KeyError: no candidate of that name.
        """
        decision = staying_decision(
            query, self.pool[name], spec, reason, decision_id=self._new_id(), excluded=excluded
        )
        return with_spares(decision, self.pool, self.spares)

    def _decide_group(
        self,
        queries: Sequence[Query],
        candidates: Sequence[Candidate],
        spec: RouteSpec,
        excluded: Sequence[Mapping[str, str]],
        *,
        explore: bool,
        usual: bool,
        apart: bool = False,
        since: int | None = None,
    ) -> list[Decision]:
        """`since`: when a router began that failed before this one; that failure is counted."""
        start = time.perf_counter_ns() if since is None else since
        if len(candidates) == 1:
            return [
                unpredicted_decision(
                    query,
                    candidates[0],
                    spec,
                    decision_id=self._new_id(),
                    excluded=why,
                    elapsed_us=_elapsed_us(start),
                )
                for query, why in zip(queries, excluded, strict=True)
            ]
        watch = self.watches.get(spec)
        if watch is not None and watch.revoked is not None:
            return self._withheld(queries, candidates, spec, watch, excluded, start)
        try:
            routed = self._route(queries, candidates, spec)
        except Exception as error:  # noqa: BLE001 - a router's failure must not fail the request
            if apart and len(queries) > 1:
                return [
                    self._decide_group(
                        [query], candidates, spec, [why], explore=explore, usual=usual
                    )[0]
                    for query, why in zip(queries, excluded, strict=True)
                ]
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
                made = self._decide_group(
                    queries,
                    candidates,
                    stand_in,
                    excluded,
                    explore=explore,
                    usual=usual,
                    since=start,
                )
                return [_stood_in(d, spec, stand_in, error) for d in made]
            return [
                unpredicted_decision(
                    query,
                    self._default(candidates),
                    spec,
                    decision_id=self._new_id(),
                    excluded=why,
                    elapsed_us=_elapsed_us(start),
                    error=error,
                    default=self.pool.default,
                )
                for query, why in zip(queries, excluded, strict=True)
            ]
        covered = None if watch is None or not usual else self._covered(queries, routed, watch)
        elapsed_us = _elapsed_us(start) // len(queries)
        return [
            routed_decision(
                i,
                query,
                routed,
                spec,
                decision_id=self._new_id(),
                explored=self._explored(i, query, routed) if explore else None,
                certificate=covered,
                excluded=why,
                elapsed_us=elapsed_us,
            )
            for i, (query, why) in enumerate(zip(queries, excluded, strict=True))
        ]

    def _withheld(
        self,
        queries: Sequence[Query],
        candidates: Sequence[Candidate],
        spec: RouteSpec,
        watch: Watch,
        excluded: Sequence[Mapping[str, str]],
        start: int,
    ) -> list[Decision]:
        """The decisions of a route whose certificate is revoked."""
        safe = {c.name: c for c in candidates}.get(watch.certificate.safe, candidates[0])
        made = []
        for query, why in zip(queries, excluded, strict=True):
            watch.withhold()
            made.append(
                withheld_decision(
                    query,
                    safe,
                    spec,
                    watch,
                    decision_id=self._new_id(),
                    excluded=why,
                    elapsed_us=_elapsed_us(start),
                )
            )
        return made

    def _covered(self, queries: Sequence[Query], routed: Routed, watch: Watch) -> str | None:
        """Tell a watch of requests that its certificate covers; its id, or None where it does not.

        A request for which constraints put a candidate out is not of the traffic that was
        calibrated on.
        """
        prediction = routed.prediction
        if not watch.covers.issubset(prediction.candidates):
            return None
        strong = prediction.candidates.index(watch.certificate.strong)
        scores = watched_scores(prediction)
        for query, score, index in zip(queries, scores, routed.choice.index, strict=True):
            watch.see(query.text, float(score), int(index) == strong)
        return watch.id

    def _route(
        self, queries: Sequence[Query], candidates: Sequence[Candidate], spec: RouteSpec
    ) -> Routed:
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
        tariff = self._tariffs.of(candidates, Tariff.of)
        lengths = tariff.output_tokens(queries, prediction)
        tokens_in = np.asarray([q.input_tokens for q in queries], dtype=np.float64)
        cost = tariff.cost_picousd(tokens_in, lengths)
        cost = self._knobs.priced(spec.router, candidates, cost)
        policy = self.policy(spec, candidates)
        choice = policy.choose(prediction, candidates, cost)
        return Routed(router, prediction, cost, policy, choice, lengths)

    def cost_picousd(
        self,
        router: str,
        queries: Sequence[Query],
        candidates: Sequence[Candidate],
        prediction: Prediction,
    ) -> NDArray[np.float64]:
        """(n, m) expected price of each call: see `Knobs`."""
        return self._knobs.cost_picousd(router, queries, candidates, prediction)

    def policy(self, spec: RouteSpec, candidates: Sequence[Candidate]) -> Policy:
        """What a spec means here: see `Knobs`."""
        return self._knobs.policy(spec, candidates)

    def _explored(self, i: int, query: Query, routed: Routed) -> Explored | None:
        """What exploring makes of the choice for the i-th query; None where nothing explores."""
        explore = self.explore
        if explore is None:
            return None
        samples = None
        if explore.how == "samples" and isinstance(routed.router, Samples):
            fit = [self.pool[name] for name in routed.prediction.candidates]
            samples = routed.router.samples(
                query, fit, routed.prediction.quality[i], explore.child_rng(), DRAWS
            )
        drawn = explore.draw(int(routed.choice.index[i]), routed.cost_picousd[i], samples)
        return Explored(drawn, explore.share)

    def _default(self, candidates: Sequence[Candidate]) -> Candidate:
        """Who serves where a router fails: the pool's default if it fits, else the strongest."""
        return {c.name: c for c in candidates}.get(self.pool.default, candidates[0])


def _stood_in(decision: Decision, failed: RouteSpec, spec: RouteSpec, error: Exception) -> Decision:
    """The decision of a fallback route, which says what failed and who decided instead."""
    note = f"router {failed.router} failed, {format_route(spec)} decided: {error}"
    # What a router fails on is not the traffic that a certificate speaks of.
    return replace(decision, fallback=True, certificate=None, notes=(*decision.notes, note))


def _elapsed_us(start_ns: int) -> int:
    return (time.perf_counter_ns() - start_ns) // 1000
