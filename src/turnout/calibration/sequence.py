"""Which operating points keep a promise: tests along a path, in an order fixed beforehand.

The path leads from the point that keeps the promise for sure (the strong model alone, for quality)
towards cheaper ones, and was set before any outcome of the calibration data was looked at. Each
point is tested at the full error rate, and the first that fails ends the walk. A wrong certificate
needs the *first* point that breaks the promise to pass its test, so the chance of one is that of a
single test, however many points there are (fixed-sequence testing; Learn then Test, Angelopoulos et
al. 2021, arXiv:2110.01052). Taking the best-looking cut of the data instead breaks the promise in
about half of all draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.betting import Values, bet, rejected, shuffled
from turnout.calibration.bounds import clopper_pearson
from turnout.calibration.promises import Facts, Promise

_BISECTIONS = 14
WANTED_CHANCE = 0.8
_TRIALS = 200
_MOST_LABELS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseTest:
    """How a promise is tested on facts."""

    promise: Promise
    delta: float
    """Chance of passing a point that breaks the promise."""
    most_usd: float
    """The most that one request can cost; of a promise about cost."""
    seed: int
    """Of the order in which values are bet on."""

    def kept(self, facts: Facts) -> NDArray[np.bool_]:
        """(k,) True for a point that is shown, by itself, to keep the promise."""
        if self.promise.kind == "strong_share":
            return np.asarray([upper <= self.promise.value for upper in self._shares(facts)])
        return self._kept_at(facts, self.promise.value)

    def bound(self, facts: Facts, point: int) -> float:
        """The tightest value that would have been shown at one point, tested alone.

        Between the promise, which the point must keep, and what was measured there.
        """
        one = only(facts, point)
        if self.promise.kind == "strong_share":
            return self._shares(one)[0]
        shown, not_shown = self.promise.value, self.promise.measured(facts, point)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (shown + not_shown)
            if self._kept_at(one, middle)[0]:
                shown = middle
            else:
                not_shown = middle
        return shown

    def labels_needed(self, facts: Facts, point: int) -> Needed | None:
        """How many groups would show that a point keeps the promise, if they are like these.

        None where what was measured does not keep it: no number of labels like these would do.
        """
        if self.promise.kind == "strong_share":
            z = facts.to_strong[facts.firsts(), point] - self.promise.value
        else:
            z = self.promise.slack(only(facts, point))[:, 0]
        mean, deviation = float(z.mean()), float(z.std())
        if mean >= 0:
            return None
        # A first guess from the normal law, enlarged until draws from these groups agree.
        n = max(len(z), math.ceil(2.0 * math.log(1 / self.delta) * (deviation / mean) ** 2))
        while n <= _MOST_LABELS:
            chance = self._chance(z, n)
            if chance >= WANTED_CHANCE:
                return Needed(groups=n, chance=chance)
            n = math.ceil(n * 1.25)
        return None

    def _chance(self, z: Values, n: int) -> float:
        rng = np.random.default_rng(self.seed)
        drawn = (z[rng.integers(len(z), size=_TRIALS)] for _ in range(n))
        low, high = self.promise.span(self.most_usd)
        return float(bet(drawn, n, (_TRIALS,), low, high, self.delta).mean())

    def _kept_at(self, facts: Facts, value: float) -> NDArray[np.bool_]:
        z = self.promise.slack(facts, value)
        low, high = self.promise.span(self.most_usd, value)
        return rejected(z[shuffled(len(z), self.seed)], low, high, self.delta)

    def _shares(self, facts: Facts) -> list[float]:
        """Exact upper limits of k shares, from one request of each group."""
        strong = facts.to_strong[facts.firsts()].sum(axis=0)
        # One-sided at delta is the upper end of a two-sided interval at 1 - 2 delta.
        level = 1.0 - 2.0 * self.delta
        limits = {int(k): clopper_pearson(int(k), facts.g, level=level)[1] for k in set(strong)}
        return [limits[int(k)] for k in strong]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """How many groups of labels would do, and the chance that so many do."""

    groups: int
    chance: float


def last_kept(kept: NDArray[np.bool_], start: int = 0) -> int | None:
    """The last point of an unbroken run of kept ones from `start` on; None where there is none."""
    failed = np.flatnonzero(~kept[start:])
    last = start + (int(failed[0]) if len(failed) else len(kept) - start) - 1
    return last if last >= start else None


def least_groups(slack: float, delta: float) -> int:
    """Groups without any loss that show a mean loss below `slack`: (1 - slack)^n <= delta."""
    return math.ceil(math.log(delta) / math.log1p(-slack))


def only(facts: Facts, point: int) -> Facts:
    """The facts of one point."""
    return Facts(
        strong=facts.strong,
        chosen=facts.chosen[:, point : point + 1],
        cost_usd=facts.cost_usd[:, point : point + 1],
        to_strong=facts.to_strong[:, point : point + 1],
        groups=facts.groups,
    )
