"""`turnout routerarena`: a submission from a query list, its check, and its score."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from turnout.cli.pool import engine_from_options, pool_options, router_options
from turnout.data.files import read_json
from turnout.data.outcomes import read_outcomes
from turnout.data.table import OutcomeTable
from turnout.engine import Engine
from turnout.errors import DataError, InputError
from turnout.evaluation.benchmarks import routerarena as layouts
from turnout.evaluation.intervals import REPLICATES, Estimate
from turnout.evaluation.routerarena import (
    ArenaEntry,
    ArenaQuery,
    optimality_entries,
    read_entries,
    read_queries,
    require_valid,
    write_json,
)
from turnout.evaluation.routerarena import config as submission_config
from turnout.evaluation.routerarena_score import ArenaScore, graded, score
from turnout.names import RouteSpec, format_route
from turnout.wire.chat import query_of_prompt

BATCH = 512


@click.group()
def routerarena() -> None:
    """Write, check and score a submission to RouterArena.

    RouterArena forbids to fit or to tune anything on its prompts; nothing here does.
    """


@routerarena.command()
@click.argument("queries", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--name", default="turnout", show_default=True, help="Of the router.")
@click.option(
    "--robustness",
    type=click.Path(path_type=Path),
    help="Perturbed queries (router_robustness.json): decided too, into NAME-robustness.json.",
)
@click.option(
    "--optimality",
    type=click.Path(path_type=Path),
    help="The 10% part (router_data_10.json): entries of the pool's other models are added.",
)
@click.option(
    "--threshold", type=float, help="The knob [about half of the calls to the strongest]."
)
@router_options
@pool_options
def predict(
    queries: Path,
    out: Path,
    name: str,
    robustness: Path | None,
    optimality: Path | None,
    threshold: float | None,
    router: str,
    artifact: Path | None,
    strong: str,
    weak: str,
    models: tuple[str, ...],
    prices: tuple[str, ...],
    config: Path | None,
) -> None:
    """Decide for QUERIES, and write a submission: config/NAME.json and predictions/NAME.json.

    QUERIES is RouterArena's dataset/router_data.json. Models are named as candidates are. No model
    is called: RouterArena's own pipeline does, and grades.
    """
    engine = engine_from_options(
        router=router,
        artifact=artifact,
        strong=strong,
        weak=weak,
        models=models,
        prices=prices,
        config=config,
    )
    engine.check()
    if not name.strip() or Path(name).name != name:
        raise InputError("name", name, "give a name that a file can have")
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise InputError("threshold", threshold, "give a number from 0 to 1")
    spec = (
        engine.route_for_share(router, 0.5) if threshold is None else RouteSpec(router, threshold)
    )
    asked = read_queries(queries)
    entries = _decided(engine, spec, asked)
    regular = len(entries)
    if optimality is not None:
        part = [query.index for query in read_queries(optimality)]
        entries += optimality_entries(entries, part, engine.pool.names)
    require_valid(entries, asked, engine.pool.names, name=name)
    _write(out, name, entries, engine.pool.names)
    if robustness is not None:
        perturbed = _decided(engine, spec, read_queries(robustness))
        target = out / "predictions" / f"{name}-robustness.json"
        write_json(target, [entry.to_dict() for entry in perturbed])
    click.echo(f"{regular:,} queries decided by {format_route(spec)}; wrote {out}")
    for model, count in Counter(e.model for e in entries[:regular]).most_common():
        click.echo(f"  {model}: {count / regular:.1%}")
    if engine.fallbacks:
        click.echo(
            f"  the router failed on {engine.fallbacks:,}: {engine.pool.default} serves them"
        )


@routerarena.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--queries",
    required=True,
    type=click.Path(path_type=Path),
    help="The query list that it answers (router_data.json).",
)
@click.option(
    "--models", help="The pool, with commas between; default: that of config/NAME.json beside it."
)
def check(predictions: Path, queries: Path, models: str | None) -> None:
    """Check PREDICTIONS: every query once, its own prompt, a model of the pool."""
    names = _pool(predictions, models)
    entries = read_entries(predictions)
    require_valid(entries, read_queries(queries), names, name=predictions.name)
    extra = sum(entry.for_optimality for entry in entries)
    click.echo(
        f"{predictions.name} is valid: {len(entries) - extra:,} queries, {extra:,} for optimality"
    )


@routerarena.command("score")
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path),
    help="RouterArena's cached_results folder, or an outcomes file: grades and costs from there.",
)
@click.option(
    "--robustness",
    type=click.Path(path_type=Path),
    help="The entries for the perturbed queries (NAME-robustness.json).",
)
@click.option("--replicates", type=click.IntRange(min=20), default=REPLICATES, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def score_command(
    predictions: Path,
    outcomes: Path | None,
    robustness: Path | None,
    replicates: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score graded PREDICTIONS: S, accuracy, cost, robustness."""
    entries = read_entries(predictions)
    if outcomes is not None:
        entries = graded(entries, _table(outcomes))
    perturbed = read_entries(robustness) if robustness is not None else []
    found = score(entries, perturbed, replicates=replicates, seed=seed)
    click.echo(json.dumps(asdict(found), indent=1) if as_json else _text(found, predictions.name))


