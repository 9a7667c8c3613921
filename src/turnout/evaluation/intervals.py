"""Paired bootstrap over groups of prompts, fast enough for 1,000 replicates of 14,000 prompts.

A replicate draws groups with replacement and so gives each prompt a whole-number weight. Scores are
sorted once; every metric is then a cumulative sum of weights. All rows of a report see the same
replicates, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.metrics import BINS, Vector, block_ends

REPLICATES = 1000
LEVEL = 0.95
_CHUNK = 50
"""Replicates at a time: bounds memory to a few arrays of 50 by n."""
_LEAST_VALID = 0.9
"""Share of replicates that must define a metric for its interval to be given."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval; NaN ends where no interval can be given."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def percentile_interval(value: float, draws: Vector, *, level: float = LEVEL) -> Estimate:
    """Value with the percentile interval of its bootstrap draws; undefined draws are left out."""
    valid = draws[np.isfinite(draws)]
    if len(valid) < max(20.0, _LEAST_VALID * len(draws)):
        return Estimate(value)
    low, high = np.quantile(valid, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True, slots=True)
class Resampler:
    """Bootstrap weights of n prompts, drawn by group, the same whenever they are asked for."""

    groups: NDArray[np.intp]
    """(n,) group numbers."""
    replicates: int = REPLICATES
    seed: int = 0

    def weights(self) -> Iterator[NDArray[np.float64]]:
        """Chunks of (b, n) whole-number weights, `replicates` rows in all."""
        _, group = np.unique(self.groups, return_inverse=True)
        count = int(group.max()) + 1
        rng = np.random.default_rng(self.seed)
        for start in range(0, self.replicates, _CHUNK):
            size = min(_CHUNK, self.replicates - start)
            drawn = rng.integers(count, size=(size, count))
            drawn += np.arange(size)[:, None] * count
            per_group = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
            yield per_group.astype(np.float64)[:, group]

    def means(self, values: Vector) -> Vector:
        """(replicates, k) weighted means of the k columns of (n, k) values."""
        found = [(w @ values) / w.sum(axis=1)[:, None] for w in self.weights()]
        return np.asarray(np.concatenate(found), dtype=np.float64)


