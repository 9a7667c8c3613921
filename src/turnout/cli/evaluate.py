"""`turnout evaluate`: routers on a benchmark or on the user's own outcomes."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from turnout.artifacts.folder import read_artifact
from turnout.artifacts.opening import DEFAULT_BASE, PRETRAINED, open_router, trainable
from turnout.cli.pool import option_option, read_options
from turnout.data.outcomes import read_outcomes
from turnout.data.seen import SeenPrompts
from turnout.errors import InputError
from turnout.evaluation.asking import Asked
from turnout.evaluation.benchmarks import Benchmark, open_benchmark
from turnout.evaluation.intervals import REPLICATES
from turnout.evaluation.measure import known_as, measure, write
from turnout.evaluation.rows import QualityRow, ScoreRow
from turnout.routers.base import Router
from turnout.routers.learning import LearningRouter


@click.command()
@click.option(
    "--benchmark",
    default="outcomes",
    show_default=True,
    help="outcomes, routellm-mmlu, routellm-gsm8k, routellm-mtbench, routerbench, routerarena, "
    "llmrouter, llmrouterbench, or a plug-in's (docs/reference/benchmarks.md).",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="The benchmark's folder or file, or your outcomes as JSONL, CSV or Parquet.",
)
@click.option(
    "--routers",
    default="blend",
    show_default=True,
    help="Names with commas between; '' prints the baselines alone.",
)
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    help="A folder made by `turnout train`, for a single router.",
)
@option_option
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A model of the data to compare, strongest first; repeat it. Default: all.",
)
@click.option(
    "--known-as",
    "aliases",
    multiple=True,
    metavar="MODEL=NAME",
    help="The name under which the artifact knows a model; repeat it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write evaluation.html, .json and .png in here, with decision times.",
)
@click.option(
    "--robustness",
    is_flag=True,
    help="Also perturb the prompts, and search prefixes that buy the strongest model.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Right and wrong calls to write, WITH THEIR PROMPTS, into the files of --out.",
)
@click.option(
    "--usd-per-quality",
    type=click.FloatRange(min=0, min_open=True),
    default=float("inf"),
    help="What one full unit of quality is worth, for regret; default: cost does not count.",
)
@click.option(
    "--labels",
    type=int,
    help="Also fit each trainable router on this many prompts of the data, and report on the rest.",
)
@click.option(
    "--folds",
    type=int,
    help="Also fit each trainable router on all folds but one, in turn, and report on all prompts.",
)
@click.option(
    "--transfer/--no-transfer",
    default=True,
    show_default=True,
    help="Measure the routers as they ship, or only those that --labels or --folds fit.",
)
@click.option("--limit", type=click.IntRange(min=30), help="Use a random part of the prompts.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--replicates",
    type=click.IntRange(min=20),
    default=REPLICATES,
    show_default=True,
    help="Bootstrap replicates of the intervals.",
)
@click.option(
    "--save-predictions",
    type=click.Path(path_type=Path),
    help="Write each router's predictions into a folder here, for `turnout replay`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def evaluate(
    benchmark: str,
    data: Path,
    routers: str,
    artifact: Path | None,
    options: tuple[str, ...],
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    out: Path | None,
    robustness: bool,
    examples: int,
    usd_per_quality: float,
    labels: int | None,
    folds: int | None,
    transfer: bool,
    limit: int | None,
    seed: int,
    replicates: int,
    save_predictions: Path | None,
    as_json: bool,
) -> None:
    """Measure routers beside random, prompt length, every model alone, and the oracle.

    Nothing is called: the outcomes are recorded ones. Every number has a 95% interval.
    """
    names = [name.strip() for name in routers.split(",") if name.strip()]
    opened = _open_routers(names, artifact, seed, read_options(options)) if transfer else {}
    found = open_benchmark(benchmark, data, models).limited(limit, seed=seed)
    found = known_as(found, _aliases(aliases))
    if artifact is not None and transfer:
        found = replace(found, notes=(*found.notes, _seen_by(artifact, data, benchmark)))
    if artifact is None and opened:
        found = replace(found, notes=(*found.notes, *_seen_by_shipped(opened, found)))
    if save_predictions is not None:
        _save(found, opened, save_predictions)
    found, extra = in_domain(found, names, labels=labels, folds=folds, seed=seed)
    report = measure(
        found,
        opened,
        extra=extra,
        kind="transfer" if artifact is None else "given",
        replicates=replicates,
        seed=seed,
        progress=_progress if sys.stderr.isatty() else None,
        asked=Asked(
            robustness=robustness,
            latency=out is not None,
            examples=examples,
            usd_per_quality=usd_per_quality,
            command=_command(sys.argv[1:]),
            made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        ),
    )
    click.echo(report.to_json() if as_json else report.to_text(), nl=False)
    for line in write(report, out) if out is not None else ():
        click.echo(line, err=True)


def _save(benchmark: Benchmark, opened: Mapping[str, Router], folder: Path) -> None:
    """Write the predictions of each router, on all prompts of the benchmark."""
    from turnout.evaluation.replay_folder import predict_benchmark, save

    if not opened:
        remedy = "name a router to predict with; those that --labels or --folds fit are not kept"
        raise InputError("save_predictions", str(folder), remedy)
    for name, router in opened.items():
        save(predict_benchmark(router, benchmark), folder / name)
        click.echo(f"wrote predictions to {folder / name}", err=True)


def in_domain(
    benchmark: Benchmark,
    routers: Sequence[str],
    *,
    labels: int | None = None,
    folds: int | None = None,
    seed: int = 0,
) -> tuple[Benchmark, list[ScoreRow | QualityRow]]:
    """Rows that are fitted on a part of the benchmark, and the part that all rows report on.

    Args:
        benchmark: what is measured.
        routers: names; those that cannot be trained are passed over.
        labels: fit on this many prompts, drawn by whole groups; the other groups are reported on.
        folds: or fit on all folds but one, in turn; every prompt is reported on.
        seed: of the split.

    Raises:
        InputError: both or a number that cannot be had; no router here can be trained.
    """
    if labels is None and folds is None:
        return benchmark, []
    if labels is not None and folds is not None:
        raise InputError("folds", folds, "give --labels or --folds, not both")
    from turnout.training import indomain  # only these options need what fits

    names = [name for name in routers if name in trainable()]
    if not names:
        remedy = f"name one that can be trained: {', '.join(trainable())}"
        raise InputError("routers", list(routers), remedy)
    if folds is not None:
        rows = [
            _row(
                f"{name}, {folds} folds",
                benchmark,
                indomain.predict_cross_fitted(benchmark, name, folds, seed=seed),
            )
            for name in names
        ]
        return benchmark, rows
    labelled, reported = indomain.split_labels(benchmark, labels or 0, seed=seed)
    part = benchmark.rows(reported)
    note = (
        f"reported on {part.n:,} of {benchmark.n:,} prompts; in-domain rows are fitted on "
        f"{labels:,} others, whose groups are not reported (seed {seed})"
        + ("; published rows are on all prompts" if benchmark.published else "")
    )
    part = replace(part, notes=(*part.notes, note))
    return part, [
        _row(
            f"{name}, {labels:,} labels",
            part,
            indomain.predict_held_out(benchmark, name, labelled, reported, seed=seed),
        )
        for name in names
    ]


def _row(name: str, benchmark: Benchmark, quality: NDArray[np.floating]) -> ScoreRow | QualityRow:
    """Predicted qualities as a row: for two models, sorted by the predicted gain."""
    if not benchmark.is_pair:
        return QualityRow(name=name, kind="in-domain", quality=quality)
    gain = quality[:, 0].astype(np.float64) - quality[:, -1]
    return ScoreRow(name=name, kind="in-domain", scores=gain, quality=quality)


def _open_routers(
    names: Sequence[str], artifact: Path | None, seed: int, given: Mapping[str, Any]
) -> dict[str, Router]:
    if given and len(names) != 1:
        raise InputError("option", next(iter(given)), "options are of one router; name just that")
    if artifact is not None and len(names) != 1:
        raise InputError("artifact", str(artifact), "an artifact is of one router; name just that")
    found = {}
    for name in names:
        # A coin without a seed would make every run another report.
        options = {"seed": seed, **given} if name == "random" else dict(given) or None
        found[name] = open_router(name, artifact=artifact, options=options)
    return found


def _seen_by(artifact: Path, data: Path, benchmark: str) -> str:
    """What an artifact of the user's own means for its row: it may have seen what is reported."""
    from turnout.training.fit import data_fingerprint  # only an artifact needs what fits

    fitted_on = read_artifact(artifact)[0].get("data")
    stated = fitted_on if isinstance(fitted_on, Mapping) else {}
    given = data_fingerprint(read_outcomes(data)) if benchmark == "outcomes" else None
    if given is not None and given == stated.get("fingerprint"):
        return (
            f"{artifact} was FITTED ON THESE VERY OUTCOMES: its row is no transfer and means "
            "nothing; give --folds 5 instead of --artifact, or other outcomes"
        )
    return (
        f"{artifact} was fitted on {stated.get('prompts', 'unknown')} prompts of "
        f"{stated.get('source', 'unknown data')}; its row is transfer only if none of them is here"
    )


