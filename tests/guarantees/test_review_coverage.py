"""The intervals of a review hold as often as they say, on logs whose truth is known.

A fast version of `benchmarks/review_coverage.py`, which does 200 runs through whole files. Here the
columns are drawn directly. The truth is what a very long log of the same traffic gives.
"""

from __future__ import annotations

import numpy as np
import pytest

from review_columns import Drawn, draw_log
from turnout.calibration.bounds import beta_cdf
from turnout.review.curve import Bootstrap, add_up
from turnout.review.labels import Labels, fold_in

RUNS, CONVERSATIONS, FLOOR = 60, 250, 0.95


def at_floor(drawn: Drawn, replicates: int = 300):
    sums, block, stays = add_up(drawn.knob, drawn.money, drawn.turn, drawn.columns.group)
    bootstrap = Bootstrap(sums, replicates)
    [row] = bootstrap.floors(drawn.knob, [FLOOR])
    return row, bootstrap, block, stays


@pytest.fixture(scope="module")
def truth():
    drawn = draw_log(np.random.default_rng(12345), 40_000)
    row, *_ = at_floor(drawn, replicates=20)
    return drawn, row


def plausible(hits: int, runs: int, level: float) -> bool:
    """Whether so few hits would be no surprise if the interval held as often as it says."""
    return beta_cdf(level, hits + 1, runs - hits) > 0.001 if hits < runs else True


def test_the_intervals_of_share_and_saving_cover_the_truth(truth) -> None:
    _, long_run = truth
    share = saving = 0
    for run in range(RUNS):
        row, *_ = at_floor(draw_log(np.random.default_rng(run), CONVERSATIONS))
        share += row.cheap_share.low <= long_run.cheap_share.value <= row.cheap_share.high
        saving += row.saving.low <= long_run.saving.value <= row.saving.high
    # 95% is what they say and 93% what they must hold; the rest is the noise of so few runs.
    assert plausible(share, RUNS, 0.93), share
    assert plausible(saving, RUNS, 0.93), saving


def test_labels_of_drawn_prompts_give_intervals_that_cover_the_truth() -> None:
    """Predictions are wrong on purpose: what labels say must not hang on them."""
    hits = strong_hits = 0
    bias = []
    for run in range(RUNS):
        drawn = draw_log(np.random.default_rng(1000 + run), CONVERSATIONS, wrong=True)
        row, bootstrap, block, stays = at_floor(drawn)
        drawing = drawn.drawing(stays, row.setting, 120, seed=run)
        labels = Labels(
            id=tuple(f"{int(drawn.columns.near[i]):016x}" for i in drawing.rows),
            score=drawn.outcome[drawing.rows],
            inclusion=drawing.inclusion,
            problems={},
        )
        found = fold_in(labels, drawn.columns, drawn.knob, block, bootstrap, row, [FLOOR])
        truth = drawn.expected[:, 0].mean(), drawn.kept(row.setting)
        strong = found.quality["strong"]
        strong_hits += strong.low <= truth[0] <= strong.high
        hits += found.kept.low <= truth[1] <= found.kept.high
        bias.append(found.kept.value - truth[1])
    assert plausible(hits, RUNS, 0.93), hits
    assert plausible(strong_hits, RUNS, 0.93), strong_hits
    assert abs(np.mean(bias)) < 4 * np.std(bias) / np.sqrt(RUNS) + 0.003
