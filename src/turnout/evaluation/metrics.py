"""Cost-quality curves of a two-model router, and the numbers read off them.

Notation: n prompts, a score per prompt (higher asks for the strong model), the quality of both
models on each. A *share* is the part of calls that go to the strong model, in [0, 1]. All qualities
are in the unit of the input; PGR, APGR and CPT have none.

Sources: RouteLLM (arXiv:2406.18665, section 3.2; its `evaluate.py` and `benchmarks.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError

Vector = NDArray[np.float64]

BINS = 10
"""RouteLLM reads its curve at the edges of ten equally filled bins."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a piecewise linear cost-quality curve, from the cheap end to the dear one."""

    share: Vector
    """(k,) ascending from 0 to 1: share of strong calls, or of the extra dollars."""
    quality: Vector
    """(k,) mean quality at that share."""


def routellm_curve(score: Vector, weak: Vector, strong: Vector, *, bins: int = BINS) -> Curve:
    """RouteLLM's curve: thresholds at the edges of `pandas.qcut(score, bins)`.

    An edge is a quantile with linear interpolation; strong where score >= edge, at the last edge
    where score > edge, so that 0% and 100% are included. RouteLLM raises where two edges are equal
    (tied scores); here the point then stands twice, which moves neither area nor interpolation.

    Args:
        score: (n,) finite.
        weak: (n,) quality of the weak model.
        strong: (n,) quality of the strong model.
        bins: 10 in RouteLLM.
    """
    _check(score, weak, strong)
    ordered, n = np.sort(score), len(score)
    routed = [score > ordered[-1]]
    for k in range(bins):
        # The edge lies between two neighbouring scores; in whole numbers, so that nothing rounds.
        below, part = divmod(k * (n - 1), bins)
        above = below + (part > 0)
        routed.append(score >= ordered[above])
    share = np.asarray([np.mean(to_strong) for to_strong in routed])
    quality = np.asarray([np.where(to_strong, strong, weak).mean() for to_strong in routed])
    order = np.argsort(share, kind="stable")
    return Curve(share[order], quality[order])


def exact_curve(
    score: Vector,
    weak: Vector,
    strong: Vector,
    *,
    extra_cost: Vector | None = None,
) -> Curve:
    """The curve through every cut point.

    Tied scores are one straight piece: the expected value when ties are broken at random.

    Args:
        score: (n,) finite.
        weak: (n,) quality of the weak model.
        strong: (n,) quality of the strong model.
        extra_cost: (n,) what the strong call costs more than the weak one. If given, `share` is the
            share of the whole extra cost (from all-weak to all-strong) instead of calls.

    Raises:
        InputError: shapes differ, a score is not finite, or the whole extra cost is not positive.
    """
    _check(score, weak, strong)
    order = np.argsort(-score, kind="stable")
    ends = block_ends(score[order])
    unit = np.ones(len(score)) if extra_cost is None else np.asarray(extra_cost, dtype=np.float64)
    spent = np.concatenate([[0.0], np.cumsum(unit[order])[ends]])
    if not spent[-1] > 0:
        raise InputError("extra_cost", spent[-1], "the strong model must cost more in all")
    gain = np.concatenate([[0.0], np.cumsum((strong - weak)[order])[ends]])
    return Curve(spent / spent[-1], weak.mean() + gain / len(score))


def block_ends(ordered: Vector) -> NDArray[np.intp]:
    """Last index of each run of equal values in an ordered array."""
    return np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))


def area(curve: Curve) -> float:
    """Area under the curve over the share, by trapezoid."""
    return float(np.trapezoid(curve.quality, curve.share))


def apgr(curve: Curve, weak_mean: float, strong_mean: float) -> float:
    """Average performance gap recovered: 0 is always-weak, 1 always-strong, 0.5 a random mix.

    (AUC - AUC_w) / (AUC_s - AUC_w), the constants over the same share axis. NaN where the strong
    model is not better. Above 1 is possible: the weak model wins some prompts.
    """
    gap = strong_mean - weak_mean
    return (area(curve) - weak_mean) / gap if gap > 0 else float("nan")


def cpt_interpolated(curve: Curve, weak_mean: float, strong_mean: float, part: float) -> float:
    """Share of strong calls for `part` of the gap, as RouteLLM reads it.

    `np.interp` of share over quality. It takes quality to be increasing, which short curves may not
    be; `cpt_minimum` has no such condition.
    """
    if not strong_mean > weak_mean:
        return float("nan")
    target = weak_mean + part * (strong_mean - weak_mean)
    return float(np.interp(target, curve.quality, curve.share))


def cpt_minimum(curve: Curve, weak_mean: float, strong_mean: float, part: float) -> float:
    """Call-performance threshold as the paper defines it: the *least* share with PGR >= `part`."""
    if not strong_mean > weak_mean:
        return float("nan")
    target = weak_mean + part * (strong_mean - weak_mean)
    k = int(np.argmax(curve.quality >= target - 1e-12))
    if k == 0:
        return float(curve.share[0])
    rise = curve.quality[k] - curve.quality[k - 1]
    into = min(1.0, max(0.0, (target - curve.quality[k - 1]) / rise)) if rise > 0 else 1.0
    return float(curve.share[k - 1] + into * (curve.share[k] - curve.share[k - 1]))


def _check(score: Vector, weak: Vector, strong: Vector) -> None:
    if not len(score) or score.shape != weak.shape or score.shape != strong.shape:
        raise InputError(
            "score", (score.shape, weak.shape, strong.shape), "give n scores and n qualities each"
        )
    if not np.isfinite(score).all():
        raise InputError("score", float(score[~np.isfinite(score)][0]), "scores must be finite")
