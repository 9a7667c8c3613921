"""Shares, savings and quality at every setting of the knob, with intervals over conversations.

Conversations are dealt into blocks by their hash, and a bootstrap draws blocks: calls of one
conversation stay together, and a million calls need no more memory than a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.intervals import LEVEL, Estimate, Resampler, percentile_interval
from turnout.evaluation.tables import json_estimate, json_number
from turnout.review.knobs import Knob
from turnout.review.money import Money, Turns, switching_usd
from turnout.review.words import floor, percent

BLOCKS = 4096
LEAST_BLOCKS = 20
"""With fewer blocks of conversations no interval is given."""

Sum = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over the calls of b blocks, at p settings, for m candidates."""

    calls: Sum
    """(b,)"""
    priced: Sum
    """(b,) calls of which it is known what was paid."""
    paid: Sum
    """(b,) USD."""
    alone: Sum
    """(b, m) USD of the priced calls, had one candidate answered them all."""
    quality_alone: Sum
    """(b, m) predicted."""
    cheap: Sum
    """(b, p) calls that another than the strongest candidate serves."""
    cost: Sum
    """(b, p) USD of the priced calls as routed, cold caches included."""
    switching: Sum
    """(b, p) USD for cold caches within `cost`."""
    quality: Sum
    """(b, p) predicted."""


def add_up(
    knob: Knob, money: Money, turn: Turns, group: NDArray[np.uint64]
) -> tuple[Sums, NDArray[np.intp], NDArray[np.intp]]:
    """Add up all calls at every setting.

    Returns:
        The sums; (n,) the block of each call; (n,) at how many settings the strongest serves it.
    """
    _, block = np.unique(group % np.uint64(BLOCKS), return_inverse=True)
    b = int(block.max()) + 1
    known = np.isfinite(money.paid)
    quality = np.maximum(knob.quality, 0.0)

    def total(values: NDArray[np.floating] | NDArray[np.bool_]) -> Sum:
        return np.bincount(block, weights=values, minlength=b).astype(np.float64)

    def priced(values: NDArray[np.floating]) -> Sum:
        return total(np.where(known, values, 0.0))

    if knob.win_rate is not None:
        routed, stays = _pair(knob, money, turn, block, quality)
    else:
        routed, stays = _each(knob, money, turn, block, quality)
    m = len(knob.candidates)
    sums = Sums(
        calls=total(np.ones(len(block))),
        priced=total(known),
        paid=priced(money.paid),
        alone=np.stack([priced(money.alone[:, j]) for j in range(m)], axis=1),
        quality_alone=np.stack([total(quality[:, j]) for j in range(m)], axis=1),
        cheap=routed.cheap,
        cost=routed.cost,
        switching=routed.switching,
        quality=routed.quality,
    )
    return sums, np.asarray(block, dtype=np.intp), stays


@dataclass(frozen=True, slots=True)
class _Routed:
    """(b, p) sums of what depends on the setting."""

    cheap: Sum
    cost: Sum
    switching: Sum
    quality: Sum


def _each(
    knob: Knob, money: Money, turn: Turns, block: NDArray[np.intp], quality: Sum
) -> tuple[_Routed, NDArray[np.intp]]:
    """Any knob: one pass over the calls for each setting."""
    b, rows, known = int(block.max()) + 1, np.arange(len(block)), np.isfinite(money.paid)
    stays = np.zeros(len(block), dtype=np.intp)
    found: list[list[Sum]] = []
    for choice in knob.choices():
        lost = switching_usd(choice, turn, money.cold)
        stays += choice == 0
        values = (
            choice != 0,
            np.where(known, money.alone[rows, choice] + lost, 0.0),
            np.where(known, lost, 0.0),
            quality[rows, choice],
        )
        found.append([np.bincount(block, weights=v, minlength=b).astype(float) for v in values])
    return _Routed(*(np.stack(one, axis=1) for one in zip(*found, strict=True))), stays


def _pair(
    knob: Knob, money: Money, turn: Turns, block: NDArray[np.intp], quality: Sum
) -> tuple[_Routed, NDArray[np.intp]]:
    """Two candidates: the strong one serves a call up to some setting and the weak one after it.

    So a sum over the calls at every setting is one count of where they change hands, added up from
    the last setting to the first. A call loses its cache at the settings between the places where it
    and the call before it change hands.
    """
    b, p = int(block.max()) + 1, len(knob.settings)
    known = np.isfinite(money.paid)
    stays = knob.leaves()

    def totals(strong: Sum, weak: Sum) -> Sum:
        gain = np.bincount(block * (p + 1) + stays, weights=strong - weak, minlength=b * (p + 1))
        above = np.cumsum(gain.reshape(b, p + 1)[:, :0:-1], axis=1)[:, ::-1]
        rest = np.bincount(block, weights=weak, minlength=b)[:, None]
        return np.asarray(above + rest, dtype=np.float64)

    after = turn.before >= 0
    mine, its = stays[after], stays[turn.before[after]]
    cold = np.where(mine > its, money.cold[after, 0], money.cold[after, 1]) * known[after]
    steps = np.zeros(b * (p + 1))
    for at, weight in ((np.minimum(mine, its), cold), (np.maximum(mine, its), -cold)):
        steps += np.bincount(block[after] * (p + 1) + at, weights=weight, minlength=len(steps))
    lost = np.cumsum(steps.reshape(b, p + 1), axis=1)[:, :p]
    alone = np.where(known[:, None], money.alone, 0.0)
    ones = np.ones(len(block))
    routed = _Routed(
        cheap=totals(np.zeros(len(block)), ones),
        cost=totals(alone[:, 0], alone[:, 1]) + lost,
        switching=lost,
        quality=totals(quality[:, 0], quality[:, 1]),
    )
    return routed, stays