def _decided(engine: Engine, spec: RouteSpec, queries: Sequence[ArenaQuery]) -> list[ArenaEntry]:
    found = []
    for start in range(0, len(queries), BATCH):
        some = queries[start : start + BATCH]
        decisions = engine.decide_many([query_of_prompt(q.prompt) for q in some], spec)
        found += [
            ArenaEntry(index=query.index, prompt=query.prompt, model=decision.model)
            for query, decision in zip(some, decisions, strict=True)
        ]
    return found


def _write(out: Path, name: str, entries: Sequence[ArenaEntry], models: Sequence[str]) -> None:
    write_json(out / "config" / f"{name}.json", submission_config(name, models))
    write_json(out / "predictions" / f"{name}.json", [entry.to_dict() for entry in entries])


def _pool(predictions: Path, models: str | None) -> list[str]:
    if models is not None:
        return [name.strip() for name in models.split(",") if name.strip()]
    file = predictions.parent.parent / "config" / predictions.name
    if not file.is_file():
        raise InputError("models", None, f"there is no {file}; name the pool with --models")
    stated = read_json(file)
    try:
        return [str(name) for name in stated["pipeline_params"]["models"]]
    except (KeyError, TypeError):
        raise DataError("file", str(file), "it has no pipeline_params.models") from None


def _table(path: Path) -> OutcomeTable:
    if path.is_dir():
        return layouts.read_table(path, least_models=1)
    return read_outcomes(path, least_models=1)


def _text(found: ArenaScore, name: str) -> str:
    lines = [
        f"{name}: {found.queries:,} queries",
        f"  S          {_interval(found.score, 100, 2)}",
        f"  accuracy   {_interval(found.accuracy, 100, 2)} %",
        f"  cost       {_interval(found.usd_per_1000, 1, 4)} USD per 1,000 queries",
    ]
    if found.robustness is not None:
        said = f"{found.robustness:.2%} of {found.robustness_pairs:,} perturbed queries keep their model"
        lines.append(f"  robustness {said}")
    if found.optimal_selection is not None:
        said = (
            f"{found.optimal_selection:.2%} of full answers are by the cheapest model that has one"
        )
        lines.append(f"  optimality {said}")
        if found.optimal_cost is not None:
            lines.append(f"             which would cost {found.optimal_cost:.2%} of what was paid")
    if found.ungraded:
        lines.append(f"  note       {found.ungraded:,} entries have no accuracy: left out of it")
    return "\n".join(lines)


def _interval(value: Estimate, scale: float, digits: int) -> str:
    low, high = value.low * scale, value.high * scale
    return f"{value.value * scale:.{digits}f} [{low:.{digits}f} {high:.{digits}f}]"
