"""What routing would score, from scores and propensities that were logged: no model is called.

Estimators of a deterministic policy's value (Dudík, Langford & Li 2011, arXiv:1103.4601): inverse
propensity (IPS), self-normalised (SNIPS, Swaminathan & Joachims 2015), doubly robust (DR) with the
router's predictions as the model of outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.intervals import Estimate
from turnout.review.curve import Bootstrap
from turnout.review.traffic import Traffic
from turnout.routers.columns import name_forms
from turnout.types import Candidate

LEAST = 30
"""Scored calls below which no estimate is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicy:
    """Estimates over the calls with a score, a propensity and a model among the candidates."""

    calls: int
    matched: int
    """Calls on which the model that answered is the one that routing would have chosen."""
    logged: Estimate
    """Mean score as it was."""
    ips: Estimate
    snips: Estimate
    dr: Estimate
    largest_weight: float
    """Of 1 / propensity among the matched calls: a few heavy calls make an estimate shaky."""


def logged_candidates(traffic: Traffic, candidates: Sequence[Candidate]) -> NDArray[np.intp]:
    """(n,) column of the candidate that answered; -1 where it is none of them."""
    known: dict[str, int] = {}
    for j, candidate in enumerate(candidates):
        for name in (candidate.name, candidate.model):
            for form in name_forms(name):
                known.setdefault(form, j)
    column = [
        next((known[f] for f in name_forms(name) if f in known), -1) if name else -1
        for name in traffic.models
    ]
    return np.asarray(column, dtype=np.intp)[traffic.columns.model]


def off_policy(
    traffic: Traffic,
    candidates: Sequence[Candidate],
    choice: NDArray[np.intp],
    block: NDArray[np.intp],
    bootstrap: Bootstrap,
) -> OffPolicy | None:
    """What the choice would have scored; None where too little was logged.

    Args:
        traffic: n calls.
        candidates: m candidates.
        choice: (n,) column that routing chooses.
        block: (n,) block of each call.
        bootstrap: over the blocks.
    """
    c = traffic.columns
    actual = logged_candidates(traffic, candidates)
    used = np.isfinite(c.score) & np.isfinite(c.propensity) & (actual >= 0)
    if int(used.sum()) < LEAST:
        return None
    rows = np.flatnonzero(used)
    score = c.score[rows].astype(float)
    match = (actual[rows] == choice[rows]).astype(float)
    weight = match / c.propensity[rows].astype(float)
    quality = c.quality.astype(float)
    direct = quality[rows, choice[rows]]
    robust = direct + weight * (score - quality[rows, actual[rows]])
    columns = np.stack([np.ones(len(rows)), score, weight, weight * score, robust], axis=1)
    blocks = len(bootstrap.sums.calls)
    by_block = np.zeros((blocks, columns.shape[1]))
    np.add.at(by_block, block[rows], columns)
    draws, sums = bootstrap.draws(by_block), by_block.sum(axis=0)

    def ratio(top: int, bottom: int) -> Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = sums[top] / sums[bottom]
            return bootstrap.estimate(float(value), draws[:, top] / draws[:, bottom])

    return OffPolicy(
        calls=len(rows),
        matched=int(match.sum()),
        logged=ratio(1, 0),
        ips=ratio(3, 0),
        snips=ratio(3, 2),
        dr=ratio(4, 0),
        largest_weight=float(weight.max()),
    )
