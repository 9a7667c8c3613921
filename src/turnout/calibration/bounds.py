"""Exact intervals of a proportion: the incomplete beta function, its inverse, and what uses them.

Plain Python, so that serving and calibration need no scipy.
"""

from __future__ import annotations

import math
from itertools import accumulate

from turnout.errors import InputError

_TINY = 1e-300
_PRECISION = 1e-15
_STEPS = 10_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b): P(Beta(a, b) <= x).

    Continued fraction 8.17.22 of the NIST handbook (dlmf.nist.gov/8.17.v), by Lentz's method; the
    symmetry I_x(a, b) = 1 - I_{1-x}(b, a) keeps it where it converges fast.

    Raises:
        InputError: `a` or `b` is not positive, or x is not in [0, 1].
    """
    if not (a > 0 and b > 0 and 0.0 <= x <= 1.0):
        raise InputError("x, a, b", (x, a, b), "give x in [0, 1] and positive a, b")
    if x in (0.0, 1.0):
        return x
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return front / a / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + …)) with the coefficients of I_x(a, b)."""
    value, c, d = 1.0, 1.0, 0.0
    for i in range(1, _STEPS):
        m = i // 2
        if i % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away_from_zero(1.0 + term * d)
        c = _away_from_zero(1.0 + term / c)
        value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with P(Beta(a, b) <= x) = p, by bisection to the last bit that matters.

    Raises:
        InputError: p is not in [0, 1]; see also `beta_cdf`.
    """
    if not 0.0 <= p <= 1.0:
        raise InputError("p", p, "give a probability from 0 to 1")
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def clopper_pearson(k: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion after k successes in n trials.

    The same interval holds for the share above a threshold that was *chosen* so that k of n scores
    reach it (see `calibration.curve`).

    Raises:
        InputError: not 0 <= k <= n, n < 1, or a level outside (0, 1).
    """
    _check_counts(k, n, level)
    tail = (1.0 - level) / 2.0
    low = 0.0 if k == 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k == n else beta_quantile(1.0 - tail, k + 1, n - k)
    return low, high


def next_count(k: int, n: int, batch: int, *, level: float = 0.95) -> tuple[int, int]:
    """Interval of how many of the next `batch` scores reach a threshold that k of n reached.

    Distribution-free for exchangeable scores: the long-run share lies between Beta(k, n + 1 - k)
    and Beta(k + 1, n - k), so the count lies between two beta-binomials.

    Raises:
        InputError: see `clopper_pearson`; or `batch` < 1.
    """
    _check_counts(k, n, level)
    if batch < 1:
        raise InputError("batch", batch, "give at least 1")
    tail = (1.0 - level) / 2.0
    low = 0 if k == 0 else _beta_binomial_quantile(tail, batch, k, n - k + 1)
    high = batch if k == n else _beta_binomial_quantile(1.0 - tail, batch, k + 1, n - k)
    return low, high


def _beta_binomial_quantile(p: float, batch: int, a: float, b: float) -> int:
    """Least count c with P(count <= c) >= p."""
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    masses = (
        math.exp(
            math.lgamma(batch + 1)
            - math.lgamma(c + 1)
            - math.lgamma(batch - c + 1)
            + math.lgamma(a + c)
            + math.lgamma(b + batch - c)
            - math.lgamma(a + b + batch)
            - log_beta
        )
        for c in range(batch + 1)
    )
    for count, total in enumerate(accumulate(masses)):
        if total >= p:
            return count
    return batch


def _check_counts(k: int, n: int, level: float) -> None:
    if n < 1 or not 0 <= k <= n:
        raise InputError("k, n", (k, n), "give n of at least 1 and k from 0 to n")
    if not 0.0 < level < 1.0:
        raise InputError("level", level, "give a number between 0 and 1")
