"""That errors are rare is shown however often one looks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from turnout.calibration.bounds import beta_cdf
from turnout.calibration.proving import evidence_below, least_trials, shown_below, upper_rate
from turnout.errors import InputError


def test_looking_after_every_trial_errs_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(0)
    runs, trials, limit = 200, 300, 0.1
    shown = fixed = 0
    for _ in range(runs):
        wrong = np.cumsum(rng.random(trials) < limit)  # the rate is the limit: never below it
        seen = range(19, trials, 5)
        shown += any(shown_below(int(wrong[i]), i + 1, limit) for i in seen)
        # Clopper and Pearson's bound: P(Binomial(n, limit) <= wrong) <= 0.05.
        fixed += any(beta_cdf(limit, wrong[i] + 1.0, float(i + 1 - wrong[i])) >= 0.95 for i in seen)
    assert shown / runs <= 0.05
    assert fixed / runs > 0.05  # which is why a binomial bound is not enough


def test_a_small_rate_is_shown() -> None:
    rng = np.random.default_rng(1)
    wrong = np.cumsum(rng.random(2_000) < 0.02)
    assert shown_below(int(wrong[-1]), 2_000, 0.05)
    assert not shown_below(int(wrong[-1]), 2_000, 0.02)
    upper = upper_rate(int(wrong[-1]), 2_000)
    assert wrong[-1] / 2_000 < upper < 0.04
    assert shown_below(int(wrong[-1]), 2_000, upper + 1e-5)


def test_nothing_is_shown_by_nothing() -> None:
    assert upper_rate(0, 0) == 1.0
    assert evidence_below(0, 0, 0.1) == pytest.approx(0.0, abs=1e-9)
    assert evidence_below(10, 10, 0.001) < 0


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3])
def test_the_least_trials_are_the_least(limit: float) -> None:
    n = least_trials(limit)
    assert shown_below(0, n, limit)
    assert not shown_below(0, n - 1, limit)
    assert n > math.log(0.05) / math.log1p(-limit)  # what one look at a fixed time takes


@pytest.mark.parametrize("bad", [(2, 1, 0.1), (-1, 1, 0.1), (0, 1, 0.0), (0, 1, 1.0)])
def test_counts_that_make_no_sense_are_refused(bad: tuple[int, int, float]) -> None:
    with pytest.raises(InputError, match=r"wrong, n|limit"):
        evidence_below(*bad)
