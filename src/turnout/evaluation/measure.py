"""One call for a benchmark of two or of N models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from turnout.errors import InputError, MissingExtraError
from turnout.evaluation.asking import Asked, details
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.intervals import REPLICATES, Replicates, Resampler
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.page import render
from turnout.evaluation.plots import draw
from turnout.evaluation.pool import quality_report
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.report import EvaluationReport
from turnout.evaluation.rows import Progress, QualityRow, ScoreRow, checked, router_rows
from turnout.evaluation.rules import NAMES, score_baselines
from turnout.evaluation.run import score_rows
from turnout.routers.base import Router

Report = EvaluationReport | PoolReport


def measure(
    benchmark: Benchmark,
    routers: Mapping[str, Router],
    *,
    extra: Sequence[ScoreRow | QualityRow] = (),
    kind: RowKind = "transfer",
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
    asked: Asked | None = None,
) -> Report:
    """Measure routers, and rows made elsewhere, beside the baselines.

    Args:
        benchmark: of two models (scores over a threshold) or more (one choice a prompt).
        routers: by the name to print; empty prints the baselines alone.
        extra: `ScoreRow`s for two models, `QualityRow`s for more; other rows are refused.
        kind: of the routers' rows: `given` for an artifact that may have seen these prompts.
        replicates: bootstrap replicates.
        seed: of everything random.
        progress: told of predictions as they are made.
        asked: what else to measure; default: calibration alone.

    Raises:
        InputError: a row of the wrong kind, or a benchmark that cannot be measured.
        UnknownNameError: a router does not know one of the models.
    """
    asked = asked or Asked()
    benchmark = checked(benchmark)
    wanted: type = ScoreRow if benchmark.is_pair else QualityRow
    for row in extra:
        if not isinstance(row, wanted):
            raise InputError("extra", row.name, f"this benchmark takes {wanted.__name__}s")
    made = router_rows(benchmark, routers, taken=NAMES, kind=kind, progress=progress)
    rows = [*made, *extra]
    report: Report
    if benchmark.is_pair:
        scored = [row for row in rows if isinstance(row, ScoreRow)]
        scored = [*score_baselines(benchmark, seed=seed), *scored]
        report = score_rows(
            benchmark,
            scored,
            replicates=replicates,
            seed=seed,
            usd_per_quality=asked.usd_per_quality,
        )
    else:
        report = quality_report(
            benchmark,
            [row for row in rows if isinstance(row, QualityRow)],
            routers=routers,
            replicates=replicates,
            seed=seed,
            usd_per_quality=asked.usd_per_quality,
        )
    drawn = Replicates(Resampler(benchmark.groups, replicates, seed))
    return replace(report, details=details(benchmark, rows, routers, asked, drawn, seed=seed))


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


def write(report: Report, folder: Path) -> list[str]:
    """Write `evaluation.html`, `evaluation.json` and `evaluation.png` into a folder.

    Returns:
        What was written, or what to install for the picture, as lines to show.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.html").write_text(render(report), encoding="utf-8")
        (folder / "evaluation.json").write_text(report.to_json(), encoding="utf-8")
    except OSError as error:
        raise InputError("out", str(folder), f"it cannot be written: {error.strerror}") from None
    lines = [f"wrote {folder / name}" for name in ("evaluation.html", "evaluation.json")]
    try:
        draw(report, folder / "evaluation.png")
    except MissingExtraError as error:
        return [*lines, f"no picture: {error}"]
    return [*lines, f"wrote {folder / 'evaluation.png'}"]
