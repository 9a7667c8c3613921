from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest

from turnout.calibration.drift import (
    BINS,
    EProcess,
    ScoreAlarm,
    ShareAlarm,
    bin_of,
    histogram_of,
)
from turnout.errors import InputError


def test_capital_is_kept_while_nothing_is_won_or_lost() -> None:
    process = EProcess(3, 0.01)
    for _ in range(1000):
        process.step([1.0, 1.0, 1.0])
        assert process.capital == pytest.approx(1.0)
    assert not process.alarmed


def test_a_late_change_still_finds_capital() -> None:
    process = EProcess(1, 0.01)
    for _ in range(10_000):
        process.step([0.5])
    assert process.capital == pytest.approx(1 / math.log(math.e + 10_000), rel=0.01)
    steps = 0
    while not process.alarmed:
        process.step([1.5])
        steps += 1
    assert steps < 60


def test_a_share_that_leaves_its_interval_is_noticed_on_either_side() -> None:
    for share in (0.1, 0.7):
        alarm, rng = ShareAlarm(0.3, 0.4, 0.01), np.random.default_rng(0)
        for hit in rng.random(400) < share:
            alarm.see(bool(hit))
        assert alarm.process.alarmed


def test_a_side_without_room_is_not_bet_on() -> None:
    alarm = ShareAlarm(0.0, 1.0, 0.01)
    for _ in range(100):
        alarm.see(True)
    assert alarm.process.capital == pytest.approx(1 / math.log(math.e + 100))
    with pytest.raises(InputError, match="interval"):
        ShareAlarm(0.5, 0.4, 0.01)
    with pytest.raises(InputError, match="between 0 and 1"):
        ShareAlarm(0.3, 0.4, 0.0)


@pytest.mark.parametrize("late", [0, 5000])
def test_other_scores_are_noticed(late: int) -> None:
    rng = np.random.default_rng(late)
    alarm = ScoreAlarm(histogram_of(rng.beta(2, 5, 500).tolist()), 0.005, random.Random(0))
    for score in rng.beta(2, 5, late).tolist():
        alarm.see(score)
    assert not alarm.process.alarmed
    for score in rng.beta(4, 4, 400).tolist():
        alarm.see(score)
    assert alarm.process.alarmed


def test_scores_that_crowd_together_are_noticed() -> None:
    rng = np.random.default_rng(0)
    alarm = ScoreAlarm(histogram_of(rng.random(500).tolist()), 0.005, random.Random(0))
    for score in (0.4 + 0.2 * rng.random(600)).tolist():
        alarm.see(score)
    assert alarm.process.alarmed


def test_ranks_are_those_of_sorting() -> None:
    """The tree counts what a plain count of the bins below does."""
    rng = np.random.default_rng(1)
    alarm = ScoreAlarm(histogram_of(rng.random(40).tolist()), 0.01, random.Random(0))
    counts = list(alarm._counts)
    for score in [*rng.random(200).tolist(), 0.0, 1.0, -3.0, 7.0]:
        alarm.see(score)
        counts[bin_of(score)] += 1
    for index in range(BINS):
        assert alarm._below(index) == sum(counts[:index])
    with pytest.raises(InputError, match="counts in 256 bins"):
        ScoreAlarm([0] * BINS, 0.01, random.Random(0))


def test_a_request_more_takes_microseconds() -> None:
    share, scores = ShareAlarm(0.3, 0.4, 0.01), ScoreAlarm([2] * BINS, 0.01, random.Random(0))
    start = time.thread_time()
    for i in range(2000):
        share.see(i % 3 == 0)
        scores.see(i % 256 / 256)
    assert (time.thread_time() - start) / 2000 < 200e-6  # some 15 on a laptop
