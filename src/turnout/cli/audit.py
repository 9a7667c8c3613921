"""`turnout audit`: what is wrong with outcomes before anything is fitted on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from turnout.data.audit import audit as find
from turnout.data.audit import spread
from turnout.data.battles import VOTES_READ, are_votes
from turnout.data.outcomes import read_outcomes
from turnout.data.seen import SeenPrompts
from turnout.data.table import OutcomeTable


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--dev", type=click.Path(path_type=Path), help="Outcomes that you measure on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--strict", is_flag=True, help="End with 1 where anything is found.")
def audit(data: Path, dev: Path | None, as_json: bool, strict: bool) -> None:
    """Look for duplicates, ties, idle models, holes and leaks in the outcomes or votes DATA."""
    table = read_outcomes(data)
    findings = find(
        table,
        read_outcomes(dev) if dev is not None else None,
        seen=SeenPrompts.load(),
        votes=are_votes(table),
    )
    stated = spread(table)
    if as_json:
        shown = {**stated, "findings": [finding.to_json() for finding in findings]}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        low, median, high, longest = stated["characters"]
        click.echo(
            f"{stated['prompts']} prompts, {len(table.models)} models, {stated['outcomes']} outcomes; "
            f"characters: least {low}, median {median}, 90% {high}, most {longest}"
        )
        click.echo(_scores(table, binary=stated["binary"]))
        languages = ", ".join(f"{code} {count}" for code, count in stated["languages"].items())
        click.echo(f"languages: {languages}")
        for model, mean in stated["mean_score"].items():
            click.echo(f"  {model}: mean score {mean:.3f}")
        for finding in findings:
            click.echo(f"- {finding.kind}: {finding.found}\n    {finding.remedy}")
        if not findings:
            click.echo("nothing found")
    if strict and findings:
        sys.exit(1)


def _scores(table: OutcomeTable, *, binary: bool) -> str:
    if are_votes(table):
        return next(note for note in table.notes if note.endswith(VOTES_READ))
    return "scores are 0 or 1" if binary else "scores are graded"
