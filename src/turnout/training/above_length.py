"""Is a fitted router better than prompt length, on its own data, out of fold, with an interval?

Two models: APGR of the predicted gain less APGR of the rule "longer prompts to the strong model".
More: mean score of the best predicted model less that of the best by length, where length is a
straight line in log characters per model, fitted on the other folds. Both paired by a bootstrap over
groups of near-duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds
from turnout.evaluation.intervals import Estimate, Resampler, SortedPair, percentile_interval
from turnout.types import Floats

LEAST_PROMPTS = 40
"""Prompts with every score; below this a bootstrap interval says nothing."""
REPLICATES = 500

Vector = NDArray[np.float64]


def above_length(
    prompts: Sequence[str],
    score: Floats,
    predicted: Floats,
    groups: NDArray[np.intp],
    *,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """The paired difference to length; JSON-ready, for `measured` of a manifest.

    Args:
        prompts: n texts.
        score: (n, m), NaN where missing; only prompts with every score count.
        predicted: (n, m) out-of-fold predictions.
        groups: (n,) group of each prompt.
        folds: for the fit of length, with three models or more.
        seed: of folds and bootstrap.

    Returns:
        `metric`, `router`, `length`, `difference`, `low`, `high`, `prompts` and `beats` (True only
        where the whole interval is above zero), or just `prompts` and `why_not`.
    """
    whole = np.isfinite(score).all(axis=1)
    n = int(whole.sum())
    if n < LEAST_PROMPTS or len(np.unique(groups[whole])) < folds:
        return {
            "prompts": n,
            "why_not": f"{n} prompts have every score; an interval needs {LEAST_PROMPTS}",
        }
    chars = np.log1p([len(prompts[i]) for i in np.flatnonzero(whole).tolist()])
    known, guessed = score[whole].astype(np.float64), predicted[whole].astype(np.float64)
    if score.shape[1] == 2:
        return _pair(chars, known, guessed, groups[whole], seed)
    return _pool(chars, known, guessed, groups[whole], folds, seed)


def sentence(found: Mapping[str, Any]) -> str:
    """What `above_length` found, in words."""
    if "why_not" in found:
        return f"not compared with prompt length: {found['why_not']}"
    shown = (
        f"{found['metric']} {found['difference']:+.3f} [{found['low']:+.3f} {found['high']:+.3f}], "
        f"{found['prompts']} prompts out of fold"
    )
    if found["beats"]:
        return f"better than prompt length alone: {shown}"
    if found["high"] < 0:
        return f"WORSE than prompt length alone: {shown}; route by `rules` instead"
    return (
        f"NOT shown to be better than prompt length alone: {shown}; "
        "give more labels before you rely on it"
    )


def _pair(
    chars: Vector, score: Vector, predicted: Vector, groups: NDArray[np.intp], seed: int
) -> dict[str, Any]:
    strong = int(np.argmax(score.mean(axis=0)))
    gain = score[:, strong] - score[:, 1 - strong]
    if gain.mean() <= 0:
        return {"prompts": len(score), "why_not": "both models are as good on average"}
    router = SortedPair(predicted[:, strong] - predicted[:, 1 - strong], gain)
    length = SortedPair(chars, gain)
    once = np.ones((1, len(score)))
    values = [float(pair.measure(once).apgr[0]) for pair in (router, length)]
    draws = [
        router.measure(w).apgr - length.measure(w).apgr
        for w in Resampler(groups, REPLICATES, seed).weights()
    ]
    found = percentile_interval(values[0] - values[1], np.concatenate(draws))
    return _stated("APGR", values[0], values[1], found, len(score))


def _pool(
    chars: Vector,
    score: Vector,
    predicted: Vector,
    groups: NDArray[np.intp],
    folds: int,
    seed: int,
) -> dict[str, Any]:
    every = np.arange(len(score))
    fold = group_folds(groups, folds, seed=seed)
    line = np.empty_like(score)
    design = np.stack([np.ones_like(chars), chars], axis=1)
    for f in range(folds):
        held = fold == f
        line[held] = design[held] @ np.linalg.lstsq(design[~held], score[~held], rcond=None)[0]
    router = score[every, np.argmax(predicted, axis=1)]
    length = score[every, np.argmax(line, axis=1)]
    draws = Resampler(groups, REPLICATES, seed).means((router - length)[:, None])[:, 0]
    found = percentile_interval(float((router - length).mean()), draws)
    return _stated("mean score", float(router.mean()), float(length.mean()), found, len(score))


def _stated(
    metric: str, router: float, length: float, found: Estimate, prompts: int
) -> dict[str, Any]:
    if not np.isfinite(found.low):
        return {"prompts": prompts, "why_not": "too few bootstrap draws define the difference"}
    numbers = {
        "router": router,
        "length": length,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
    }
    return {
        "metric": metric,
        **{name: round(value, 4) for name, value in numbers.items()},
        "prompts": prompts,
        "beats": found.low > 0,
    }
