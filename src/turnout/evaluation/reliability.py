"""Whether predicted qualities mean what they say: Brier score, ECE, reliability bins.

Sources: Brier (1950); ECE over bins of equal mass, Nixon et al. (arXiv:1904.01685).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.intervals import Estimate, Replicates, interval, percentile_interval
from turnout.evaluation.metrics import Vector, block_ends
from turnout.evaluation.tables import json_estimate

ECE_BINS = 15
_REPLICATES = 200
"""Replicates for the bands of a picture and the intervals of m models."""


def brier(probability: Vector, happened: Vector) -> float:
    """Mean squared error of probabilities; 0 is best."""
    return float(np.mean((np.asarray(probability) - np.asarray(happened)) ** 2))


def brier_skill(probability: Vector, happened: Vector) -> float:
    """1 - Brier / Brier of the base rate; 0 is no better than it. NaN where all outcomes agree."""
    constant = brier(np.full(len(happened), np.mean(happened)), happened)
    return 1.0 - brier(probability, happened) / constant if constant > 0 else float("nan")


def mass_bins(probability: Vector, bins: int = ECE_BINS) -> NDArray[np.intp]:
    """(n,) bin of each probability: bins of equal mass, lowest first, numbered without gaps.

    Tied probabilities are never parted: each bin's edge moves to the end of its ties, so the order
    of the rows does not matter.
    """
    order = np.argsort(probability, kind="stable")
    n, ends = len(order), block_ends(np.asarray(probability)[order]) + 1
    wanted = np.arange(1, bins + 1) * n / bins
    edges = np.unique(ends[np.searchsorted(ends, np.ceil(wanted - 1e-9))])
    found = np.empty(n, dtype=np.intp)
    found[order] = np.searchsorted(edges, np.arange(n), side="right")
    return found


def ece(probability: Vector, happened: Vector, *, bins: int = ECE_BINS) -> float:
    """Expected calibration error over bins of equal mass (`mass_bins`).

    Mean over bins, weighted by size, of |mean probability - rate|.
    """
    gaps = np.asarray(probability, dtype=np.float64) - np.asarray(happened, dtype=np.float64)
    sums = np.bincount(mass_bins(probability, bins), weights=gaps)
    return float(np.abs(sums).sum() / len(gaps))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Prompts whose predictions are alike."""

    predicted: float
    """Mean prediction."""
    happened: float
    """Mean of what was scored."""
    low: float
    """95% interval of `happened`."""
    high: float
    prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How well one router predicts one model."""

    router: str
    model: str
    """Whose quality; or `wins of STRONG`, for a win rate."""
    brier: Estimate
    skill: Estimate
    """1 - Brier / Brier of the mean score: 0 is no better than knowing the mean."""
    ece: float
    bins: tuple[ReliabilityBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "router": self.router,
            "model": self.model,
            "brier": json_estimate(self.brier),
            "brier_skill": json_estimate(self.skill),
            "ece": self.ece,
            "bins": [asdict(b) for b in self.bins],
        }


def reliability(
    router: str, model: str, predicted: Vector, happened: Vector, replicates: Replicates
) -> Reliability:
    """Check (n,) predictions in [0, 1] against (n,) scores in [0, 1]."""
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    at = mass_bins(p)
    inside = np.eye(int(at.max()) + 1)[at]
    columns = [((p - y) ** 2)[:, None], y[:, None], (y**2)[:, None], inside, inside * y[:, None]]
    means = replicates.means(np.concatenate(columns, axis=1), _REPLICATES)
    square, mean, mean_square = means[:, 0], means[:, 1], means[:, 2]
    constant = mean_square - mean**2
    size, got = np.split(means[:, 3:], 2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        skill = np.where(constant > 1e-12, 1.0 - square / constant, np.nan)
        rate = np.where(size > 0, got / size, np.nan)
    found = []
    for k in range(inside.shape[1]):
        band = percentile_interval(float(rate[0, k]), rate[1:, k])
        low, high = (band.value if math.isnan(v) else v for v in (band.low, band.high))
        in_bin = at == k
        found.append(
            ReliabilityBin(float(p[in_bin].mean()), band.value, low, high, int(in_bin.sum()))
        )
    return Reliability(
        router=router,
        model=model,
        brier=interval(square),
        skill=interval(skill),
        ece=ece(p, y),
        bins=tuple(found),
    )
