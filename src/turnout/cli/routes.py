"""`turnout routes`: fit and import files of routes for the router `semantic`."""

from __future__ import annotations

from pathlib import Path

import click

from turnout.encoders.opening import DEFAULT, open_encoder
from turnout.errors import InputError
from turnout.routers.routes import RouteFile, read_routes

_OUT = click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The YAML file to write."
)


@click.group()
def routes() -> None:
    """Work on files of routes, which the router `semantic` reads."""


@routes.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="JSONL with `prompt` and `route` (or none): fits matching and thresholds.",
)
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path),
    help="Outcomes as JSONL: fits the score of each model by route.",
)
@click.option("--encoder", help="Default: the file's, else static-256.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_OUT
def fit(
    file: Path, data: Path | None, outcomes: Path | None, encoder: str | None, seed: int, out: Path
) -> None:
    """Fit FILE on labelled prompts, on outcomes, or on both."""
    from turnout.data.outcomes import read_outcomes
    from turnout.routers.route_head import save_head
    from turnout.routers.semantic import LOGISTIC, fitted_weights
    from turnout.training.route_fit import fit_scores, fit_thresholds, read_labelled

    if data is None and outcomes is None:
        raise InputError("data", None, "give --data, --outcomes or both")
    found = read_routes(file)
    opened = open_encoder(encoder or found.encoder or DEFAULT)
    if data is not None:
        prompts, labels = read_labelled(data, found)
        fitted = fit_thresholds(found, opened, prompts, labels, seed=seed)
        found = fitted.file
        ways = ", ".join(f"{name} {share:.3f}" for name, share in fitted.accuracy.items())
        click.echo(f"{fitted.prompts} labelled prompts; in-scope accuracy by way: {ways}")
        click.echo(
            f"  with thresholds, out of fold: {fitted.in_scope:.3f} of the prompts of a route get "
            f"it, {fitted.none_recall:.3f} of the others get none"
        )
    if outcomes is not None:
        table = read_outcomes(outcomes)
        found = fit_scores(found, opened, table)
        click.echo(f"scores of {len(table.models)} models from {len(table.prompts)} prompts")
    _write(found, out)
    if found.matching == LOGISTIC:
        kept = save_head(out, found, opened, fitted_weights(found, opened))
        click.echo(f"wrote {kept}: the fitted head; keep it beside {out.name} to open it faster")


@routes.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--win-rate",
    type=click.FloatRange(0.0, 1.0),
    default=0.5,
    show_default=True,
    help="What every route gets, to be edited: such a file names no models.",
)
@_OUT
def import_(file: Path, win_rate: float, out: Path) -> None:
    """Import the routes of a semantic-router FILE (JSON or YAML)."""
    from turnout.training.route_import import import_routes

    found = import_routes(file, win_rate=win_rate)
    for note in found.notes:
        click.echo(f"  note: {note}")
    _write(found.file, out)


def _write(found: RouteFile, out: Path) -> None:
    try:
        out.write_text(found.to_yaml(), encoding="utf-8")
    except OSError as error:
        raise InputError("out", str(out), f"cannot be written: {error.strerror}") from error
    click.echo(f"wrote {out}: {len(found.routes)} routes")
    click.echo(f"use it: turnout route --router semantic --option file={out} PROMPT")
