"""The Pareto set of cost-quality points: hypervolume, and the distance of a router's points to it.

Both over the logarithm of cost, as cheap and dear models differ by factors, not by amounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.metrics import Vector

Matrix = NDArray[np.float64]


def hypervolumes(cost: Matrix, quality: Matrix, reference: tuple[Vector, Vector]) -> Vector:
    """(b,) area that the points dominate, up to a reference point, over ln(cost).

    Args:
        cost: (b, k) positive mean costs of k points.
        quality: (b, k) their mean qualities.
        reference: (b,) cost of the dearest and (b,) quality of the worst single model: a point
            counts by how much cheaper and better than both it is.

    Returns:
        In units of quality times ln(cost). Points that others dominate never change it.
    """
    dearest, worst = np.log(reference[0])[:, None], reference[1][:, None]
    order = np.argsort(cost, axis=1, kind="stable")
    x = np.minimum(np.log(np.take_along_axis(cost, order, axis=1)), dearest)
    y = np.maximum(np.take_along_axis(quality, order, axis=1), worst)
    best = np.maximum.accumulate(y, axis=1) - worst
    widths = np.diff(np.concatenate([x, dearest], axis=1), axis=1)
    return np.asarray((widths * best).sum(axis=1))


def pareto_set(cost: Vector, quality: Vector) -> NDArray[np.bool_]:
    """(k,) True for points that no other is both as cheap and as good as, and better in one."""
    order = np.lexsort((-quality, cost))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], quality[order]]))[:-1]
    found = np.zeros(len(cost), dtype=np.bool_)
    found[order] = quality[order] > best
    return found


def pareto_distances(sweeps: Sequence[tuple[Vector, Vector]]) -> list[float]:
    """Mean L1 distance of each sweep's points to the frontier of all sweeps together.

    Quality and ln(cost) are both scaled to [0, 1] by their least and greatest value over all
    points; the distance of a point is that to the nearest point of the joint Pareto set.

    Args:
        sweeps: (k,) costs above 0 and (k,) qualities of each sweep.
    """
    x, y = np.log(np.concatenate([c for c, _ in sweeps])), np.concatenate([q for _, q in sweeps])
    x, y = _scaled(x), _scaled(y)
    front = pareto_set(x, y)
    apart = np.abs(x[:, None] - x[front]) + np.abs(y[:, None] - y[front])
    nearest = apart.min(axis=1)
    ends = np.cumsum([len(c) for c, _ in sweeps])
    return [float(part.mean()) for part in np.split(nearest, ends[:-1])]


def _scaled(values: Vector) -> Vector:
    span = float(np.ptp(values))
    return np.asarray((values - values.min()) / (span if span > 0 else 1.0))
