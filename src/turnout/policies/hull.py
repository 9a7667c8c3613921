"""N models: operating points on the upper concave hull of routing and of constant models.

A sweep of `argmax quality - cost / usd_per_quality` traces a router's cost-quality points. Alone it
can be worse than always calling one model, or a mix of two. So the points offered are those on the
concave hull of the sweep *and* of every constant model, measured on predictions made out of fold:
by construction the choice is then never worse, in expectation, than the best mix of single models
(the "zero router" of RouterBench, arXiv:2403.12031, section 3.2).

A routed point has a margin: candidates that near the best in worth count as ties, and a tie goes to
the candidate that is worth most on average, so that the choice does not turn on a misspelt word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.policies.base import Choice, require_prices
from turnout.policies.margins import MARGINS, steady_margin
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
    margin: float = 0.0
    """Of quality: candidates worth at most so much less than the best are near ties."""
    order: tuple[str, ...] = ()
    """Candidates by what they are worth on average, best first: near ties go to the first."""

    def pick(
        self, quality: NDArray[np.floating], cost_usd: NDArray[np.floating], names: Sequence[str]
    ) -> NDArray[np.intp]:
        """(n,) columns that this point chooses.

        Args:
            quality: (n, m) expected quality.
            cost_usd: (n, m) expected price.
            names: m candidates, among them those of `order` and of `constant`; those that the point
                does not know lose a near tie.
        """
        if self.constant is not None:
            return np.full(len(quality), names.index(self.constant), dtype=np.intp)
        rank = {name: i for i, name in enumerate(self.order)}
        order = np.asarray([rank.get(name, len(rank)) for name in names], dtype=np.float64)
        return best_value(quality, cost_usd, self.usd_per_quality, margin=self.margin, order=order)


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
    worths = trade_offs(float(np.ptp(cost, axis=1).max()))
    found += [_routed(predicted, score, cost, names, worth) for worth in worths]
    return upper_hull(found)


def _routed(
    predicted: NDArray[np.floating],
    score: NDArray[np.floating],
    cost: NDArray[np.floating],
    names: Sequence[str],
    worth: float,
) -> OperatingPoint:
    """The point of a trade-off, by a margin that loses nothing to speak of out of fold."""
    rows = np.arange(len(score))
    realised = _value(score, cost, worth)
    mean = realised.mean(axis=0)
    order = sorted(range(len(names)), key=lambda j: (-mean[j], cost[:, j].mean(), j))
    rank = np.argsort(order)
    picks = [best_value(predicted, cost, worth, margin=m, order=rank) for m in MARGINS]
    margin = steady_margin(np.stack([realised[rows, pick] for pick in picks]))
    pick = best_value(predicted, cost, worth, margin=margin, order=rank)
    return OperatingPoint(
        usd_per_quality=float(worth),
        constant=None,
        cost_usd=float(cost[rows, pick].mean()),
        quality=float(score[rows, pick].mean()),
        margin=margin,
        order=tuple(names[j] for j in order),
    )


def best_value(
    quality: NDArray[np.floating],
    cost_usd: NDArray[np.floating],
    usd_per_quality: float,
    *,
    margin: float = 0.0,
    order: NDArray[np.generic] | None = None,
) -> NDArray[np.intp]:
    """(n,) column worth most after its price; a tie goes to the cheaper, then to the earlier one.

    Args:
        quality: (n, m) expected quality.
        cost_usd: (n, m) expected price.
        usd_per_quality: what one full unit of quality is worth; inf looks at quality alone.
        margin: of quality; columns worth at most so much less than the best are ties as well.
        order: (m,) ranks: a tie goes to the lowest, before the price is looked at.
    """
    value = _value(quality, cost_usd, usd_per_quality)
    near = margin if np.isinf(usd_per_quality) else margin * usd_per_quality
    tied = value >= value.max(axis=1, keepdims=True) - near - 1e-12
    if order is not None and margin > 0.0:
        ranks = np.where(tied, order, np.inf)
        tied = ranks == ranks.min(axis=1, keepdims=True)
    return np.asarray(np.argmin(np.where(tied, cost_usd, np.inf), axis=1), dtype=np.intp)


def _value(
    quality: NDArray[np.floating], cost_usd: NDArray[np.floating], usd_per_quality: float
) -> NDArray[np.floating]:
    """(n, m) what is left of quality's worth after the price; quality itself where it is all."""
    return quality if np.isinf(usd_per_quality) else quality * usd_per_quality - cost_usd


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
        require_prices(candidates, cost_picousd)
        names = [c.name for c in candidates]
        return self.used(names).pick(prediction.quality, cost_picousd / 1e12, names)

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
        used, quality, cost_usd = self.used(names), prediction.quality, cost_picousd / 1e12
        best = best_value(quality, cost_usd, used.usd_per_quality)
        near = f"worth most to within {used.margin:g} of quality, and usually the better choice"
        rows = np.arange(n)
        sentences = tuple(
            f"{names[j]}: expected quality {q:.3f} for {c:.6f} USD is "
            f"{'worth most' if j == b else near}"
            for j, b, q, c in zip(
                index, best, quality[rows, index], cost_usd[rows, index], strict=True
            )
        )
        return Choice(index=index, code=("best_value",) * n, reason=sentences)

    def used(self, names: Sequence[str]) -> OperatingPoint:
        """The point in use, or the nearest routed one where constraints put its model out."""
        point = self.point
        known = point.constant is None or point.constant in names
        return point if known else self._nearest_routed(point)

    def _nearest_routed(self, point: OperatingPoint) -> OperatingPoint:
        routed = [p for p in self.points if p.constant is None]
        if not routed:
            worth = float("inf") if point is self.points[0] else 0.0
            return replace(point, usd_per_quality=worth, constant=None)
        return min(routed, key=lambda p: abs(p.cost_usd - point.cost_usd))
