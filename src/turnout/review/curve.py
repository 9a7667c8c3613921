"""Shares, savings and quality at every setting of the knob, with intervals over conversations.

Conversations are dealt into blocks by their hash, and a bootstrap draws blocks: calls of one
conversation stay together, and a million calls need no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.intervals import Estimate, Resampler, percentile_interval
from turnout.evaluation.tables import json_estimate, json_number
from turnout.review.knobs import Knob
from turnout.review.money import Money, Turns, switching_usd
from turnout.review.words import floor, percent

BLOCKS = 1024
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
    b, rows = int(block.max()) + 1, np.arange(len(block))
    known = np.isfinite(money.paid)
    quality = np.maximum(knob.quality, 0.0)

    def total(values: NDArray[np.floating] | NDArray[np.bool_]) -> Sum:
        return np.bincount(block, weights=values, minlength=b).astype(np.float64)

    def priced(values: NDArray[np.floating]) -> Sum:
        return total(np.where(known, values, 0.0))

    columns: list[tuple[Sum, Sum, Sum, Sum]] = []
    stays = np.zeros(len(block), dtype=np.intp)
    for choice in knob.choices():
        lost = switching_usd(choice, turn, money.cold)
        stays += choice == 0
        columns.append(
            (
                total(choice != 0),
                priced(money.alone[rows, choice] + lost),
                priced(lost),
                total(quality[rows, choice]),
            )
        )
    cheap, cost, switching, routed = (np.stack(c, axis=1) for c in zip(*columns, strict=True))
    m = len(knob.candidates)
    sums = Sums(
        calls=total(np.ones(len(block))),
        priced=total(known),
        paid=priced(money.paid),
        alone=np.stack([priced(money.alone[:, j]) for j in range(m)], axis=1),
        quality_alone=np.stack([total(quality[:, j]) for j in range(m)], axis=1),
        cheap=cheap,
        cost=cost,
        switching=switching,
        quality=routed,
    )
    return sums, np.asarray(block, dtype=np.intp), stays


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
        return percentile_interval(value, draws) if self.enough else Estimate(value)

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
