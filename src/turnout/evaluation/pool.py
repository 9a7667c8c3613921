"""Measure routers on a benchmark of any number of models: one choice a prompt, and its cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.intervals import REPLICATES, Replicates, Resampler
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.pool_rows import PoolRows
from turnout.evaluation.rows import Progress, QualityRow, check_quality, notes_of, router_rows
from turnout.evaluation.rules import NAMES
from turnout.routers.base import Router

__all__ = ["QualityRow", "evaluate_pool", "quality_report"]


def evaluate_pool(
    benchmark: Benchmark,
    routers: Mapping[str, Router],
    *,
    extra: Sequence[QualityRow] = (),
    kind: RowKind = "transfer",
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> PoolReport:
    """Single models, baselines, routers and rows made elsewhere, in one report.

    Args:
        benchmark: with two or more models.
        routers: by the name to print.
        extra: predictions made elsewhere (in-domain fits, say) on the same prompts.
        kind: of the routers' rows: `given` for an artifact that may have seen these prompts.
        replicates: bootstrap replicates.
        seed: of the bootstrap and of the folds.
        progress: told of predictions as they are made.
    """
    rows = router_rows(benchmark, routers, taken=NAMES, kind=kind, progress=progress)
    made = [row for row in rows if isinstance(row, QualityRow)]
    return quality_report(
        benchmark, [*made, *extra], routers=routers, replicates=replicates, seed=seed
    )


def quality_report(
    benchmark: Benchmark,
    rows: Sequence[QualityRow],
    *,
    routers: Mapping[str, Router] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    usd_per_quality: float = math.inf,
) -> PoolReport:
    """Measure rows of predictions beside the baselines.

    Args:
        benchmark: with two or more models.
        rows: predictions on its prompts.
        routers: those that made rows, by `route`: rows are then also measured as they would serve.
        replicates: bootstrap replicates.
        seed: of the bootstrap and of the folds.
        usd_per_quality: what one unit of quality is worth, for regret; inf counts quality alone.

    Raises:
        InputError: a row of another shape, or one that is not finite.
    """
    for row in rows:
        check_quality(row, benchmark)
    drawn = Replicates(Resampler(benchmark.groups, replicates, seed))
    book = PoolRows(benchmark, drawn, seed=seed, usd_per_quality=usd_per_quality)
    book.measure_singles()
    book.measure_baselines()
    verdicts = [book.measure(row, (routers or {}).get(row.route)) for row in rows]
    return PoolReport(
        benchmark=benchmark.name,
        prompts=benchmark.n,
        groups=len(np.unique(benchmark.groups)),
        models=tuple(c.name for c in benchmark.candidates),
        scale=benchmark.scale,
        rows=book.rows(),
        categories=book.categories(),
        notes=(*benchmark.notes, *notes_of(rows), *book.notes()),
        verdicts=tuple(verdicts),
        replicates=replicates,
        seed=seed,
    )
