"""`turnout models`: what the predictor knows, and how a new model gets into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from turnout.cli.pool import parse_price
from turnout.data.lines import parse_lines, text_lines
from turnout.data.outcomes import read_outcomes
from turnout.data.prompts import read_prompts
from turnout.data.table import OutcomeTable
from turnout.errors import DataError, InputError
from turnout.pricing import list_price
from turnout.training import onboarding
from turnout.types import EFFORTS, split_arm

_artifact = click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    help="A folder of the router `universal`; default: the artifact in the package.",
)


@click.group()
def models() -> None:
    """List the models of the predictor, and add one from a few labels."""


@models.command("list")
@_artifact
def list_models(artifact: Path | None) -> None:
    """Models by ability, with the outcomes behind each."""
    router = onboarding.open_base(artifact).router
    space, usual = router.space, router.usual_factors
    ability = space.vectors_ @ usual
    spread = np.sqrt(space.spread_**2 @ usual**2)
    order = np.argsort(-ability, kind="stable")
    width = max(len(name) for name in space.names)
    click.echo(f"{'model':<{width}}  ability  spread  outcomes  rests on")
    for i in order:
        click.echo(
            f"{space.names[i]:<{width}}  {ability[i]:+7.2f}  {spread[i]:6.2f}"
            f"  {space.seen_[i]:8.0f}  {space.basis[i]}"
        )


@models.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Outcomes of other models (better) or prompts, as JSONL.",
)
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The JSONL file to write."
)
@click.option("--model", default="new-model", show_default=True, help="Its name in the file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_artifact
def anchors(
    data: Path, count: int, out: Path, model: str, seed: int, artifact: Path | None
) -> None:
    """Pick the prompts whose labels tell most of a new model, and write them to a file."""
    if out.exists():
        raise InputError("out", str(out), "it exists, and may hold labels; choose another file")
    if _holds_outcomes(data):
        table = read_outcomes(data, least_models=1)
        prompts = list(table.prompts)
        if len(table.models) >= onboarding.LEAST_OTHERS:
            chosen = onboarding.choose_by_outcomes(table, count, seed)
            how = f"by the outcomes of {len(table.models)} models"
        else:
            chosen = onboarding.choose_by_text(prompts, onboarding.open_base(artifact), count)
            how = f"by text: {len(table.models)} models are too few to go by their outcomes"
    else:
        prompts = list(dict.fromkeys(query.text for query in read_prompts(data)))
        chosen = onboarding.choose_by_text(prompts, onboarding.open_base(artifact), count)
        how = "by text"
    rows = [{"prompt": prompts[i], "model": model, "score": None} for i in chosen]
    _write(out, rows)
    click.echo(f"wrote {len(rows)} of {len(prompts)} prompts to {out}, chosen {how}")
    click.echo("fill in each score (0 to 1), then:")
    click.echo(f"  turnout models add {model} --outcomes {out} --out FOLDER")


@models.command()
@click.argument("name")
@click.option("--outcomes", type=click.Path(path_type=Path), help="Its labelled prompts, as JSONL.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The artifact folder to write."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Outcomes of other models on the whole set: the accuracy is then estimated for all of it.",
)
@click.option("--price", metavar="IN,OUT", help="USD per million tokens; default: its list price.")
@click.option("--effort", type=click.Choice(EFFORTS), help="Add this arm of the model.")
@_artifact
def add(
    name: str,
    outcomes: Path | None,
    out: Path,
    data: Path | None,
    price: str | None,
    effort: str | None,
    artifact: Path | None,
) -> None:
    """Add NAME to the predictor from its labelled prompts, or from its price alone."""
    if data is not None and outcomes is None:
        raise InputError("data", str(data), "it says how NAME compares only beside --outcomes")
    base = onboarding.open_base(artifact)
    key = onboarding.key_of(name, effort)
    labelled = None if outcomes is None else _labelled(outcomes, name)
    paid = list_price(split_arm(name)[0]) if price is None else parse_price(price)
    space = onboarding.fit_model(base, key, labelled, paid)
    told = None
    if labelled is not None:
        others = None if data is None else read_outcomes(data)
        told = onboarding.estimate_accuracy(name, labelled, others)
    fingerprint = onboarding.write_added(base, space, key, out)
    at = space.names.index(key)
    ability = float(space.vectors_[at] @ base.router.usual_factors)
    click.echo(f"{key}: {space.basis[at]}, ability {ability:+.2f}")
    if told is not None:
        where = "the labelled prompts" if data is None else f"the prompts of {data.name}"
        click.echo(
            f"  accuracy on {where}: {told.accuracy:.3f} (90%: {told.low:.3f} to {told.high:.3f})"
        )
        if told.labelled < onboarding.ADVISED_LABELS:
            advice = f"{onboarding.ADVISED_LABELS} to 200 are advised"
            click.echo(f"  note: {told.labelled} labels tell little; {advice}")
    click.echo(f"wrote {out} ({fingerprint})")
    click.echo(f"use it: turnout route --router universal --artifact {out} --weak {key} PROMPT")


def _holds_outcomes(path: Path) -> bool:
    """Whether a file's first row is one of outcomes."""
    first = next(text_lines(path), (0, ""))
    if not first[1].lstrip().startswith("{"):
        return False
    for _, row in parse_lines([first], path):
        return "models" in row or ("model" in row and "score" in row)
    return False


def _labelled(path: Path, name: str) -> OutcomeTable:
    """The scores of the model to add: its own column, or the only one."""
    table = read_outcomes(path, least_models=1)
    if name not in table.models and len(table.models) > 1:
        raise DataError("models", list(table.models), f"none of them is {name!r}; give its rows")
    table = table.columns([name if name in table.models else table.models[0]])
    return table.rows(np.isfinite(table.score[:, 0]))


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        out.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError("out", str(out), f"give a file to write: {error.strerror}") from error
