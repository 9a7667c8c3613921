"""Certificates keep their promise as often as they say, and alarms are as rare as they say."""

from __future__ import annotations

import random

import numpy as np
import pytest

from turnout.calibration.betting import bet
from turnout.calibration.drift import ScoreAlarm, ShareAlarm, histogram_of

DRAWS, DELTA = 800, 0.1
ALLOWED = DELTA + 3 * (DELTA * (1 - DELTA) / DRAWS) ** 0.5


def shown(values: np.ndarray, low: float, high: float) -> float:
    """How often (DRAWS, n) values are taken to have a mean below 0."""
    columns = (values[:, t] for t in range(values.shape[1]))
    return float(bet(columns, values.shape[1], (len(values),), low, high, DELTA).mean())


def rare(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Mostly a little below 0, seldom far above: small samples look good."""
    return np.where(rng.random(shape) < 0.01, 0.99, -0.01)


def rarely_good(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.05, -0.95, 0.05)


def even(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.5, 1.0, -1.0)


def smooth(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.beta(2, 5, shape) - 2 / 7


def ternary(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A cheap answer is worse, better or as good: mean loss 0.05, promised 0.05."""
    return rng.choice([1.0, -1.0, 0.0], p=[0.1, 0.05, 0.85], size=shape) - 0.05


@pytest.mark.parametrize("made", [rare, rarely_good, even, smooth, ternary])
@pytest.mark.parametrize("n", [30, 300])
def test_a_mean_of_zero_passes_for_less_no_more_often_than_said(made, n: int) -> None:  # type: ignore[no-untyped-def]
    values = made(np.random.default_rng(n), (DRAWS, n))
    assert shown(values, float(min(-1.05, values.min())), float(values.max())) <= ALLOWED


def test_and_means_below_zero_are_found() -> None:
    rng = np.random.default_rng(0)
    values = ternary(rng, (DRAWS, 1000)) - 0.03
    assert shown(values, -1.1, 0.95) > 0.6


def test_a_walk_along_steps_breaks_its_promise_no_more_often_than_said() -> None:
    """Two hundred steps, none of which is safe to pick by looking; the naive pick beside it."""
    rng = np.random.default_rng(1)
    n, steps, promised = 400, 100, 0.05
    at = np.arange(1, steps + 1) / steps
    true = 0.3 * at**2  # loss when the easiest part of this size goes to the cheap model
    score = rng.random((DRAWS, n))
    fails = rng.random((DRAWS, n)) < 0.6 * score  # the harder the likelier
    loss = (score[:, :, None] < at) & fails[:, :, None]
    rows = (loss[:, t].astype(float) - promised for t in range(n))
    kept = bet(rows, n, (DRAWS, steps), -1 - promised, 1 - promised, DELTA)
    last = np.cumprod(kept, axis=1).sum(axis=1)
    assert np.mean(np.r_[0, true][last] > promised + 1e-9) <= ALLOWED
    assert np.mean(at[np.maximum(last, 1) - 1]) > 0.25  # of 0.408 that keep it
    naive = (loss.mean(axis=1) <= promised).sum(axis=1)
    assert np.mean(np.r_[0, true][naive] > promised + 1e-9) > 0.35


STREAMS, LENGTH, ALPHA = 120, 800, 0.05
RARE = ALPHA + 3 * (ALPHA * (1 - ALPHA) / STREAMS) ** 0.5


def test_a_share_at_the_edge_of_its_interval_alarms_as_rarely_as_said() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(STREAMS):
        alarm = ShareAlarm(0.3, 0.4, ALPHA)
        alarms += any(_seen(alarm, bool(hit)) for hit in rng.random(LENGTH) < 0.4)
    assert alarms / STREAMS <= RARE


@pytest.mark.parametrize("lumpy", [False, True])
def test_scores_like_the_calibrations_alarm_as_rarely_as_said(lumpy: bool) -> None:
    rng, alarms = np.random.default_rng(3), 0
    for stream in range(STREAMS):
        scores = rng.beta(2, 5, 200 + LENGTH)
        scores = np.floor(scores * 5) / 5 if lumpy else scores
        known, after = scores[:200].tolist(), scores[200:].tolist()
        alarm = ScoreAlarm(histogram_of(known), ALPHA, random.Random(stream))
        alarms += any(_seen(alarm, score) for score in after)
    assert alarms / STREAMS <= RARE


def test_a_real_change_is_found_within_some_hundred_requests() -> None:
    rng, delays = np.random.default_rng(4), []
    for stream in range(20):
        alarm = ScoreAlarm(histogram_of(rng.beta(2, 5, 300).tolist()), 0.005, random.Random(stream))
        for score in rng.beta(2, 5, 1000).tolist():
            alarm.see(score)
        after = rng.beta(3, 4, 1000).tolist()
        delays.append(next((i for i, s in enumerate(after) if _seen(alarm, s)), len(after)))
    assert np.median(delays) < 150


def _seen(alarm: ShareAlarm | ScoreAlarm, value: float) -> bool:
    alarm.see(value)  # type: ignore[arg-type]
    return alarm.process.alarmed
