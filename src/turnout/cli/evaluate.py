"""`turnout evaluate`: routers on a benchmark or on the user's own outcomes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from turnout.artifacts.opening import open_router
from turnout.errors import InputError
from turnout.evaluation.benchmarks import Benchmark, open_benchmark
from turnout.evaluation.intervals import REPLICATES
from turnout.evaluation.measure import known_as, measure, write
from turnout.evaluation.pool import QualityRow
from turnout.evaluation.run import ScoreRow
from turnout.routers.base import Router


@click.command()
@click.option(
    "--benchmark",
    default="outcomes",
    show_default=True,
    help="routellm-mmlu, routellm-gsm8k, routellm-mtbench, outcomes, or a plug-in's.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="The benchmark's folder (RouteLLM's routellm/evals), or your outcomes as JSONL.",
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
    "--out", type=click.Path(path_type=Path), help="Write evaluation.json and .png in here."
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def evaluate(
    benchmark: str,
    data: Path,
    routers: str,
    artifact: Path | None,
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    out: Path | None,
    limit: int | None,
    seed: int,
    replicates: int,
    as_json: bool,
) -> None:
    """Measure routers beside random, prompt length, every model alone, and the oracle.

    Nothing is called: the outcomes are recorded ones. Every number has a 95% interval.
    """
    opened = _open_routers(routers, artifact)
    found = open_benchmark(benchmark, data, models).limited(limit, seed=seed)
    found = known_as(found, _aliases(aliases))
    report = measure(
        found,
        opened,
        extra=in_domain_rows(found),
        replicates=replicates,
        seed=seed,
        progress=_progress if sys.stderr.isatty() else None,
    )
    click.echo(report.to_json() if as_json else report.to_text(), nl=False)
    for line in write(report, out) if out is not None else ():
        click.echo(line, err=True)


def in_domain_rows(benchmark: Benchmark) -> Sequence[ScoreRow | QualityRow]:  # noqa: ARG001
    """Rows that are fitted on a part of the benchmark; none without options that ask for them."""
    return ()


def _open_routers(names: str, artifact: Path | None) -> dict[str, Router]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if artifact is not None and len(wanted) != 1:
        raise InputError("artifact", str(artifact), "an artifact is of one router; name just that")
    return {name: open_router(name, artifact=artifact) for name in wanted}


def _aliases(given: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for pair in given:
        model, equals, name = pair.partition("=")
        if not (model and equals and name):
            raise InputError("known_as", pair, "give MODEL=NAME, such as gpt-4=gpt-4-0613")
        found[model] = name
    return found


def _progress(router: str, done: int, total: int) -> None:
    click.echo(f"\r{router}: {done:,} of {total:,} prompts", nl=done == total, err=True)
