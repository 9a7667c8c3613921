from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.calibration.bounds import beta_cdf, beta_quantile, clopper_pearson, next_count
from turnout.errors import InputError


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(at least k of n), by summing; the other way to get I_p(k, n - k + 1)."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(
    ("x", "a", "b", "expected"),
    [
        (0.3, 1, 1, 0.3),  # uniform
        (0.5, 4, 4, 0.5),  # symmetric
        (0.2, 1, 3, 1 - 0.8**3),
        (0.7, 2, 1, 0.49),
        (0.5, 0.5, 0.5, 0.5),  # arcsine
        (0.25, 0.5, 0.5, 2 / math.pi * math.asin(0.5)),
    ],
)
def test_beta_cdf_knows_closed_forms(x: float, a: float, b: float, expected: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(expected, abs=1e-13)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.001, 0.999))
def test_beta_cdf_is_a_binomial_tail(k: int, more: int, p: float) -> None:
    n = k + more
    assert beta_cdf(p, k, n - k + 1) == pytest.approx(binomial_tail(k, n, p), abs=1e-10)


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.5, 500))
def test_the_quantile_undoes_the_cdf(p: float, a: float, b: float) -> None:
    assert beta_cdf(beta_quantile(p, a, b), a, b) == pytest.approx(p, abs=1e-9)


# Published tables: Clopper and Pearson's 95% limits for 0, 1, 5, 10 of 10 and 30 of 100.
@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (30, 100, 0.2124, 0.3998),
    ],
)
def test_clopper_pearson_knows_published_limits(k: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_large_counts_do_not_overflow() -> None:
    low, high = clopper_pearson(300_000, 1_000_000)
    assert low == pytest.approx(0.3 - 1.96 * math.sqrt(0.21 / 1e6), abs=1e-5)
    assert high == pytest.approx(0.3 + 1.96 * math.sqrt(0.21 / 1e6), abs=1e-5)


def test_the_next_batch_is_wider_than_its_long_run_and_narrows_with_more_prompts() -> None:
    low, high = clopper_pearson(30, 100)
    first, last = next_count(30, 100, 1000)
    assert first < 1000 * low
    assert last > 1000 * high - 1
    many = next_count(3000, 10_000, 1000)
    assert many[1] - many[0] < last - first
    assert next_count(0, 50, 10)[0] == 0
    assert next_count(50, 50, 10)[1] == 10


def test_counts_and_levels_that_mean_nothing_are_refused() -> None:
    for k, n in ((-1, 10), (11, 10), (0, 0)):
        with pytest.raises(InputError, match="k from 0 to n"):
            clopper_pearson(k, n)
    with pytest.raises(InputError, match="between 0 and 1"):
        clopper_pearson(1, 10, level=1.0)
    with pytest.raises(InputError, match="at least 1"):
        next_count(1, 10, 0)
    with pytest.raises(InputError, match="positive"):
        beta_cdf(0.5, 0.0, 1.0)
    with pytest.raises(InputError, match="probability"):
        beta_quantile(1.5, 1.0, 1.0)
