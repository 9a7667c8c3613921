"""Measure routers on a two-model benchmark, beside the baselines that must always be printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from turnout.errors import InputError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.categories import category_rows
from turnout.evaluation.intervals import (
    REPLICATES,
    Estimate,
    Replicates,
    Resampler,
    interval,
)
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.metrics import Vector
from turnout.evaluation.pair_rows import PairRows
from turnout.evaluation.report import EvaluationReport, ReportRow
from turnout.evaluation.rows import (
    Progress,
    ScoreRow,
    check_scores,
    notes_of,
    predict_quality,
    router_row,
    router_rows,
)
from turnout.evaluation.rules import LENGTH, NAMES, ORACLE, RANDOM, score_baselines
from turnout.evaluation.verdict import Verdict, judge_pair
from turnout.routers.base import Router

NO_CEILING = "no attainable ceiling: it needs a third model's outcomes on these prompts"

__all__ = [
    "LENGTH",
    "ORACLE",
    "RANDOM",
    "Progress",
    "ScoreRow",
    "evaluate_pair",
    "predict_quality",
    "router_row",
    "score_rows",
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
    made = router_rows(benchmark, routers, taken=NAMES, kind=kind, progress=progress)
    rows = [*(row for row in made if isinstance(row, ScoreRow)), *extra]
    rows = [*score_baselines(benchmark, seed=seed), *rows]
    return score_rows(benchmark, rows, replicates=replicates, seed=seed)


def score_rows(
    benchmark: Benchmark,
    rows: Sequence[ScoreRow],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    usd_per_quality: float = math.inf,
) -> EvaluationReport:
    """Measure rows of scores, with paired intervals, beside always-weak, always-strong, published.

    Args:
        benchmark: with two models.
        rows: scores on its prompts.
        replicates: bootstrap replicates.
        seed: of the bootstrap.
        usd_per_quality: what one unit of quality is worth, for regret; inf counts quality alone.

    Raises:
        InputError: not two models, a row of another length, or a score that is not finite.
    """
    if not benchmark.is_pair:
        raise InputError("models", [c.name for c in benchmark.candidates], "give exactly two")
    for row in rows:
        check_scores(row, benchmark.n)
    drawn = Replicates(Resampler(benchmark.groups, replicates, seed))
    measured = PairRows(benchmark, drawn, usd_per_quality=usd_per_quality).measure(rows)
    means = drawn.means(benchmark.quality[:, [0, -1]])
    strong, weak = (interval(column) for column in means.T)
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
        rows=(*_constant_rows(benchmark), *measured, *_published_rows(benchmark)),
        notes=(*benchmark.notes, *notes_of(rows), *_gap_notes(strong, weak), NO_CEILING),
        verdicts=_verdicts(benchmark, measured),
        categories=category_rows(benchmark, _at_half(benchmark, rows)),
        replicates=replicates,
        seed=seed,
    )


def _at_half(benchmark: Benchmark, rows: Sequence[ScoreRow]) -> dict[str, Vector]:
    """Quality of each row with half of the calls to the strong model, and of both models alone."""
    strong, weak = benchmark.quality_strong, benchmark.quality_weak
    found = {"always weak": weak, "always strong": strong}
    for row in rows:
        if row.scores.ndim == 1:
            to_strong = row.scores >= np.quantile(row.scores, 0.5)
            found[row.name] = np.where(to_strong, strong, weak)
    return found


def _verdicts(benchmark: Benchmark, rows: Sequence[ReportRow]) -> tuple[Verdict, ...]:
    """Of every router: over dollars where they are known, and over calls."""
    found = []
    for row in rows:
        if row.name in NAMES:
            continue
        for axis, name in (("dollars", "apgr_usd"), ("calls", "apgr_exact")):
            if axis == "dollars" and benchmark.extra_cost_usd is None:
                continue
            found.append(
                judge_pair(
                    row.name,
                    row.metrics[name],
                    axis="dollars" if axis == "dollars" else "calls",
                    gap=float(benchmark.gain.mean()),
                    prompts=benchmark.n,
                    scale=benchmark.scale,
                    strong=benchmark.strong.name,
                    quality_strong=float(benchmark.quality_strong.mean()),
                )
            )
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
