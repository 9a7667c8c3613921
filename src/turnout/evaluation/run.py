"""Measure routers on a two-model benchmark, beside the baselines that must always be printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.intervals import (
    METRICS,
    REPLICATES,
    Estimate,
    PairMetrics,
    Resampler,
    SortedPair,
    percentile_interval,
)
from turnout.evaluation.metrics import Vector, brier, brier_skill, ece
from turnout.evaluation.report import Band, EvaluationReport, ReportRow, RowKind
from turnout.routers.base import Router
from turnout.types import Candidate, Prediction, Query

RANDOM_SEEDS = 10
"""Runs that the random row averages, as in RouteLLM."""
LENGTH = "prompt length"
RANDOM = "random"
ORACLE = "oracle"
BATCH = 512
GRID = np.linspace(0.0, 1.0, 101)
"""Shares at which curves are kept for the picture."""

Progress = Callable[[str, int, int], None]
"""Called with a router's name, prompts done and prompts in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """Scores of one router on the n prompts of a benchmark; higher asks for the strong model.

    The seam for rows that are made elsewhere: anything that can score the prompts can be a row.
    """

    name: str
    kind: RowKind
    scores: Vector
    """(n,), or (r, n) for r runs that are averaged."""
    is_probability: bool = False
    """Whether a score is meant as P(the strong model does better), so that it can be checked. Not
    so of a win rate by `weak_fails`, which shipped artifacts have, nor of a coin."""
    remark: str = ""


def predict_quality(
    router: Router,
    queries: Sequence[Query],
    candidates: Sequence[Candidate],
    *,
    progress: Progress | None = None,
) -> tuple[Prediction, NDArray[np.float32]]:
    """Predict in batches.

    Returns:
        The prediction of all n queries (qualities alone), and (n,) win rates of the first over
        the last candidate.

    Raises:
        UnknownNameError: the router does not know a candidate.
    """
    router.check(candidates)
    parts = []
    for start in range(0, len(queries), BATCH):
        parts.append(router.predict(queries[start : start + BATCH], candidates))
        if progress is not None:
            progress(router.name, min(start + BATCH, len(queries)), len(queries))
    quality = np.concatenate([part.quality for part in parts])
    whole = replace(parts[0], quality=quality, output_tokens=None)
    return whole, whole.win_rate(candidates[0].name, candidates[-1].name)


def router_row(
    benchmark: Benchmark,
    router: Router,
    *,
    name: str = "",
    kind: RowKind = "transfer",
    progress: Progress | None = None,
) -> ScoreRow:
    """Win rates of a router on a benchmark's two models.

    Raises:
        UnknownNameError: the router does not know a model (set its `known_as`).
    """
    found, rate = predict_quality(
        router, benchmark.queries, benchmark.candidates, progress=progress
    )
    return ScoreRow(
        name=name or router.name,
        kind=kind,
        scores=rate.astype(np.float64),
        is_probability=found.pair.kind in ("difference", "logistic"),
    )


def baseline_rows(benchmark: Benchmark, *, seed: int = 0) -> list[ScoreRow]:
    """Random (10 seeds averaged), prompt length (longer asks for the strong model), the oracle.

    The oracle sorts by the recorded gain: no router can know it, and one-sample luck is in it.
    """
    runs = [np.random.default_rng([seed, k]).random(benchmark.n) for k in range(RANDOM_SEEDS)]
    length = np.asarray([len(q.text) for q in benchmark.queries], dtype=np.float64)
    return [
        ScoreRow(name=RANDOM, kind="baseline", scores=np.stack(runs)),
        ScoreRow(name=LENGTH, kind="baseline", scores=length),
        ScoreRow(name=ORACLE, kind="baseline", scores=benchmark.gain, remark="hindsight"),
    ]


def evaluate_pair(
    benchmark: Benchmark,
    routers: Mapping[str, Router],
    *,
    extra: Sequence[ScoreRow] = (),
    kind: RowKind = "transfer",
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Baselines, routers, rows made elsewhere and published rows, in one report.

    Args:
        benchmark: with two models.
        routers: by the name to print.
        extra: rows made elsewhere (in-domain fits, say) on the same prompts.
        kind: of the routers' rows: `given` for an artifact that may have seen these prompts.
        replicates: bootstrap replicates.
        seed: of the bootstrap and of the random row.
        progress: told of predictions as they are made.
    """
    rows = baseline_rows(benchmark, seed=seed)
    taken = {row.name for row in rows}
    for name, router in routers.items():
        shown = f"{name} router" if name in taken else name
        rows.append(router_row(benchmark, router, name=shown, kind=kind, progress=progress))
    return score_rows(benchmark, [*rows, *extra], replicates=replicates, seed=seed)