def keeping(ratio: Sum, floor: float) -> NDArray[np.intp]:
    """(r,) the cheapest setting at which (r, p) kept quality reaches the floor; the first if none."""
    fine = ratio >= floor - 1e-9
    last = ratio.shape[1] - 1 - np.argmax(fine[:, ::-1], axis=1)
    return np.where(fine.any(axis=1), last, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRow:
    """What a quality floor would give."""

    floor: float
    """Least quality, as a part of the strongest candidate's."""
    setting: int
    """Place of the setting."""
    route: str
    cheap_share: Estimate
    """Share of calls that another than the strongest candidate serves."""
    saving: Estimate
    """Part of what was paid; NaN where no price is known."""
    kept: float
    """Quality at that setting, as a part of the strongest candidate's."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "floor": self.floor,
            "route": self.route,
            "cheap_share": json_estimate(self.cheap_share),
            "saving": json_estimate(self.saving),
            "kept": json_number(self.kept),
        }

    def cells(self) -> list[str]:
        """A row under `FLOOR_HEADINGS`."""
        shares = [percent(self.cheap_share), percent(self.saving)]
        return [floor(self.floor), *shares, f"{self.kept:.1%}", self.route]


FLOOR_HEADINGS = ("floor", "served cheaper", "saving", "quality kept", "route")


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Replicates of sums over blocks, the same for everything that is measured with them."""

    sums: Sums
    replicates: int
    seed: int = 0

    def draws(self, values: Sum) -> Sum:
        """(r, k) replicates of the sums of (b, k) values."""
        blocks = np.arange(len(values))
        drawn = Resampler(groups=blocks, replicates=self.replicates, seed=self.seed)
        return np.concatenate([w @ values for w in drawn.weights()])

    @property
    def enough(self) -> bool:
        """Whether there are blocks enough for an interval."""
        return len(self.sums.calls) >= LEAST_BLOCKS

    def estimate(self, value: float, draws: Sum) -> Estimate:
        """A value with the interval of its replicates."""
        if not self.enough:
            return Estimate(value)
        return percentile_interval(value, draws, level=_expanded(len(self.sums.calls)))

    def floors(
        self,
        knob: Knob,
        floors: Sequence[float],
        quality: tuple[Sum, Callable[[], Sum]] | None = None,
    ) -> tuple[FloorRow, ...]:
        """What each floor would give; in every replicate the setting is chosen anew.

        Args:
            knob: with the settings.
            floors: parts of the strongest candidate's quality.
            quality: (p,) kept quality and what makes its (r, p) replicates; None: as predicted.
        """
        s = self.sums
        quality_draws = self.draws(s.quality)
        strong = quality_draws[:, :1]
        if quality is None:
            ratio = (s.quality.sum(axis=0) / s.quality[:, 0].sum())[None, :]
            ratios = quality_draws / strong
        else:
            ratio, ratios = quality[0][None, :], quality[1]()
        cheap, calls = self.draws(s.cheap), self.draws(s.calls[:, None])[:, 0]
        cost, paid = self.draws(s.cost), self.draws(s.paid[:, None])[:, 0]
        rows = np.arange(len(cheap))
        found = []
        for least in floors:
            at = int(keeping(ratio, least)[0])
            each = keeping(ratios, least)
            with np.errstate(divide="ignore", invalid="ignore"):
                savings = 1.0 - cost[rows, each] / paid
                saving = 1.0 - s.cost[:, at].sum() / s.paid.sum()
            found.append(
                FloorRow(
                    floor=least,
                    setting=at,
                    route=knob.settings[at].route,
                    cheap_share=self.estimate(
                        float(s.cheap[:, at].sum() / s.calls.sum()), cheap[rows, each] / calls
                    ),
                    saving=self.estimate(float(saving), savings),
                    kept=float(ratio[0, at]),
                )
            )
        return tuple(found)

    def saving(self, cost: Sum) -> Estimate:
        """Saving of (b,) costs against what was paid."""
        both = self.draws(np.stack([cost, self.sums.paid], axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            value = 1.0 - cost.sum() / self.sums.paid.sum()
            return self.estimate(float(value), 1.0 - both[:, 0] / both[:, 1])


def _expanded(n: int, level: float = LEVEL) -> float:
    """The level at which percentiles of n units are taken, so that the interval holds at `level`.

    Percentile intervals of few units are too narrow: they lack the factor n / (n - 1) of the variance
    and Student's t. Hesterberg (2015, arXiv:1411.5279, section 5.3) takes wider percentiles; the t is
    the first term of its expansion.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    wide = z * (1 + (z**2 + 1) / (4 * (n - 1))) * math.sqrt(n / (n - 1))
    return 2 * NormalDist().cdf(wide) - 1
