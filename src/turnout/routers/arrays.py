"""Array arithmetic that the heads share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Arrays: TypeAlias = dict[str, NDArray[Any]]


def column_means(score: Array, *, prior_rows: float = 2.0) -> Array:
    """(m,) mean score per model, drawn to the mean of all cells by `prior_rows` pseudo-rows.

    Args:
        score: (n, m) with NaN for a missing cell.
        prior_rows: a model seen less than this often is mostly the overall mean.
    """
    seen = np.isfinite(score)
    total = np.where(seen, score, 0.0)
    overall = float(total.sum() / seen.sum()) if seen.any() else 0.5
    means: Array = (total.sum(axis=0) + prior_rows * overall) / (seen.sum(axis=0) + prior_rows)
    return means


def clamp(x: Array, low: float | Array, high: float | Array) -> Array:
    """`np.clip` of the few numbers of one decision, where its wrappers take most of the time."""
    found: Array = np.minimum(np.maximum(x, low), high)
    return found


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow."""
    p: Array = 1.0 / (1.0 + np.exp(-clamp(z, -30.0, 30.0)))
    return p


def logit(p: Array, *, edge: float = 1e-3) -> Array:
    """log(p / (1 - p)), with p kept `edge` away from 0 and 1."""
    p = clamp(p, edge, 1.0 - edge)
    z: Array = np.log(p) - np.log1p(-p)
    return z


def unit(x: Array) -> NDArray[np.float32]:
    """(n, d) rows scaled to length 1; a zero row stays zero."""
    length = np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
    return np.asarray(x / np.maximum(length, 1e-9), dtype=np.float32)