def score_rows(
    benchmark: Benchmark,
    rows: Sequence[ScoreRow],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> EvaluationReport:
    """Measure rows of scores, with paired intervals, beside always-weak, always-strong, published.

    Raises:
        InputError: not two models, a row of another length, or a score that is not finite.
    """
    if not benchmark.is_pair:
        raise InputError("models", [c.name for c in benchmark.candidates], "give exactly two")
    for row in rows:
        _check(row, benchmark.n)
    resampler = Resampler(benchmark.groups, replicates, seed)
    weights = np.concatenate(list(resampler.weights())).astype(np.uint16)
    measured = [_measure(row, benchmark, weights) for row in rows]
    paired = _with_differences([m[0] for m in measured], [m[1] for m in measured])
    pair = np.stack([benchmark.quality_strong, benchmark.quality_weak], axis=1)
    draws = np.concatenate([_means(pair, w) for w in _chunks(weights)])
    strong, weak = (percentile_interval(float(pair[:, j].mean()), draws[:, j]) for j in range(2))
    cost = benchmark.cost_usd.mean(axis=0).tolist()
    return EvaluationReport(
        benchmark=benchmark.name,
        prompts=benchmark.n,
        groups=len(np.unique(benchmark.groups)),
        strong=benchmark.strong.name,
        weak=benchmark.weak.name,
        scale=benchmark.scale,
        quality_strong=strong,
        quality_weak=weak,
        cost_usd=(cost[0], cost[1]) if benchmark.has_costs else None,
        rows=(*_constant_rows(benchmark), *paired, *_published_rows(benchmark)),
        notes=(*benchmark.notes, *_gap_notes(strong, weak)),
        replicates=replicates,
        seed=seed,
    )


def _check(row: ScoreRow, n: int) -> None:
    if row.scores.shape[-1] != n or row.scores.ndim > 2:
        raise InputError(f"scores of {row.name!r}", row.scores.shape, f"give one for each of {n}")
    if not np.isfinite(row.scores).all():
        raise InputError(f"scores of {row.name!r}", "NaN or infinite", "scores must be finite")


def _chunks(weights: NDArray[np.uint16], size: int = 50) -> list[NDArray[np.float64]]:
    starts = range(0, len(weights), size)
    return [weights[s : s + size].astype(np.float64) for s in starts]


def _means(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((weights @ values) / weights.sum(axis=1)[:, None])


def _measure(
    row: ScoreRow, benchmark: Benchmark, weights: NDArray[np.uint16]
) -> tuple[ReportRow, PairMetrics]:
    """A row without its differences, and its bootstrap draws."""
    extra = benchmark.extra_cost_usd
    pairs = [SortedPair(s, benchmark.gain, extra) for s in np.atleast_2d(row.scores)]
    ones = np.ones((1, benchmark.n))
    plain = PairMetrics.mean([pair.measure(ones) for pair in pairs])
    draws = PairMetrics.joined(
        [PairMetrics.mean([pair.measure(w) for pair in pairs]) for w in _chunks(weights)]
    )
    metrics = {
        name: percentile_interval(float(getattr(plain, name)[0]), getattr(draws, name))
        for name in METRICS
    }
    calls, dollars = _bands(pairs, benchmark, weights)
    found = ReportRow(
        name=row.name,
        kind=row.kind,
        metrics=metrics,
        calibration=_calibration(row, benchmark),
        remark=row.remark,
        calls=calls,
        dollars=dollars,
    )
    return found, draws


def _bands(
    pairs: Sequence[SortedPair], benchmark: Benchmark, weights: NDArray[np.uint16]
) -> tuple[Band, Band | None]:
    """Curves on `GRID`, over calls and over dollars, with bands for one-run rows."""
    ones, level = np.ones((1, benchmark.n)), float(benchmark.quality_weak.mean())
    found: list[Band | None] = []
    for usd in (False, True):
        if usd and benchmark.extra_cost_usd is None:
            found.append(None)
            continue
        middle = level + np.mean([p.curve(ones, GRID, usd=usd)[0] for p in pairs], axis=0)
        low = high = middle
        if len(pairs) == 1 and len(weights) >= 20:
            # A fifth of the replicates is enough for a band that is only looked at.
            some = _chunks(weights[: max(20, len(weights) // 5)])
            draws = np.concatenate([pairs[0].curve(w, GRID, usd=usd) for w in some])
            low, high = level + np.quantile(draws, [0.025, 0.975], axis=0)
        found.append(Band(share=GRID, quality=middle, low=low, high=high))
    assert found[0] is not None
    return found[0], found[1]


def _calibration(row: ScoreRow, benchmark: Benchmark) -> dict[str, float]:
    if not row.is_probability or row.scores.ndim != 1:
        return {}
    wins = (benchmark.gain > 0).astype(np.float64)
    return {
        "brier": brier(row.scores, wins),
        "brier_skill": brier_skill(row.scores, wins),
        "ece": ece(row.scores, wins),
    }


def _with_differences(
    rows: Sequence[ReportRow], draws: Sequence[PairMetrics]
) -> tuple[ReportRow, ...]:
    """Rows with their paired differences to prompt length, where that row is there."""
    base = next((i for i, row in enumerate(rows) if row.name == LENGTH), None)
    if base is None:
        return tuple(rows)
    found = []
    for i, row in enumerate(rows):
        both: list[Estimate | None] = []
        for name in ("apgr_exact", "apgr_usd"):
            value = row.metrics[name].value - rows[base].metrics[name].value
            gap = getattr(draws[i], name) - getattr(draws[base], name)
            both.append(None if i == base else percentile_interval(value, gap))
        found.append(replace(row, difference=both[0], difference_usd=both[1]))
    return tuple(found)


def _constant_rows(benchmark: Benchmark) -> list[ReportRow]:
    found = []
    for name, j in (("always weak", 1), ("always strong", 0)):
        remark = f"quality {benchmark.quality[:, j].mean() * benchmark.scale:.3f}"
        if benchmark.has_costs:
            remark += f" at {benchmark.cost_usd[:, j].mean():.6f} USD a call"
        found.append(ReportRow(name=name, kind="baseline", remark=remark))
    return found


def _published_rows(benchmark: Benchmark) -> list[ReportRow]:
    return [
        ReportRow(
            name=row.router,
            kind="published",
            metrics={
                "cpt50": Estimate(row.cpt50),
                "cpt80": Estimate(row.cpt80),
                "apgr": Estimate(row.apgr),
            },
            remark=row.source,
        )
        for row in benchmark.published
    ]


def _gap_notes(strong: Estimate, weak: Estimate) -> list[str]:
    if strong.value <= weak.value:
        return ["the strong model is not better here, so APGR and CPT are not defined"]
    if strong.low < weak.high:
        return ["the models' intervals overlap: read APGR and CPT with care"]
    return []
