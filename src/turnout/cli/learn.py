"""`turnout learn`: fold new outcomes into a router that learns."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from turnout.data.outcomes import read_outcomes
from turnout.data.table import OutcomeTable
from turnout.training.learning import learn as fold_in
from turnout.types import Outcome


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="New outcomes as JSONL, oldest first; see docs/reference/outcomes-format.md.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The artifact folder to write."
)
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    help="Of the router itself, or of any that `turnout train` fits; default: the shipped blend.",
)
@click.option("--router", default="knn_live", show_default=True, help="Or bandit.")
def learn(data: Path, out: Path, artifact: Path | None, router: str) -> None:
    """Let a router learn from new outcomes, without fitting again."""
    found = cells(read_outcomes(data))
    made = fold_in(router, found, artifact=artifact)
    fingerprint = made.write(out)
    live = made.manifest["live"]
    click.echo(f"{router} learned {len(found)} outcomes of {len(live['models'])} models")
    click.echo(f"  {live['outcomes']} are held, over {made.manifest['base']}")
    click.echo(f"wrote {out} ({fingerprint})")


def cells(table: OutcomeTable) -> list[Outcome]:
    """The outcomes of a table, prompt by prompt."""
    return [
        Outcome(prompt=table.prompts[i], model=table.models[j], score=float(table.score[i, j]))
        for i, j in np.argwhere(np.isfinite(table.score))
    ]
