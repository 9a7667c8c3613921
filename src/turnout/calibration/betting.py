"""Tests of a bounded mean by betting: exact at every sample size and for every distribution.

To show that a mean is below 0, bet against it. Start with one unit; before each value z choose a
stake λ from what was seen so far, and multiply what you have by 1 - λ z. If the mean is 0 or more,
no stakes make this grow on average, so it reaches 1/δ with a chance of at most δ (Ville's
inequality). Reaching it therefore shows, with confidence 1 - δ, that the mean is below 0
(Waudby-Smith and Ramdas 2024, arXiv:2010.09686).

Only how soon it is shown depends on the stakes. They aim anew at the target before every value, by
what is still missing and how many values are left (STaR-Bets: Voráček and Orabona 2025,
arXiv:2505.22422); on real outcomes this certified 2 to 14% more than stakes fixed beforehand, and a
tenth to many times more than an exact binomial bound on "the cheap answer was worse", which cannot
count the cheap answers that are better (docs/lab-notes.md, docs/benchmarks.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError

Values = NDArray[np.float64]

_SEEN = 5.0
"""Values that the first guess of the variance counts for."""
_MOST_AT_STAKE = 0.75
"""Largest part of the capital that the worst value can take away."""


def rejected(z: Values, low: float, high: float, delta: float) -> NDArray[np.bool_]:
    """For each column, whether "its mean is 0 or more" is rejected with confidence 1 - delta.

    Args:
        z: (n, k) independent draws in rows, each in [low, high], in an order that says nothing of
            their values.
        low: below 0.
        high: above 0; where it is not, every mean is below 0 and all are rejected.
        delta: chance of rejecting wrongly, in (0, 1), for each column by itself.

    Returns:
        (k,) booleans.

    Raises:
        InputError: a value outside [low, high], or a delta outside (0, 1).
    """
    if len(z) and not (z.min() >= low - 1e-9 and z.max() <= high + 1e-9):
        value = float(z.min() if z.min() < low - 1e-9 else z.max())
        raise InputError("values", value, f"give values from {low:g} to {high:g}")
    return bet(iter(z), len(z), z.shape[1:], low, high, delta)


def bet(
    rows: Iterable[Values], n: int, shape: tuple[int, ...], low: float, high: float, delta: float
) -> NDArray[np.bool_]:
    """`rejected` for values that come one row at a time: a row is an array of `shape`.

    Every element is a test by itself. See `rejected` for the arguments.
    """
    if not 0.0 < delta < 1.0:
        raise InputError("delta", delta, "give a number between 0 and 1")
    if high <= 0.0:
        return np.ones(shape, dtype=np.bool_)
    target = math.log(1.0 / delta)
    capital, done = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    # E z² of a mean of 0 is at most -low * high; a quarter of it is a middling first guess.
    square = np.full(shape, _SEEN * max(-low, 1e-12) * high / 4.0)
    for t, z in enumerate(rows):
        missing = np.maximum(target - capital, 1e-3)
        stake = np.sqrt(2.0 * missing * (t + _SEEN) / ((n - t) * square))
        np.minimum(stake, _MOST_AT_STAKE / high, out=stake)
        capital += np.where(done, 0.0, np.log1p(-stake * z))
        done |= capital >= target
        square += z * z
    return done


def shuffled(n: int, seed: int) -> NDArray[np.intp]:
    """(n,) an order that says nothing of the values: drawn by a seed, whatever the file's order."""
    return np.random.default_rng(seed).permutation(n)
