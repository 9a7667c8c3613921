"""The settings of a router's knob, from best quality to cheapest, and what each chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.curve import separate
from turnout.knobs import HasReference, reference_points
from turnout.names import RouteSpec, format_route
from turnout.policies.hull import OperatingPoint, best_value
from turnout.policies.within_price import WithinPricePolicy
from turnout.pricing import DEFAULT_OUTPUT_TOKENS, cost_of_tokens_picousd
from turnout.review.columns import Columns
from turnout.routers.base import Router
from turnout.types import Candidate, Prediction

STEPS = 500
"""Settings for two models: the share of strong calls in steps of a fifth of a percent."""
_UNFIT = -1.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One position of the knob."""

    route: str
    """The model name that asks the gateway for it."""
    threshold: float
    point: OperatingPoint | None = None
    """With more than two models: the operating point."""


@dataclass(frozen=True, slots=True)
class Knob:
    """What a gateway with this router and these candidates would choose on n calls."""

    candidates: tuple[Candidate, ...]
    settings: tuple[Setting, ...]
    """Best quality first. The first calls the strongest candidate on all calls."""
    quality: NDArray[np.float64]
    """(n, m); -1 where a candidate cannot serve the request."""
    fits: NDArray[np.bool_]
    """(n, m)."""
    win_rate: NDArray[np.float32] | None
    """(n,) with two models."""
    cost_picousd: NDArray[np.float64]
    """(n, m) as a policy expects it before the call: by the tokens that the router expects."""

    def choices(self) -> Iterator[NDArray[np.intp]]:
        """(n,) chosen column at each setting, in order."""
        for setting in self.settings:
            yield self.choose(setting)

    def choose(self, setting: Setting) -> NDArray[np.intp]:
        """(n,) chosen column; a candidate that cannot serve a request is not chosen for it."""
        if self.win_rate is not None:
            wanted = np.where(self.win_rate >= setting.threshold, 0, 1)
        elif setting.point is None or setting is self.settings[0]:
            wanted = self._within_price(setting)
        else:
            wanted = self._at(setting.point)
        return self._possible(wanted.astype(np.intp))

    def leaves(self) -> NDArray[np.intp]:
        """(n,) with two models: from which setting on the weak one serves a call.

        0 where it always does, the number of settings where it never does.
        """
        assert self.win_rate is not None
        thresholds = np.asarray([s.threshold for s in self.settings], dtype=self.win_rate.dtype)
        found = np.searchsorted(thresholds, self.win_rate, side="right")
        strong, weak = self.fits[:, 0], self.fits[:, 1]
        found = np.where(strong & ~weak, len(thresholds), np.where(weak & ~strong, 0, found))
        return np.asarray(found, dtype=np.intp)

    def _within_price(self, setting: Setting) -> NDArray[np.intp]:
        if setting is self.settings[0]:
            return np.zeros(len(self.quality), dtype=np.intp)
        policy = WithinPricePolicy(setting.threshold)
        names = tuple(c.name for c in self.candidates)
        prediction = Prediction(candidates=names, quality=self.quality.astype(np.float32))
        return policy.choose(prediction, self.candidates, self.cost_picousd).index

    def _at(self, point: OperatingPoint) -> NDArray[np.intp]:
        names = [c.name for c in self.candidates]
        if point.constant in names:
            return np.full(len(self.quality), names.index(point.constant), dtype=np.intp)
        return best_value(self.quality, self.cost_picousd / 1e12, point.usd_per_quality)

    def _possible(self, wanted: NDArray[np.intp]) -> NDArray[np.intp]:
        """The wanted column, or the strongest that can serve the request; the first if none can."""
        rows = np.arange(len(wanted))
        able = self.fits[rows, wanted] | ~self.fits.any(axis=1)
        return np.where(able, wanted, np.argmax(self.fits, axis=1))


def make_knob(columns: Columns, router: Router, candidates: Sequence[Candidate]) -> Knob:
    """The knob for n calls.

    Raises:
        InputError: with more than two candidates, a price is not known.
    """
    m = len(candidates)
    fits = (columns.fits[:, None] >> np.arange(m, dtype=np.uint64)) & np.uint64(1) > 0
    expected = np.where(
        np.isfinite(columns.expected_tokens), columns.expected_tokens, DEFAULT_OUTPUT_TOKENS
    )
    tokens_in = columns.estimated_tokens.astype(np.float64)
    cost = cost_of_tokens_picousd(tokens_in, expected, candidates)
    win_rate = None
    if m == 2:
        pair = router.predict([], candidates).pair
        win_rate = pair.win_rate(columns.quality[:, 0], columns.quality[:, 1])
    return Knob(
        candidates=tuple(candidates),
        settings=_settings(router, candidates, win_rate),
        quality=np.where(fits, columns.quality, _UNFIT).astype(np.float64),
        fits=fits,
        win_rate=win_rate,
        cost_picousd=cost,
    )


def _settings(
    router: Router, candidates: Sequence[Candidate], win_rate: NDArray[np.float32] | None
) -> tuple[Setting, ...]:
    if win_rate is not None:
        return tuple(_setting(router, t) for t in _thresholds(win_rate))
    first = Setting(f"always {candidates[0].name}", 0.0)
    if not isinstance(router, HasReference):
        steps = [i / 20 for i in range(21)]
        return (first, *(_setting(router, t) for t in steps))
    points = reference_points(router.reference(candidates), candidates)
    dearest, cheapest = points[0].cost_usd, points[-1].cost_usd
    span = max(dearest - cheapest, 1e-300)
    found = []
    for point in points:
        # Rounded down: the policy takes the dearest point that saves at least the threshold.
        saving = float(np.floor((dearest - point.cost_usd) / span * 1e6) / 1e6)
        found.append(Setting(format_route(RouteSpec(router.name, saving)), saving, point))
    return (first, *found)


def _setting(router: Router, threshold: float) -> Setting:
    return Setting(format_route(RouteSpec(router.name, threshold)), threshold)


def _thresholds(win_rate: NDArray[np.float32]) -> list[float]:
    """Thresholds from all strong calls to none, a fifth of a percent of the calls apart."""
    rising = np.sort(win_rate)
    at = np.linspace(0, len(rising) - 1, STEPS).astype(np.intp)
    cuts = np.unique(rising[at])
    below = np.searchsorted(rising, cuts) - 1
    found = [0.0]
    for cut, i in zip(cuts, below, strict=True):
        # In the fewest digits that tell it from the next lower win rate, since people copy it.
        short = separate(rising[i], cut, rising.dtype) if i >= 0 else None
        found.append(float(np.format_float_positional(cut)) if short is None else short)
    return [*sorted({t for t in found if t < 1.0}), 1.0]
