"""What a route's knob means in a pool: its policy, its operating points, and what calls cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.curve import separate
from turnout.errors import UnknownNameError
from turnout.names import RouteSpec
from turnout.policies.base import Policy
from turnout.policies.hull import HullPolicy, OperatingPoint, operating_points
from turnout.policies.threshold import ThresholdPolicy
from turnout.policies.within_price import WithinPricePolicy
from turnout.policies.worth import WorthPolicy
from turnout.pricing import DEFAULT_OUTPUT_TOKENS, cost_of_tokens_picousd, expected_cost_picousd
from turnout.routers.base import Router
from turnout.routers.reference import Reference
from turnout.types import PICO, Candidate, Pool, Prediction, Query

MOST_KEPT = 1024
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


class Knobs:
    """The knobs of some routers over one pool. What is worked out is kept, within bounds.

    Safe to share between threads.

    Args:
        pool: the candidates, strongest first.
        routers: by name.
    """

    def __init__(self, pool: Pool, routers: Mapping[str, Router]) -> None:
        self._pool, self._routers = pool, routers
        self._policies: dict[tuple[RouteSpec, tuple[str, ...]], Policy] = {}
        self._points: dict[tuple[str, tuple[str, ...]], tuple[OperatingPoint, ...]] = {}
        self._thresholds: dict[tuple[str, float], float] = {}
        self._recorded: dict[tuple[str, tuple[str, ...]], NDArray[np.float64]] = {}

    def route_for_share(self, router: str, share: float) -> RouteSpec:
        """A router's knob for about this share of calls to the strongest model.

        In a pool of two, a router that remembers reference prompts calls the strong model on this
        share of them; your traffic may differ: `turnout calibrate` measures it. For other routers
        and pools the threshold is 1 - share.

        Raises:
            UnknownNameError: no such router here.
        """
        if router not in self._routers:
            raise UnknownNameError("router", router, self._routers)
        opened = self._routers[router]
        if len(self._pool.candidates) == 2 and isinstance(opened, KnowsShares):
            known = opened
            found = _kept(
                self._thresholds,
                (router, share),
                lambda: known.threshold_for_share(self._pool.candidates, share),
            )
            # Four decimals read well; cut down, so that the share is not below what was asked.
            return RouteSpec(router, math.floor(found * 1e4) / 1e4)
        return RouteSpec(router, 1.0 - share)

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
        return self.priced(
            router, candidates, expected_cost_picousd(queries, candidates, prediction)
        )

    def priced(
        self, router: str, candidates: Sequence[Candidate], cost_picousd: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(n, m) costs with the mean recorded cost where a candidate has no price."""
        if any(c.price is None for c in candidates):
            recorded = self.recorded_picousd(router, candidates)
            return np.where(np.isnan(cost_picousd), recorded, cost_picousd)
        return cost_picousd

    def recorded_picousd(self, router: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """(m,) mean cost recorded with the outcomes of a router's artifact; NaN where there is none."""
        key = (router, tuple(c.name for c in candidates))
        return _kept(
            self._recorded, key, lambda: _mean_recorded_picousd(self._routers[router], candidates)
        )

    def policy(self, spec: RouteSpec, candidates: Sequence[Candidate]) -> Policy:
        """The policy that a spec means here: a threshold in a pool of two, the hull in a larger one.

        In any pool it is what quality is worth, where the spec says so. The pool decides, not how
        many candidates constraints leave, so that a threshold keeps its meaning from request to
        request.
        """
        key = (spec, tuple(c.name for c in candidates))
        return _kept(self._policies, key, lambda: self._make_policy(spec, candidates))

    def steps(self, router: str) -> tuple[float, ...]:
        """Thresholds from the best quality to the cheapest: the steps at which a knob is tested.

        They rest on what the router remembers, never on the data that is calibrated on: with two
        candidates the cuts at each hundredth of the reference's calls, and every hundredth of the
        win rate; with more the operating points; every hundredth where nothing is remembered.

        Raises:
            UnknownNameError: no such router here.
        """
        if router not in self._routers:
            raise UnknownNameError("router", router, self._routers)
        hundredths = tuple(i / 100 for i in range(101))
        candidates, opened = self._pool.candidates, self._routers[router]
        if len(candidates) == 2:
            if not isinstance(opened, KnowsShares):
                return hundredths
            cuts = [opened.threshold_for_share(candidates, share) for share in hundredths]
            return tuple(sorted({*hundredths, *_short(cuts)}))
        policy = self.policy(RouteSpec(router, 0.0), candidates)
        return knob_positions(policy.points) if isinstance(policy, HullPolicy) else hundredths

    def _make_policy(self, spec: RouteSpec, candidates: Sequence[Candidate]) -> Policy:
        if spec.usd_per_quality is not None:
            return WorthPolicy(spec.usd_per_quality)
        if len(self._pool.candidates) == 2:
            return ThresholdPolicy(spec.threshold)
        router = self._routers[spec.router]
        if not isinstance(router, HasReference):
            return WithinPricePolicy(spec.threshold)
        key = (spec.router, tuple(c.name for c in candidates))
        points = _kept(
            self._points, key, lambda: reference_points(router.reference(candidates), candidates)
        )
        return HullPolicy(points, spec.threshold)


def reference_points(
    reference: Reference, candidates: Sequence[Candidate]
) -> tuple[OperatingPoint, ...]:
    """The hull of a router for these candidates at today's prices, best quality first.

    Each call of the reference is priced by its tokens at the candidate's price; a candidate without
    a price counts at the mean cost that was recorded with its outcomes.

    Raises:
        InputError: a candidate has neither.
    """
    tokens_in = reference.input_tokens.astype(np.float64)
    tokens_out = np.where(
        np.isfinite(reference.output_tokens), reference.output_tokens, DEFAULT_OUTPUT_TOKENS
    )
    priced = cost_of_tokens_picousd(tokens_in, tokens_out, candidates) / PICO
    cost = np.where(np.isfinite(priced), priced, reference.mean_cost_usd())
    names = [c.name for c in candidates]
    return operating_points(reference.predicted, reference.score, cost, names)


def _mean_recorded_picousd(router: Router, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """(m,) mean cost recorded with the outcomes of a router's artifact; NaN where there is none."""
    if not isinstance(router, HasReference):
        return np.full(len(candidates), np.nan)
    return router.reference(candidates).mean_cost_usd().astype(np.float64) * PICO


def knob_positions(points: Sequence[OperatingPoint]) -> tuple[float, ...]:
    """The shortest threshold at which the hull policy uses each point, best quality first."""
    dearest, cheapest = points[0].cost_usd, points[-1].cost_usd
    if dearest <= cheapest:
        return (0.0,)
    saved = np.asarray([(dearest - p.cost_usd) / (dearest - cheapest) for p in points])
    found = [separate(a, b, saved.dtype) for a, b in pairwise(saved)]
    return (0.0, *(float(at) if t is None else t for t, at in zip(found, saved[1:], strict=True)))


def _short(cuts: Sequence[float]) -> set[float]:
    """Thresholds within [0, 1] in the fewest decimals, four at least, that keep nearly all apart."""
    within = {cut for cut in cuts if 0.0 <= cut <= 1.0}
    for decimals in range(4, 10):
        rounded = {round(cut, decimals) for cut in within}
        if len(rounded) >= 0.9 * len(within):
            return rounded
    return within


def _kept(cache: dict[K, V], key: K, make: Callable[[], V]) -> V:
    """What is kept under a key, made where it is not; a full cache starts again.

    The value made is the one returned, so that another thread may clear the cache at any time.
    """
    found = cache.get(key)
    if found is None:
        found = make()
        if len(cache) >= MOST_KEPT:
            cache.clear()
        cache[key] = found
    return found
