"""Alarms that tell when traffic is no longer like the traffic that was calibrated on.

Each alarm bets against "nothing has changed". While that is true its capital stays below 1 / alpha for
ever with a chance of at least 1 - alpha, however long the stream and whenever one looks (Ville's
inequality): the false-alarm rate is stated, not tuned.

Betting from the first request on would lose nearly all capital over a long quiet time, and then
take as long to win it back. So part of the capital is put aside to begin anew at every later
request: after t requests 1 / ln(e + t) is still untouched. That keeps the sum a fair game, and the
delay of an alarm grows only with the logarithm of the time before the change (a mixture over
starting times, as in Shiryaev and Roberts' procedure; Shin, Ramdas and Rinaldo 2024,
arXiv:2203.03532).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from turnout.errors import InputError

BINS = 256
"""Scores are told apart in steps of 1 / 256."""


class EProcess:
    """Capital of several ways to bet, each with an equal part, each begun anew at every step.

    Args:
        bets: ways to bet.
        alpha: chance of ever reaching 1 / alpha while nothing has changed.
    """

    __slots__ = ("_running", "_steps", "_untouched", "alpha")

    def __init__(self, bets: int, alpha: float) -> None:
        if not 0.0 < alpha < 1.0:
            raise InputError("false_alarm", alpha, "give a number between 0 and 1")
        self.alpha = alpha
        self._running = [0.0] * bets
        self._steps = 0
        self._untouched = 1.0

    @property
    def capital(self) -> float:
        """What one unit has become."""
        return self._untouched + math.fsum(self._running) / max(len(self._running), 1)

    @property
    def alarmed(self) -> bool:
        """Whether the capital is 1 / alpha or more."""
        return self.capital >= 1.0 / self.alpha

    def step(self, factors: Sequence[float]) -> None:
        """Take in the factor by which each way to bet multiplies; each averages at most 1."""
        self._steps += 1
        left = 1.0 / math.log(math.e + self._steps)
        begun, self._untouched = self._untouched - left, left
        self._running = [
            (capital + begun) * factor
            for capital, factor in zip(self._running, factors, strict=True)
        ]


class ShareAlarm:
    """Tells when a share leaves an interval.

    Args:
        low: least share that is no change.
        high: largest share that is no change.
        alpha: chance of a false alarm, ever.
    """

    _STAKES = (0.1, 0.3, 0.7)
    """Parts of the most that can be staked."""

    __slots__ = ("_hits", "_misses", "process")

    def __init__(self, low: float, high: float, alpha: float) -> None:
        if not 0.0 <= low <= high <= 1.0:
            raise InputError("share", (low, high), "give an interval within 0 and 1")
        # "Above high" wins by a hit, "below low" by a miss; a side with no room is not bet on.
        above = [s / high for s in self._STAKES] if 0.0 < high < 1.0 else []
        below = [s / (1.0 - low) for s in self._STAKES] if 0.0 < low < 1.0 else []
        self._hits = [1 + s * (1 - high) for s in above] + [1 + s * (low - 1) for s in below]
        self._misses = [1 - s * high for s in above] + [1 + s * low for s in below]
        self.process = EProcess(len(self._hits), alpha)

    def see(self, hit: bool) -> None:
        """One request more."""
        self.process.step(self._hits if hit else self._misses)


class ScoreAlarm:
    """Tells when scores are no longer distributed as before.

    A conformal test martingale (Vovk, Gammerman and Shafer 2022, chapter 8): the rank of each new
    score among the calibration's and all since, ties broken at random, is uniform and independent
    of the ranks before as long as all come from one distribution, whatever it is.

    Args:
        histogram: of the calibration's scores, in `BINS` bins over [0, 1].
        alpha: chance of a false alarm, ever.
        rng: breaks ties.
    """

    _TILTS = (-0.9, -0.5, 0.5, 0.9)
    """Stakes on ranks that are low or high."""
    _SPREADS = (-0.4, 0.5)
    """Stakes on ranks that crowd in the middle or at the ends."""

    __slots__ = ("_counts", "_rng", "_seen", "_tree", "process")

    def __init__(self, histogram: Sequence[int], alpha: float, rng: random.Random) -> None:
        if len(histogram) != BINS or min(histogram) < 0 or not sum(histogram):
            raise InputError("scores", sum(histogram), f"give counts in {BINS} bins, not all 0")
        self._rng = rng
        self._counts = [0] * BINS
        self._tree = [0] * (BINS + 1)
        self._seen = 0
        for index, count in enumerate(histogram):
            self._add(index, int(count))
        self.process = EProcess(len(self._TILTS) + len(self._SPREADS), alpha)

    def see(self, score: float) -> None:
        """One request more, with a score in [0, 1]."""
        index = bin_of(score)
        self._add(index, 1)
        below, level = self._below(index), self._counts[index]
        rank = (below + self._rng.random() * level) / self._seen
        tilt, spread = 2.0 * rank - 1.0, 12.0 * (rank - 0.5) ** 2 - 1.0
        self.process.step(
            [1.0 + s * tilt for s in self._TILTS] + [1.0 + s * spread for s in self._SPREADS]
        )

    def _add(self, index: int, count: int) -> None:
        """Into a binary indexed tree, so that a rank takes 8 steps however much was seen."""
        self._counts[index] += count
        self._seen += count
        at = index + 1
        while at <= BINS:
            self._tree[at] += count
            at += at & -at

    def _below(self, index: int) -> int:
        total, at = 0, index
        while at > 0:
            total += self._tree[at]
            at -= at & -at
        return total


def bin_of(score: float) -> int:
    """The bin of a score in [0, 1]; what lies outside counts at the end."""
    return min(max(int(score * BINS), 0), BINS - 1)


def histogram_of(scores: Sequence[float]) -> list[int]:
    """How many of some scores are in each bin."""
    counts = [0] * BINS
    for score in scores:
        counts[bin_of(score)] += 1
    return counts
