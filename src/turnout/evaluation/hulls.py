"""Cost-quality points of any number of models: concave hull, AIQ, the zero router.

Everything is computed for b sets of points at once (the replicates of a bootstrap). Sources:
RouterBench (arXiv:2403.12031, sections 3.1 and 3.2); PerfGain and CostSave: LLMRouterBench
(arXiv:2601.07206).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.evaluation.metrics import Vector

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hulls:
    """Non-decreasing upper concave hulls of b sets of points, each cheapest first."""

    cost: Matrix
    """(b, k); a hull of fewer than k points repeats its last."""
    quality: Matrix
    size: NDArray[np.intp]
    """(b,) points of each hull."""

    @classmethod
    def of(cls, cost: Matrix, quality: Matrix) -> Hulls:
        """Hulls of (b, k) points: Andrew's monotone chain, one step for all b sets at a time."""
        by_quality = np.argsort(-quality, axis=1, kind="stable")
        cost = np.take_along_axis(cost, by_quality, axis=1)
        order = np.argsort(cost, axis=1, kind="stable")
        cost = np.take_along_axis(cost, order, axis=1)
        quality = np.take_along_axis(np.take_along_axis(quality, by_quality, axis=1), order, axis=1)
        x, y = np.zeros_like(cost), np.zeros_like(quality)
        size = np.zeros(len(cost), dtype=np.intp)
        every = np.arange(len(cost))
        for new_x, new_y in zip(cost.T, quality.T, strict=True):
            rising = (size == 0) | (new_y > y[every, size - 1] + 1e-12)
            while True:
                rows = np.flatnonzero(rising & (size >= 2))
                last, before = size[rows] - 1, size[rows] - 2
                across = (new_x[rows] - x[rows, before]) * (y[rows, last] - y[rows, before])
                under = across <= (x[rows, last] - x[rows, before]) * (
                    new_y[rows] - y[rows, before]
                )
                if not under.any():
                    break
                size[rows[under]] -= 1
            rows = np.flatnonzero(rising)
            x[rows, size[rows]], y[rows, size[rows]] = new_x[rows], new_y[rows]
            size[rows] += 1
        at = np.minimum(np.arange(cost.shape[1]), size[:, None] - 1)
        return cls(np.take_along_axis(x, at, axis=1), np.take_along_axis(y, at, axis=1), size)

    def areas(self, low: Vector, high: Vector) -> Vector:
        """(b,) integrals from `low` to `high`: flat right of a hull's last point, 0 left of its first."""
        low, high = low[:, None], high[:, None]
        inside = np.clip(self.cost, low, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.diff(self.quality, axis=1) / np.diff(self.cost, axis=1)
        slope = np.where(np.isfinite(slope), slope, 0.0)
        left = self.quality[:, :-1] + slope * (inside[:, :-1] - self.cost[:, :-1])
        right = self.quality[:, :-1] + slope * (inside[:, 1:] - self.cost[:, :-1])
        within = (np.diff(inside, axis=1) * (left + right) / 2).sum(axis=1)
        return np.asarray(within + (high[:, 0] - inside[:, -1]) * self.quality[:, -1])

    def cost_at(self, level: Vector) -> Vector:
        """(b,) least cost at which each hull reaches a quality; NaN where it never does."""
        rows = np.arange(len(level))
        reached = self.quality >= level[:, None] - 1e-12
        k = np.argmax(reached, axis=1)
        before = np.maximum(k - 1, 0)
        x0, x1, y0, y1 = (a[rows, i] for a in (self.cost, self.quality) for i in (before, k))
        with np.errstate(divide="ignore", invalid="ignore"):
            into = np.where(y1 > y0, (level - y0) / (y1 - y0), 1.0)
        found = np.where(k == 0, x1, x0 + into * (x1 - x0))
        return np.asarray(np.where(reached.any(axis=1), found, np.nan))


def net_lifts(cost: Matrix, quality: Matrix, zero: Hulls, low: Vector, high: Vector) -> Vector:
    """(b,) mean height of the points' own curve above the zero router, without hindsight.

    The hull of k measured points picks those that luck favoured, so its lift is above 0 more often
    than it should be where routing gives nothing. Here every point counts: neighbours are joined by
    straight lines (a mix of two settings), left of the first point there is no lift, and right of
    the last its quality stays. The zero router keeps *its* hindsight, which only makes it harder
    to beat.

    Args:
        cost: (b, k) mean cost of each setting.
        quality: (b, k) mean quality.
        zero: hulls of the single models.
        low: (b,) cost of the cheapest single model.
        high: (b,) of the dearest.
    """
    order = np.argsort(cost, axis=1, kind="stable")
    x = np.clip(np.take_along_axis(cost, order, axis=1), low[:, None], high[:, None])
    y = np.take_along_axis(quality, order, axis=1)
    inside = (np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2).sum(axis=1)
    area = inside + (high - x[:, -1]) * y[:, -1]
    return np.asarray((area - zero.areas(x[:, 0], high)) / (high - low))


def concave_hull(cost: Vector, quality: Vector) -> tuple[Vector, Vector]:
    """The non-decreasing upper concave hull of k points, cheapest first: costs, qualities."""
    hull = Hulls.of(np.asarray(cost)[None, :], np.asarray(quality)[None, :])
    size = int(hull.size[0])
    return hull.cost[0, :size], hull.quality[0, :size]


def aiq(cost: Vector, quality: Vector, *, cheapest: float, dearest: float) -> float:
    """Average improvement in quality: mean height of the hull from `cheapest` to `dearest`.

    Args:
        cost: (k,) mean cost of each point.
        quality: (k,) mean quality.
        cheapest: least mean cost of a *single model*: the axis is the same for every router.
        dearest: greatest mean cost of a single model.

    Returns:
        The integral over the span; the hull goes on flat to `dearest` and is 0 left of its first
        point. A point that others dominate never changes it.

    Raises:
        InputError: the span is empty, or there is no point.
    """
    if not dearest > cheapest:
        raise InputError("dearest", dearest, f"models must differ in cost (cheapest {cheapest})")
    if not len(cost):
        raise InputError("cost", (), "give at least one point")
    hull = Hulls.of(np.asarray(cost)[None, :], np.asarray(quality)[None, :])
    ends = np.asarray([cheapest]), np.asarray([dearest])
    return float(hull.areas(*ends)[0] / (dearest - cheapest))


def log_aiq(cost: Vector, quality: Vector, *, cheapest: float, dearest: float) -> float:
    """`aiq` over the logarithm of cost, hull included: it does not weigh the dear end so much.

    Raises:
        InputError: a cost is not positive, or see `aiq`.
    """
    if not (cheapest > 0 and (np.asarray(cost) > 0).all()):
        raise InputError("cost", float(np.min(cost)), "a logarithm needs costs above 0")
    return aiq(
        np.log(cost), quality, cheapest=float(np.log(cheapest)), dearest=float(np.log(dearest))
    )


def zero_router(cost: Vector, quality: Vector) -> float:
    """AIQ of the best mixes of single models, which needs no prediction at all.

    Args:
        cost: (m,) mean cost of each single model.
        quality: (m,) its mean quality.
    """
    return aiq(cost, quality, cheapest=float(np.min(cost)), dearest=float(np.max(cost)))
