"""Cost-quality points of any number of models: concave hull, AIQ, the zero router.

Source: RouterBench (arXiv:2403.12031, sections 3.1 and 3.2).
"""

from __future__ import annotations

import numpy as np

from turnout.errors import InputError
from turnout.evaluation.metrics import Vector
from turnout.policies.hull import OperatingPoint, upper_hull


def concave_hull(cost: Vector, quality: Vector) -> tuple[Vector, Vector]:
    """The non-decreasing upper concave hull of k points, cheapest first: costs, qualities."""
    points = [
        OperatingPoint(
            usd_per_quality=float("inf"), constant=None, cost_usd=float(c), quality=float(q)
        )
        for c, q in zip(cost, quality, strict=True)
    ]
    hull = upper_hull(points)[::-1]
    return np.asarray([p.cost_usd for p in hull]), np.asarray([p.quality for p in hull])


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
    x, y = concave_hull(cost, quality)
    inner = np.clip(x, cheapest, dearest)
    at = np.unique(np.concatenate([inner, [cheapest, dearest]]))
    left = min(max(float(x[0]), cheapest), dearest)
    at = at[at >= left]
    height = np.interp(at, x, y)
    return float(np.trapezoid(height, at) / (dearest - cheapest))


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
