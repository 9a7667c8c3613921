"""One call for a benchmark of two or of N models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from turnout.errors import InputError, MissingExtraError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.intervals import REPLICATES
from turnout.evaluation.plots import draw
from turnout.evaluation.pool import QualityRow, evaluate_pool
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.report import EvaluationReport, RowKind
from turnout.evaluation.run import Progress, ScoreRow, evaluate_pair
from turnout.routers.base import Router


def measure(
    benchmark: Benchmark,
    routers: Mapping[str, Router],
    *,
    extra: Sequence[ScoreRow | QualityRow] = (),
    kind: RowKind = "transfer",
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> EvaluationReport | PoolReport:
    """Measure routers, and rows made elsewhere, beside the baselines.

    Args:
        benchmark: of two models (scores over a threshold) or more (one choice a prompt).
        routers: by the name to print; empty prints the baselines alone.
        extra: `ScoreRow`s for two models, `QualityRow`s for more; other rows are refused.
        kind: of the routers' rows: `given` for an artifact that may have seen these prompts.
        replicates: bootstrap replicates.
        seed: of everything random.
        progress: told of predictions as they are made.

    Raises:
        InputError: a row of the wrong kind.
        UnknownNameError: a router does not know one of the models.
    """
    wanted: type = ScoreRow if benchmark.is_pair else QualityRow
    for row in extra:
        if not isinstance(row, wanted):
            raise InputError("extra", row.name, f"this benchmark takes {wanted.__name__}s")
    if benchmark.is_pair:
        return evaluate_pair(
            benchmark,
            routers,
            extra=[row for row in extra if isinstance(row, ScoreRow)],
            kind=kind,
            replicates=replicates,
            seed=seed,
            progress=progress,
        )
    return evaluate_pool(
        benchmark,
        routers,
        extra=[row for row in extra if isinstance(row, QualityRow)],
        kind=kind,
        replicates=replicates,
        seed=seed,
        progress=progress,
    )


def known_as(benchmark: Benchmark, names: Mapping[str, str]) -> Benchmark:
    """The benchmark with the names under which a router's artifact knows its models.

    Raises:
        InputError: a model that the benchmark does not have.
    """
    models = [c.name for c in benchmark.candidates]
    for model in names:
        if model not in models:
            raise InputError("known_as", model, f"the benchmark's models are {', '.join(models)}")
    candidates = tuple(
        replace(c, known_as=names.get(c.name, c.known_as)) for c in benchmark.candidates
    )
    return replace(benchmark, candidates=candidates)


def write(report: EvaluationReport | PoolReport, folder: Path) -> list[str]:
    """Write `evaluation.json` and `evaluation.png` into a folder.

    Returns:
        What was written, or what to install for the picture, as lines to show.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(report.to_json(), encoding="utf-8")
    except OSError as error:
        raise InputError("out", str(folder), f"it cannot be written: {error.strerror}") from None
    lines = [f"wrote {folder / 'evaluation.json'}"]
    try:
        drawn = draw(report, folder / "evaluation.png")
    except MissingExtraError as error:
        return [*lines, f"no picture: {error}"]
    if not drawn:
        return [
            *lines,
            "no picture: more than two models are drawn over their cost, not known here",
        ]
    return [*lines, f"wrote {folder / 'evaluation.png'}"]
