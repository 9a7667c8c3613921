"""Settings of a replay, measured: shares, cost and quality of each, and which are worth having."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.intervals import REPLICATES, Estimate, Resampler, percentile_interval
from turnout.evaluation.replay import NOBODY, Replay
from turnout.evaluation.replay_predictions import Index, RecordedOutcomes, StoredPredictions
from turnout.evaluation.replay_report import ALWAYS, ReplayReport, ReplayRow
from turnout.policies.hull import OperatingPoint, upper_hull
from turnout.pricing import cost_of_tokens_picousd
from turnout.types import PICO

LEAST_MEASURED: Final = 30
"""Prompts below which an interval says nothing."""
_BLOCKS: Final = 10_000
"""Groups are gathered into at most this many blocks, so that a million prompts resample quickly."""
_PRIOR: Final = "prior: place"
"""How the basis of a quality begins that rests on a candidate's place in the pool."""


def replay_report(
    stored: StoredPredictions,
    replay: Replay,
    thresholds: Sequence[float | None],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ReplayReport:
    """Decide at each threshold, and measure.

    Args:
        stored: the predictions.
        replay: the same over a pool at its prices.
        thresholds: the settings; None is that of each recorded decision.
        replicates: of the bootstrap, where outcomes are known.
        seed: of it.

    Raises:
        InputError: see `Replay`.
    """
    meter = _Meter(stored, replay)
    settings = [(_name(t), t, replay.decide(t)) for t in thresholds]
    for j, candidate in enumerate(replay.candidates):
        settings.append((f"{ALWAYS}{candidate.name}", None, np.full(stored.n, j, dtype=np.intp)))
    rows = [meter.row(name, t, index) for name, t, index in settings]
    rows = meter.measured(rows, [index for _, _, index in settings], replicates, seed)
    compared = "what was recorded"
    if stored.recorded is None:
        compared = "the same threshold at the prices and pool of then"
    return ReplayReport(
        router=stored.router,
        artifact=stored.artifact,
        source=stored.source,
        policy=replay.policy_name(),
        prompts=stored.n,
        measured_prompts=meter.measured_prompts,
        prices={c.name: c.price for c in replay.candidates},
        compared_with=compared,
        rows=tuple(_with_hull(rows)),
        notes=(*stored.notes, *meter.notes, *_pool_notes(stored, replay)),
        replicates=replicates,
        seed=seed,
    )


def sweep(replay: Replay, stored: StoredPredictions, steps: int) -> list[float]:
    """Thresholds from best to cheapest.

    Between two models that a threshold parts: equal steps of the strong model's share. Else: equal
    steps of the knob.

    Args:
        replay: over the pool.
        stored: its predictions.
        steps: how many settings, at least 2.
    """
    if len(replay.candidates) == 1:
        return [0.0]
    if replay.policy_name() != "threshold":
        return [float(f"{t:.4g}") for t in np.linspace(0.0, 1.0, steps)]
    rate = _win_rates(stored, replay)
    if not len(rate):
        return [0.0, 1.0]
    cuts = np.quantile(rate, np.linspace(0.0, 1.0, steps)[1:-1])
    inner = [float(np.format_float_positional(np.float32(cut))) for cut in cuts]
    return sorted({0.0, *inner, 1.0})


def _win_rates(stored: StoredPredictions, replay: Replay) -> NDArray[np.float32]:
    quality = replay.quality
    if stored.pair is not None:
        known = np.isfinite(quality).all(axis=1)
        rate = stored.pair.win_rate(quality[known, 0], quality[known, 1])
    else:
        assert stored.recorded is not None
        rate = stored.recorded.win_rate[np.isfinite(stored.recorded.win_rate)]
    return rate


@dataclass(slots=True)
class _Meter:
    """Means of what choices give."""

    stored: StoredPredictions
    replay: Replay
    notes: list[str] = field(default_factory=list)
    measured_prompts: int = 0
    _before: Replay | None = None

    def row(self, name: str, threshold: float | None, index: Index) -> ReplayRow:
        """What one setting gives, without what was measured."""
        served = index != NOBODY
        total = max(len(index), 1)
        base = self._base(name, threshold)
        now = self.replay.stored_columns(index)
        return ReplayRow(
            name=name,
            threshold=threshold,
            share={
                c.name: float((index == j).sum() / total)
                for j, c in enumerate(self.replay.candidates)
            },
            expected_cost_usd=self._cost(index),
            expected_quality=_known_mean(self.replay.chosen(self.replay.quality, index)),
            kept_cost_usd=math.nan if base is None else self._kept_cost(base),
            changed=0 if base is None else int((now != base).sum()),
            unserved=int((~served).sum()),
        )

    def measured(
        self, rows: Sequence[ReplayRow], choices: Sequence[Index], replicates: int, seed: int
    ) -> list[ReplayRow]:
        """The rows with what outcomes say of them, where there are enough."""
        outcomes = self.stored.outcomes
        if outcomes is None:
            return list(rows)
        score = outcomes.score[:, self.replay.columns]
        served = ~self.stored.out[:, self.replay.columns].all(axis=1)
        complete: NDArray[np.bool_] = np.asarray(np.isfinite(score).all(axis=1) & served)
        self.measured_prompts = int(complete.sum())
        if self.measured_prompts < LEAST_MEASURED:
            self.notes.append(
                f"nothing is measured: {self.measured_prompts} prompts have an outcome of every "
                f"model, at least {LEAST_MEASURED} are needed"
            )
            return list(rows)
        groups = self.stored.groups[complete]
        got = np.stack([self.replay.chosen(score, index)[complete] for index in choices], axis=1)
        quality = _estimates(got, groups, replicates, seed)
        cost = self._costs(outcomes, choices, complete)
        paid: list[Estimate | None] = [None] * len(rows)
        if cost is not None:
            paid = list(_estimates(cost, groups, replicates, seed))
        return [
            replace(row, measured_quality=q, measured_cost_usd=c)
            for row, q, c in zip(rows, quality, paid, strict=True)
        ]

    def _costs(
        self, outcomes: RecordedOutcomes, choices: Sequence[Index], complete: NDArray[np.bool_]
    ) -> NDArray[np.float64] | None:
        """(n, k) what the calls would have cost: as recorded, or by their tokens at a new price."""
        at = self.replay.columns
        tokens_in = outcomes.input_tokens[:, at].astype(np.float64)
        tokens_out = outcomes.output_tokens[:, at].astype(np.float64)
        priced = cost_of_tokens_picousd(tokens_in, tokens_out, self.replay.candidates) / PICO
        same = [
            c.price == self.stored.candidates[j].price
            for c, j in zip(self.replay.candidates, at, strict=True)
        ]
        recorded = outcomes.cost_usd[:, at].astype(np.float64)
        cost = np.where(np.asarray(same) & np.isfinite(recorded), recorded, priced)
        if not np.isfinite(cost[complete]).all():
            bad = np.flatnonzero(np.isnan(cost[complete]).any(axis=0))
            names = [self.replay.candidates[j].name for j in bad]
            self.notes.append(
                f"no measured cost: calls of {', '.join(names)} have no recorded tokens to price; "
                "give outcomes with input_tokens and output_tokens"
            )
            return None
        return np.stack([self.replay.chosen(cost, i)[complete] for i in choices], axis=1)

    def _base(self, name: str, threshold: float | None) -> Index | None:
        """(n,) the decisions to compare with, as columns of the stored candidates."""
        if name.startswith(ALWAYS):
            return None
        if self.stored.recorded is not None:
            return self.stored.recorded.index
        if self._before is None:
            self._before = Replay(self.stored)
        return self._before.decide(threshold)

    def _kept_cost(self, base: Index) -> float:
        """Mean expected cost of decisions at the prices of this replay; NaN if a model left it."""
        place = np.full(len(self.stored.names), NOBODY, dtype=np.intp)
        place[self.replay.columns] = np.arange(len(self.replay.columns))
        index = np.where(base == NOBODY, NOBODY, place[np.maximum(base, 0)])
        if ((index == NOBODY) & (base != NOBODY)).any():
            return math.nan
        return self._cost(index)

    def _cost(self, index: Index) -> float:
        """Mean expected cost of the requests that are served; NaN where one is unknown."""
        cost = self.replay.chosen(self.replay.cost_picousd, index)[index != NOBODY]
        return float(cost.mean()) / PICO if len(cost) else math.nan


def _estimates(
    values: NDArray[np.float64], groups: Index, replicates: int, seed: int
) -> list[Estimate]:
    """Means of the k columns with paired intervals; groups are drawn in blocks of whole groups."""
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1
    block = np.random.default_rng(seed).permutation(count)[group] % min(count, _BLOCKS)
    blocks = int(block.max()) + 1
    size = np.bincount(block, minlength=blocks).astype(np.float64)
    sums = np.stack([np.bincount(block, weights=v, minlength=blocks) for v in values.T], axis=1)
    draws = [
        (w @ sums) / (w @ size)[:, None]
        for w in Resampler(np.arange(blocks), replicates, seed).weights()
    ]
    drawn = np.concatenate(draws)
    means = values.mean(axis=0)
    return [percentile_interval(float(m), drawn[:, j]) for j, m in enumerate(means)]


def _with_hull(rows: Sequence[ReplayRow]) -> list[ReplayRow]:
    """The rows with a mark on those that are corners of the hull."""
    points = {}
    for i, row in enumerate(rows):
        both = row.measured_cost_usd is not None and row.measured_quality is not None
        cost, quality = row.expected_cost_usd, row.expected_quality
        if both:
            assert row.measured_cost_usd is not None
            assert row.measured_quality is not None
            cost, quality = row.measured_cost_usd.value, row.measured_quality.value
        if not (math.isnan(cost) or math.isnan(quality)) and not row.unserved:
            # The hull takes the first of equal points: a model alone before a setting.
            points[i] = OperatingPoint(
                usd_per_quality=float(i),
                constant=row.name if row.name.startswith(ALWAYS) else None,
                cost_usd=cost,
                quality=quality,
            )
    corners = {(p.cost_usd, p.quality) for p in upper_hull(list(points.values()))}
    return [
        replace(row, on_hull=i in points and (points[i].cost_usd, points[i].quality) in corners)
        for i, row in enumerate(rows)
    ]


def _pool_notes(stored: StoredPredictions, replay: Replay) -> list[str]:
    found = []
    names = tuple(c.name for c in replay.candidates)
    if names != stored.names:
        placed = [
            n for n, b in zip(stored.names, stored.basis, strict=False) if b.startswith(_PRIOR)
        ]
        if placed:
            found.append(
                f"the qualities of {', '.join(placed)} rest on their place in the pool of then; a "
                "router that is asked anew for this pool predicts others"
            )
        if len(names) == 2 and len(stored.names) > 2:
            found.append("between two models the threshold is a win rate, not a share to save")
    unserved = int((stored.out[:, replay.columns]).all(axis=1).sum())
    if unserved:
        found.append(f"{unserved:,} prompts that no candidate of this pool can serve")
    for kind, known in (("as recorded", True), ("unknown; give --price MODEL=IN,OUT", False)):
        named = [
            c.name
            for j, c in enumerate(replay.candidates)
            if c.price is None and np.isfinite(replay.cost_picousd[:, j]).any() == known
        ]
        if named:
            found.append(f"no price is known for {', '.join(named)}: costs are {kind}")
    return found


def _name(threshold: float | None) -> str:
    return "as recorded" if threshold is None else f"threshold {threshold:g}"


def _known_mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
