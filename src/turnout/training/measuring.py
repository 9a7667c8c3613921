"""What out-of-fold predictions are worth: the `measured` part of a manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.data.table import OutcomeTable
from turnout.evaluation.intervals import Resampler, percentile_interval
from turnout.training.above_length import REPLICATES, above_length
from turnout.types import Floats


def measure(
    table: OutcomeTable, predicted: Floats, groups: NDArray[np.intp], *, seed: int = 0
) -> dict[str, Any]:
    """Brier score with its interval, skill over each model's mean, each model, and length.

    Args:
        table: n prompts by m models.
        predicted: (n, m) out-of-fold predictions.
        groups: (n,) group of each prompt; the bootstrap draws whole groups.
        seed: of the bootstrap.
    """
    score = table.score
    seen = np.isfinite(score)
    squared = np.where(seen, (predicted - score) ** 2, 0.0)
    error = float(((predicted - score)[seen] ** 2).mean())
    means = np.nansum(score, axis=0) / np.maximum(seen.sum(axis=0), 1)
    constant = float(((means - score)[seen] ** 2).mean())
    # A cell is the unit of the score, a group that of the bootstrap: a ratio of two means.
    sums = np.stack([squared.sum(axis=1), seen.sum(axis=1)], axis=1).astype(np.float64)
    draws = Resampler(groups, REPLICATES, seed).means(sums)
    found = percentile_interval(error, draws[:, 0] / draws[:, 1])
    interval = (
        {"brier_interval": [round(found.low, 5), round(found.high, 5)]}
        if np.isfinite(found.low)
        else {}
    )
    return {
        "brier_out_of_fold": round(error, 5),
        "brier_of_means": round(constant, 5),
        "brier_skill": round(1.0 - error / constant, 4) if constant > 0 else 0.0,
        **interval,
        "models": {
            name: {
                "prompts": int(seen[:, j].sum()),
                "mean_score": round(float(means[j]), 4),
                "brier": round(float(squared[:, j].sum() / max(int(seen[:, j].sum()), 1)), 5),
            }
            for j, name in enumerate(table.models)
        },
        "above_length": above_length(table.prompts, score, predicted, groups, seed=seed),
    }