def _seen_by_shipped(opened: Mapping[str, Router], benchmark: Benchmark) -> list[str]:
    """For each shipped artifact in use, which part of the prompts it was fitted on."""
    seen = SeenPrompts.load().look_up([query.text for query in benchmark.queries])
    notes = []
    for name, router in opened.items():
        held = DEFAULT_BASE if isinstance(router, LearningRouter) else name
        found = seen.by_artifact(held)
        if found is None:
            if (PRETRAINED / held).is_dir():
                notes.append(f"which prompts {name} as it ships was fitted on is not known here")
            continue  # nothing was fitted
        exact, near = (int(part.sum()) for part in found)
        share = (exact + near) / benchmark.n
        notes.append(
            f"{name} as it ships was fitted on {exact} of these {benchmark.n:,} prompts word for word "
            f"and on near-duplicates of {near} ({share:.1%})"
            + ("; on those its row is memory" if exact + near else "")
        )
    return notes


def _aliases(given: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for pair in given:
        model, equals, name = pair.partition("=")
        if not (model and equals and name):
            raise InputError("known_as", pair, "give MODEL=NAME, such as gpt-4=gpt-4-0613")
        found[model] = name
    return found


_SECRET = re.compile(r"(?i)^([^=]*(?:key|token|secret|password)[^=]*=).+", re.S)


def _command(arguments: Sequence[str]) -> str:
    """The command as it was given, without what an option's name says is a secret."""
    return shlex.join(["turnout", *(_SECRET.sub(r"\1***", a) for a in arguments)])


def _progress(router: str, done: int, total: int) -> None:
    click.echo(f"\r{router}: {done:,} of {total:,} prompts", nl=done == total, err=True)
