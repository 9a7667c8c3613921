"""`turnout train`: fit a router on the user's outcomes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from turnout.cli.progress import progress
from turnout.data.outcomes import read_outcomes
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.errors import InputError
from turnout.training import trainers
from turnout.training.above_length import sentence
from turnout.training.fit import Fitted, data_fingerprint
from turnout.training.resume import clear, resume_folder


@click.command()
@click.argument("router")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Outcomes as JSONL, CSV or Parquet; see docs/reference/outcomes-format.md.",
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
@click.option("--fresh", is_flag=True, help="Do not continue a run that was killed.")
@click.option("--quiet", "-q", is_flag=True, help="Tell no progress.")
def train(
    router: str,
    data: Path,
    out: Path,
    encoder: str,
    seed: int,
    options: Sequence[str],
    fresh: bool,
    quiet: bool,
) -> None:
    """Fit ROUTER on your own outcomes (blend, clusters, knn, linear, mf, or a plug-in's).

    A run that was killed is continued by the same command from what OUT.resume holds.
    """
    given = dict(_option(text) for text in options)
    table = read_outcomes(data)
    if fresh:
        clear(out)
    stated = {"router": router, "encoder": encoder, "seed": seed, "options": given}
    fingerprints = {"data": data_fingerprint(table), "groups": table.groups.tolist()}
    checkpoint = resume_folder(out, stated | fingerprints)
    with progress(_steps(router), quiet=quiet) as tell:
        fitted = trainers.train(
            router,
            table,
            encoder=encoder,
            seed=seed,
            source=data.name,
            progress=tell,
            options=given,
            checkpoint=checkpoint,
        )
    fitted = _with_command(fitted, data, encoder, seed, given)
    fingerprint = fitted.write(out)
    clear(out)
    _tell(fitted, table, router)
    click.echo(f"wrote {out} ({fingerprint})")
    click.echo(
        f"use it: turnout route --router {router} --artifact {out} {_models(_strongest_first(table))}"
    )


def _tell(fitted: Fitted, table: OutcomeTable, router: str) -> None:
    measured = fitted.manifest["measured"]
    click.echo(f"{router} fitted on {len(table.prompts)} prompts and {len(table.models)} models")
    if "brier_out_of_fold" in measured and "brier_skill" in measured:
        click.echo(
            f"  out of fold: Brier {measured['brier_out_of_fold']:.4f}, "
            f"skill over each model's mean {measured['brier_skill']:+.1%}"
        )
    if "above_length" in measured:
        click.echo(f"  {sentence(measured['above_length'])}")
    for note in fitted.manifest["notes"]:
        click.echo(f"  note: {note}")


def _steps(router: str) -> int | None:
    return trainers.steps(router) if router in trainers.names() else None


def _with_command(
    fitted: Fitted, data: Path, encoder: str, seed: int, options: Mapping[str, str]
) -> Fitted:
    """The same with the command that fits it again, in manifest and card."""
    words = ["turnout", "train", fitted.name, "--data", data.name]
    words += ["--encoder", encoder, "--seed", str(seed)]
    words += [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    recipe = fitted.manifest.get("recipe", {})
    command = shlex.join(words)
    stated = recipe.get("command")
    card = fitted.card.replace(f"`{stated}`", f"`{command}`", 1) if stated else fitted.card
    return replace(
        fitted, manifest={**fitted.manifest, "recipe": {**recipe, "command": command}}, card=card
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
