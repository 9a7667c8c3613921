"""Calibrate the tiers of a ladder together: a level for each, one slope for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from turnout.routers.arrays import logit, sigmoid
from turnout.routers.platt import Platt
from turnout.types import Floats

STEPS = 200
LARGEST_STEP = 0.2


def tied_platt(
    predicted: Floats,
    score: NDArray[np.floating],
    weight: NDArray[np.floating],
    *,
    fixed: float | None = None,
) -> Platt:
    """Platt scaling whose slope is the same for all columns, and whose levels rise.

    Args:
        predicted: (n, K) qualities of prompts that the predicting head had not seen.
        score: (n, K), NaN where missing.
        weight: (n, K) of each cell, 0 where missing.
        fixed: a slope that is not fitted.
    """
    z = logit(predicted.astype(np.float64))
    y, weight = np.nan_to_num(score), weight / weight.sum()
    level, slope = np.zeros(score.shape[1]), 0.5 if fixed is None else fixed
    for _ in range(STEPS):
        p = sigmoid(slope * z + level)
        mass = weight * p * (1 - p)
        level += np.clip((weight * (y - p)).sum(axis=0) / (mass.sum(axis=0) + 1e-9), -1, 1)
        if fixed is not None:
            continue
        p = sigmoid(slope * z + level)
        mass = weight * p * (1 - p)
        step = (weight * (y - p) * z).sum() / ((mass * z**2).sum() + 1e-9)
        slope = max(0.0, slope + float(np.clip(step, -LARGEST_STEP, LARGEST_STEP)))
    return Platt(np.full(len(level), slope, np.float32), level.astype(np.float32))
