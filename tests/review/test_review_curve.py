"""Sums at every setting: the quick way for two models says what the plain way says."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from review_columns import draw_log
from turnout.review.curve import BLOCKS, Bootstrap, _each, _pair, add_up, keeping
from turnout.review.money import Turns


@pytest.mark.parametrize("seed", range(5))
def test_two_models_are_added_up_as_any_number_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = draw_log(rng, 150)
    n = len(drawn.columns)
    fits = rng.random((n, 2)) < 0.9
    knob = replace(drawn.knob, fits=fits, quality=np.where(fits, drawn.knob.quality, -1.0))
    before = np.where(rng.random(n) < 0.6, np.arange(n) - 1, -1)
    turn = Turns(before=before, first=drawn.turn.first, conversations=1)
    paid = np.where(rng.random(n) < 0.1, np.nan, drawn.money.paid)
    money = replace(drawn.money, paid=paid, cold=rng.random((n, 2)))
    _, block = np.unique(drawn.columns.group % np.uint64(BLOCKS), return_inverse=True)
    quality = np.maximum(knob.quality, 0.0)
    quick, leaves = _pair(knob, money, turn, block, quality)
    plain, stays = _each(knob, money, turn, block, quality)
    assert (leaves == stays).all()
    for field in fields(plain):
        got, want = getattr(quick, field.name), getattr(plain, field.name)
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=field.name)


def test_the_cheapest_setting_that_keeps_the_floor_is_found() -> None:
    ratio = np.asarray([[1.0, 0.97, 0.95, 0.9], [1.0, 0.94, 0.96, 0.9], [0.9, 0.8, 0.7, 0.6]])
    assert keeping(ratio, 0.95).tolist() == [2, 2, 0]


def test_intervals_of_few_conversations_are_wider_than_plain_percentiles() -> None:
    sums, *_ = add_up(
        *(lambda d: (d.knob, d.money, d.turn, d.columns.group))(
            draw_log(np.random.default_rng(0), 30)
        )
    )
    bootstrap = Bootstrap(sums, 2000)
    draws = np.random.default_rng(1).normal(size=2000)
    found = bootstrap.estimate(0.0, draws)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.low < low < high < found.high
