"""Showing that a rate of errors is below a limit, at any time and however often one looks.

To show that errors are rarer than `limit`, weigh how well each smaller rate explains what was seen
against the limit itself, and take the mean over all of them alike. If the true rate is the limit or more,
that mean grows to 1/δ with a chance of at most δ, whenever one looks (a mixture of likelihood ratios is a
nonnegative supermartingale: Ville 1939; Robbins 1970, "Statistical methods related to the law of the
iterated logarithm"). A binomial bound at a fixed number of trials does not bear looking again and again.
"""

from __future__ import annotations

import math
from functools import cache

from turnout.calibration.bounds import beta_cdf
from turnout.errors import InputError

_BISECTIONS = 20


def evidence_below(wrong: int, n: int, limit: float) -> float:
    """Log of the evidence that the rate of errors is below a limit; `log(1/δ)` shows it at δ.

    Args:
        wrong: errors seen.
        n: trials.
        limit: in (0, 1).

    Raises:
        InputError: counts that make no sense, or a limit outside (0, 1).
    """
    if not 0 <= wrong <= n:
        raise InputError("wrong, n", (wrong, n), "give 0 <= wrong <= n")
    if not 0.0 < limit < 1.0:
        raise InputError("limit", limit, "give a rate between 0 and 1")
    a, b = wrong + 1.0, n - wrong + 1.0
    below = beta_cdf(limit, a, b)
    if below <= 0.0:
        return -math.inf
    mean = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b) + math.log(below / limit)
    return mean - wrong * math.log(limit) - (n - wrong) * math.log1p(-limit)


def shown_below(wrong: int, n: int, limit: float, *, delta: float = 0.05) -> bool:
    """Whether the rate of errors is shown to be below a limit, with a chance of at most `delta` to err.

    Raises:
        InputError: see `evidence_below`.
    """
    return evidence_below(wrong, n, limit) >= math.log(1.0 / delta)


def upper_rate(wrong: int, n: int, *, delta: float = 0.05) -> float:
    """The least rate that the errors are shown to be below, in (0, 1]; valid whenever one looks.

    Raises:
        InputError: see `evidence_below`.
    """
    low, high = wrong / max(n, 1), 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if 0.0 < middle < 1.0 and shown_below(wrong, n, middle, delta=delta):
            high = middle
        else:
            low = middle
    return high


@cache
def least_trials(limit: float, *, delta: float = 0.05) -> int:
    """Trials without an error that show a rate below a limit.

    Raises:
        InputError: see `evidence_below`.
    """
    low, high = 0, 1
    while not shown_below(0, high, limit, delta=delta):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if shown_below(0, middle, limit, delta=delta):
            high = middle
        else:
            low = middle
    return high
