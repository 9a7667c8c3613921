"""The chance that a kept answer answers another question, learned from pairs that were compared."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from turnout.calibration.matching import MatchCurve, MatchCut, Seen


def truth(similarity: float, overlap: float) -> float:
    return 1 / (1 + math.exp(-(20 * (similarity - 0.75) + 4 * (overlap - 0.5))))


def pairs(n: int, seed: int = 0) -> list[Seen]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        s, o = float(rng.uniform(0.5, 1)), float(rng.uniform(0, 1))
        found.append(Seen(s, o, bool(rng.random() < truth(s, o))))
    return found


def taught(n: int = 800) -> MatchCurve:
    curve = MatchCurve()
    for seen in pairs(n):
        curve.see(seen)
    return curve


def test_nothing_is_promised_before_anything_was_compared() -> None:
    curve = MatchCurve()
    for seen in pairs(19):
        curve.see(seen)
        assert curve.low(Seen(1.0, 1.0), deque()) == 0.0


def test_it_learns_the_curve_and_stays_below_it() -> None:
    curve = taught(1_500)
    assert curve.weights_ is not None
    assert curve.weights_[1] > 1  # 20 a unit, 2 in its own steps
    assert 0.4 < curve.weights_[2] < 1.6  # 4 a unit, 1 in its own steps
    for s, o in [(0.8, 0.5), (0.85, 0.5), (0.9, 0.9), (0.95, 0.2)]:
        assert curve.low(Seen(s, o), deque()) < truth(s, o)
    assert curve.low(Seen(0.98, 0.9), deque()) > 0.9


def test_it_rises_with_similarity_and_with_shared_words() -> None:
    curve = taught()
    by_meaning = [curve.low(Seen(s, 0.5), deque()) for s in np.linspace(0.6, 1, 9)]
    by_words = [curve.low(Seen(0.8, o), deque()) for o in np.linspace(0, 1, 9)]
    assert by_meaning == sorted(by_meaning)
    assert by_words == sorted(by_words)


def test_an_answers_own_comparisons_move_it_alone() -> None:
    curve = taught()
    pair = Seen(0.85, 0.6)
    alone = curve.low(pair, deque())
    good = deque([Seen(0.8, 0.5, True)] * 8)
    bad = deque([Seen(0.85, 0.6, False)] * 3)
    assert curve.low(pair, good) > alone > curve.low(pair, bad)
    assert curve.low(pair, bad) < 0.6


def test_pairs_that_are_all_alike_do_not_break_the_fit() -> None:
    curve = MatchCurve()
    for _ in range(200):
        curve.see(Seen(0.9, 0.9, True))  # separable, and without spread
    assert 0.9 < curve.low(Seen(0.9, 0.9), deque()) < 1


def test_the_cut_keeps_errors_above_it_below_the_limit() -> None:
    rng = np.random.default_rng(3)
    rates, found = [], 0
    for _ in range(30):
        cut = MatchCut(0.1)
        for score in rng.random(1_000):
            cut.see(float(score), bool(rng.random() < 0.3 + 0.7 * score))
        if cut.cut < 1:
            found += 1
            rates.append(1 - (0.3 + 0.7 * (cut.cut + 1) / 2))  # the mean of the truth above it
    assert found >= 20
    assert float(np.mean(rates)) < 0.1


def test_there_is_no_cut_where_answers_are_mostly_wrong() -> None:
    cut = MatchCut(0.05)
    for i in range(500):
        cut.see(i / 500, i % 3 == 0)
    assert cut.cut == math.inf
