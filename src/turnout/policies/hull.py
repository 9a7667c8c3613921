"""N models: operating points on the upper concave hull of routing and of constant models.

A sweep of `argmax quality - cost / usd_per_quality` traces a router's cost-quality points. Alone it
can be worse than always calling one model, or a mix of two. So the points offered are those on the
concave hull of the sweep *and* of every constant model, measured on predictions made out of fold:
by construction the choice is then never worse, in expectation, than the best mix of single models
(the "zero router" of RouterBench, arXiv:2403.12031, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.policies.base import Choice
from turnout.types import Candidate, Prediction

SWEEP = 64
"""Price-quality trade-offs tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One way to choose, and what it gave out of fold."""

    usd_per_quality: float
    """What one full unit of quality is worth; inf is best quality. Unused with `constant`."""
    constant: str | None
    """The one model always called, or None for a routed point."""
    cost_usd: float
    """Mean price of a request."""
    quality: float
    """Mean quality."""


def operating_points(
    predicted: NDArray[np.floating],
    score: NDArray[np.floating],
    cost_usd: NDArray[np.floating],
    names: Sequence[str],
) -> tuple[OperatingPoint, ...]:
    """The hull, dearest (best) point first.

    Args:
        predicted: (r, m) quality predicted out of fold.
        score: (r, m) what was scored; rows with NaN are left out.
        cost_usd: (r, m) price of each call.
        names: m candidate names.

    Raises:
        InputError: no row is complete, or a price is unknown.
    """
    if np.isnan(cost_usd).any():
        unknown = [n for n, bad in zip(names, np.isnan(cost_usd).any(axis=0), strict=True) if bad]
        raise InputError(
            "price", unknown[0], "give a price for this model, in the settings or with --price"
        )
    complete = ~np.isnan(score).any(axis=1)
    if not complete.any():
        raise InputError("outcomes", 0, "no prompt has a score of every candidate")
    predicted, score, cost = predicted[complete], score[complete], cost_usd[complete]
    found = [
        OperatingPoint(
            usd_per_quality=float("inf"),
            constant=name,
            cost_usd=float(cost[:, j].mean()),
            quality=float(score[:, j].mean()),
        )
        for j, name in enumerate(names)
    ]
    rows = np.arange(len(score))
    for worth in trade_offs(float(np.ptp(cost, axis=1).max())):
        pick = best_value(predicted, cost, worth)
        found.append(
            OperatingPoint(
                usd_per_quality=float(worth),
                constant=None,
                cost_usd=float(cost[rows, pick].mean()),
                quality=float(score[rows, pick].mean()),
            )
        )
    return upper_hull(found)


def best_value(
    quality: NDArray[np.floating], cost_usd: NDArray[np.floating], usd_per_quality: float
) -> NDArray[np.intp]:
    """(n,) column worth most after its price; a tie goes to the cheaper, then to the earlier one.

    Args:
        quality: (n, m) expected quality.
        cost_usd: (n, m) expected price.
        usd_per_quality: what one full unit of quality is worth; inf looks at quality alone.
    """
    value = quality if np.isinf(usd_per_quality) else quality * usd_per_quality - cost_usd
    best = value >= value.max(axis=1, keepdims=True) - 1e-12
    return np.asarray(np.argmin(np.where(best, cost_usd, np.inf), axis=1), dtype=np.intp)


def upper_hull(points: Sequence[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """The non-decreasing upper concave hull in (cost, quality), best quality first.

    A routed point that ties a constant model gives way to it: the simpler rule is kept.
    """
    order = sorted(points, key=lambda p: (p.cost_usd, -p.quality, p.constant is None))
    hull: list[OperatingPoint] = []
    for point in order:
        if hull and point.quality <= hull[-1].quality + 1e-12:
            continue
        while len(hull) >= 2 and _below(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return tuple(reversed(hull))


def _below(a: OperatingPoint, b: OperatingPoint, c: OperatingPoint) -> bool:
    """Whether b lies on or under the chord from a to c."""
    across = (c.cost_usd - a.cost_usd) * (b.quality - a.quality)
    return across <= (b.cost_usd - a.cost_usd) * (c.quality - a.quality)


def trade_offs(span_usd: float) -> list[float]:
    """What a unit of quality may be worth, from "a cent more is too much" to quality alone.

    Args:
        span_usd: largest difference in price between candidates; without any, quality decides.
    """
    if span_usd <= 0.0:
        return [float("inf")]
    return [*np.geomspace(span_usd * 1e-2, span_usd * 1e4, SWEEP).tolist(), float("inf")]


@dataclass(frozen=True, slots=True)
class HullPolicy:
    """Chooses by the operating point at `threshold`: 0 is the best quality, 1 the cheapest point.

    In between, `threshold` is the share of the price span of the hull to save; the dearest point
    that saves at least that much is used.
    """

    points: tuple[OperatingPoint, ...]
    threshold: float
    name: str = "hull"

    def __post_init__(self) -> None:
        if not self.points:
            raise InputError("points", (), "fit operating points first")
        if not 0.0 <= self.threshold <= 1.0:
            raise InputError("threshold", self.threshold, "give a number from 0 to 1")

    @property
    def point(self) -> OperatingPoint:
        """The operating point in use."""
        dearest, cheapest = self.points[0].cost_usd, self.points[-1].cost_usd
        limit = dearest - self.threshold * (dearest - cheapest)
        within = [p for p in self.points if p.cost_usd <= limit * (1 + 1e-9)]
        return within[0] if within else self.points[-1]

    def pick(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """(n,) column of the candidate that is worth most at the operating point; see `choose`."""
        names = [c.name for c in candidates]
        if np.isnan(cost_picousd).any():
            bad = names[int(np.argmax(np.isnan(cost_picousd).any(axis=0)))]
            raise InputError(
                "price", bad, "give a price for this model, in the settings or with --price"
            )
        point = self.point
        if point.constant in names:
            return np.full(len(prediction.quality), names.index(point.constant), dtype=np.intp)
        worth = point.usd_per_quality if point.constant is None else self._nearest_worth(point)
        return best_value(prediction.quality, cost_picousd / 1e12, worth)

    def choose(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> Choice:
        """Choose the candidate that is worth most at the operating point.

        Where a constant point's model was put out by constraints, the best value at the nearest
        routed point decides among those left.

        Raises:
            InputError: a candidate has no price.
        """
        index = self.pick(prediction, candidates, cost_picousd)
        names, n = [c.name for c in candidates], len(index)
        if self.point.constant in names:
            constant = self.point.constant
            why = f"at this operating point {constant} is the best choice for every request"
            return Choice(index=index, code=("constant_model",) * n, reason=(why,) * n)
        rows = np.arange(n)
        sentences = tuple(
            f"{names[j]}: expected quality {q:.3f} for {c / 1e12:.6f} USD is worth most"
            for j, q, c in zip(
                index, prediction.quality[rows, index], cost_picousd[rows, index], strict=True
            )
        )
        return Choice(index=index, code=("best_value",) * n, reason=sentences)

    def _nearest_worth(self, point: OperatingPoint) -> float:
        routed = [p for p in self.points if p.constant is None]
        if not routed:
            return float("inf") if point is self.points[0] else 0.0
        return min(routed, key=lambda p: abs(p.cost_usd - point.cost_usd)).usd_per_quality
