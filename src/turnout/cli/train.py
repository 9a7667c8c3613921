"""`turnout train`: fit a router on the user's outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from turnout.data.outcomes import read_outcomes
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.errors import InputError
from turnout.training import trainers


@click.command()
@click.argument("router")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Outcomes as JSONL; see docs/reference/outcomes-format.md.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The artifact folder to write."
)
@click.option("--encoder", default=DEFAULT, show_default=True, help="Or hashing-1024.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of this router's training; repeat it.",
)
def train(
    router: str, data: Path, out: Path, encoder: str, seed: int, options: Sequence[str]
) -> None:
    """Fit ROUTER on your own outcomes (blend, clusters, knn, linear, mf, or a plug-in's)."""
    given = dict(_option(text) for text in options)
    table = read_outcomes(data)
    fitted = trainers.train(
        router,
        table,
        encoder=encoder,
        seed=seed,
        source=data.name,
        progress=lambda text: click.echo(f"  {text}", err=True),
        options=given,
    )
    fingerprint = fitted.write(out)
    measured = fitted.manifest["measured"]
    click.echo(f"{router} fitted on {len(table.prompts)} prompts and {len(table.models)} models")
    click.echo(
        f"  out of fold: Brier {measured['brier_out_of_fold']:.4f}, "
        f"skill over each model's mean {measured['brier_skill']:+.1%}"
    )
    for note in fitted.manifest["notes"]:
        click.echo(f"  note: {note}")
    click.echo(f"wrote {out} ({fingerprint})")
    click.echo(
        f"use it: turnout route --router {router} --artifact {out} {_models(_strongest_first(table))}"
    )


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError("option", text, "give NAME=VALUE")
    return name, value


def _strongest_first(table: OutcomeTable) -> list[str]:
    """Models by mean score: the order in which a pool names its candidates."""
    order = np.argsort(-np.nanmean(table.score, axis=0), kind="stable")
    return [table.models[j] for j in order]


def _models(models: Sequence[str]) -> str:
    if len(models) == 2:
        return f"--strong {models[0]} --weak {models[1]} PROMPT"
    return " ".join(f"--model {name}" for name in models) + " PROMPT"
