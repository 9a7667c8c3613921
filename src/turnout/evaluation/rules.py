"""Rules that need no router: what every router must beat to be worth anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.rows import ScoreRow
from turnout.evaluation.sweeps import FOLDS

RANDOM_SEEDS = 10
"""Runs that the random row averages, as in RouteLLM."""
LENGTH = "prompt length"
RANDOM = "random"
ORACLE = "oracle"
TABLE = "best model per category"
CEILING = "attainable ceiling"
ZERO = "zero router"
NAMES = (RANDOM, LENGTH, ORACLE, TABLE, CEILING, ZERO)


def score_baselines(benchmark: Benchmark, *, seed: int = 0) -> list[ScoreRow]:
    """Of two models: random (10 seeds averaged), prompt length, the categories' table, the oracle.

    Longer prompts ask for the strong model. The table sorts by the gain of a prompt's category on
    the other folds. The oracle sorts by the recorded gain: no router can know it, and one-sample
    luck is in it.
    """
    runs = [np.random.default_rng([seed, k]).random(benchmark.n) for k in range(RANDOM_SEEDS)]
    rows = [
        ScoreRow(name=RANDOM, kind="baseline", scores=np.stack(runs)),
        ScoreRow(name=LENGTH, kind="baseline", scores=lengths(benchmark)),
    ]
    if has_categories(benchmark):
        table = category_table(benchmark, seed=seed)
        remark = f"a table learned on the other folds of {FOLDS}"
        gain = table[:, 0] - table[:, -1]
        rows.append(ScoreRow(name=TABLE, kind="in-domain", scores=gain, remark=remark))
    oracle = ScoreRow(name=ORACLE, kind="baseline", scores=benchmark.gain, remark="hindsight")
    return [*rows, oracle]


def has_categories(benchmark: Benchmark) -> bool:
    """Whether there are two categories or more to tell apart."""
    return len(set(benchmark.categories)) > 1


def lengths(benchmark: Benchmark) -> NDArray[np.float64]:
    """(n,) characters of each prompt."""
    return np.asarray([len(q.text) for q in benchmark.queries], dtype=np.float64)


def length_lines(benchmark: Benchmark, *, seed: int = 0) -> NDArray[np.float64]:
    """(n, m) quality by a straight line over log length for each model, from the other folds."""
    x = np.log1p(lengths(benchmark))
    fold = group_folds(benchmark.groups, FOLDS, seed=seed)
    found = np.zeros_like(benchmark.quality)
    for k in range(FOLDS):
        held, seen = fold == k, fold != k
        middle = x[seen].mean()
        over, level = x[seen] - middle, benchmark.quality[seen].mean(axis=0)
        spread = float(over @ over)
        slope = over @ benchmark.quality[seen] / spread if spread > 0 else np.zeros(len(level))
        found[held] = level + (x[held] - middle)[:, None] * slope
    return np.clip(found, 0.0, 1.0)


def category_table(benchmark: Benchmark, *, seed: int = 0) -> NDArray[np.float64]:
    """(n, m) mean quality in each prompt's category on the other folds (over all, where unseen)."""
    names = np.asarray(benchmark.categories)
    fold = group_folds(benchmark.groups, FOLDS, seed=seed)
    found = np.zeros_like(benchmark.quality)
    for k in range(FOLDS):
        seen = fold != k
        over_all = benchmark.quality[seen].mean(axis=0)
        for name in np.unique(names[~seen]):
            known = seen & (names == name)
            mean = benchmark.quality[known].mean(axis=0) if known.any() else over_all
            found[~seen & (names == name)] = mean
    return found