class Replicates:
    """The weights of all replicates, drawn once: every row of a report is measured under them."""

    def __init__(self, resampler: Resampler) -> None:
        # Counts of a drawn group are small: one or two bytes each keep 1,000 replicates in memory.
        drawn = list(resampler.weights())
        most = max(float(w.max()) for w in drawn)
        self._weights = np.concatenate(
            [w.astype(np.uint8 if most < 256 else np.uint16) for w in drawn]
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._weights)

    def chunks(self, most: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Chunks of (b, n) weights: of all replicates, or of the first `most`."""
        chosen = self._weights[:most]
        for start in range(0, len(chosen), _CHUNK):
            yield chosen[start : start + _CHUNK].astype(np.float64)

    def means(self, values: NDArray[np.generic], most: int | None = None) -> Vector:
        """(1 + replicates, k) means of the k columns of (n, k) values; row 0 is the plain mean.

        Args:
            values: numbers, or True and False.
            most: replicates to use at most, for numbers whose interval is only looked at.
        """
        table = np.asarray(values, dtype=np.float64)
        found = [table.mean(axis=0)[None, :]]
        found += [(w @ table) / w.sum(axis=1)[:, None] for w in self.chunks(most)]
        return np.asarray(np.concatenate(found), dtype=np.float64)


def interval(draws: Vector) -> Estimate:
    """Estimate from (1 + replicates,) values, the plain one first."""
    return percentile_interval(float(draws[0]), draws[1:])


@dataclass(frozen=True, slots=True)
class PairMetrics:
    """Metrics of one score on b weightings of the prompts; each (b,). See `metrics`."""

    apgr: Vector
    """On RouteLLM's eleven points."""
    cpt50: Vector
    cpt80: Vector
    apgr_exact: Vector
    """On all cut points."""
    min_cpt50: Vector
    """Least share that reaches half of the gap."""
    min_cpt80: Vector
    apgr_usd: Vector
    """Over the share of the extra dollars; NaN where costs are not known."""

    @classmethod
    def joined(cls, chunks: list[PairMetrics]) -> PairMetrics:
        """Of all chunks, in order."""
        return cls(*(np.concatenate([getattr(c, f) for c in chunks]) for f in METRICS))

    @classmethod
    def mean(cls, runs: list[PairMetrics]) -> PairMetrics:
        """Mean over runs (the seeds of a random router)."""
        return cls(*(np.mean([getattr(r, f) for r in runs], axis=0) for f in METRICS))


METRICS = ("apgr", "cpt50", "cpt80", "apgr_exact", "min_cpt50", "min_cpt80", "apgr_usd")


class SortedPair:
    """One score of a two-model benchmark, sorted once and measured under many weightings.

    Args:
        score: (n,) finite; higher asks for the strong model.
        gain: (n,) quality of the strong model less that of the weak one.
        extra_cost: (n,) extra cost of the strong call, or None where unknown.
    """

    def __init__(self, score: Vector, gain: Vector, extra_cost: Vector | None = None) -> None:
        self._order = np.argsort(-np.asarray(score), kind="stable")
        self._gain = np.asarray(gain, dtype=np.float64)[self._order]
        self._extra = None if extra_cost is None else np.asarray(extra_cost)[self._order]
        self._ends = block_ends(np.asarray(score)[self._order])

    def measure(self, weights: NDArray[np.float64]) -> PairMetrics:
        """All metrics for (b, n) whole-number weights, in the order of the prompts."""
        w = np.take(weights, self._order, axis=1)
        calls, gain = self._sums(w), self._sums(w * self._gain)
        total = gain[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            recovered = np.where(total > 0, 1.0, np.nan)[:, None] * gain / total[:, None]
        share = calls / calls[:, -1:]
        apgr, cpt50, cpt80 = self._routellm(calls, recovered)
        return PairMetrics(
            apgr=apgr,
            cpt50=cpt50,
            cpt80=cpt80,
            apgr_exact=_areas(recovered, share),
            min_cpt50=_crossings(recovered, share, 0.5),
            min_cpt80=_crossings(recovered, share, 0.8),
            apgr_usd=self._dollars(w, recovered),
        )

    def curve(
        self, weights: NDArray[np.float64], grid: Vector, *, usd: bool = False
    ) -> NDArray[np.float64]:
        """(b, k) quality gained over always-weak at each share of calls, or of dollars, in `grid`.

        Where the dollar axis turns back (a strong call that costs less), it is read from left to
        right as if it did not.
        """
        w = np.take(weights, self._order, axis=1)
        gain = self._sums(w * self._gain) / w.sum(axis=1)[:, None]
        spent = self._sums(w * self._extra) if usd and self._extra is not None else self._sums(w)
        share = np.maximum.accumulate(spent, axis=1) / spent[:, -1:]
        found = [np.interp(grid, x, y) for x, y in zip(share, gain, strict=True)]
        return np.asarray(found, dtype=np.float64)

    def _sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(b, blocks + 1) sums of the first k blocks of tied scores, k from 0."""
        out = np.zeros((len(values), len(self._ends) + 1))
        cumulative = np.cumsum(values, axis=1)
        out[:, 1:] = cumulative if len(self._ends) == values.shape[1] else cumulative[:, self._ends]
        return out

    def _dollars(self, w: NDArray[np.float64], recovered: NDArray[np.float64]) -> Vector:
        if self._extra is None:
            return np.full(len(w), np.nan)
        spent = self._sums(w * self._extra)
        total = np.where(spent[:, -1] > 0, spent[:, -1], np.nan)[:, None]
        return _areas(recovered, spent / total)

    def _routellm(
        self, calls: NDArray[np.float64], recovered: NDArray[np.float64]
    ) -> tuple[Vector, Vector, Vector]:
        """APGR, CPT50 and CPT80 on RouteLLM's points (see `metrics.routellm_curve`)."""
        found = np.empty((3, len(calls)))
        for b, (sums, pgr) in enumerate(zip(calls, recovered, strict=True)):
            n = round(float(sums[-1]))
            # Edge k stands at rank ceil(k (n - 1) / bins) from below; strong from there upwards.
            rank_above = n - 1 - -(-np.arange(BINS) * (n - 1) // BINS)
            block = np.searchsorted(sums, rank_above, side="right")
            at = np.concatenate([[0], np.sort(block)])
            x, y = sums[at] / n, pgr[at]
            found[:, b] = np.trapezoid(y, x), np.interp(0.5, y, x), np.interp(0.8, y, x)
        found[:, np.isnan(recovered[:, -1])] = np.nan
        return found[0], found[1], found[2]


def _areas(y: NDArray[np.float64], x: NDArray[np.float64]) -> Vector:
    """(b,) trapezoid areas of b curves."""
    steps = np.diff(x, axis=1)
    return np.asarray(np.einsum("bk,bk->b", 0.5 * (y[:, 1:] + y[:, :-1]), steps))


def _crossings(y: NDArray[np.float64], x: NDArray[np.float64], level: float) -> Vector:
    """(b,) least x at which each piecewise linear curve reaches `level`."""
    rows = np.arange(len(y))
    k = np.maximum(np.argmax(y >= level - 1e-12, axis=1), 1)
    y0, y1, x0, x1 = y[rows, k - 1], y[rows, k], x[rows, k - 1], x[rows, k]
    with np.errstate(divide="ignore", invalid="ignore"):
        into = np.clip(np.where(y1 > y0, (level - y0) / (y1 - y0), 1.0), 0.0, 1.0)
    return np.asarray(np.where(np.isnan(y[:, -1]), np.nan, x0 + into * (x1 - x0)))
