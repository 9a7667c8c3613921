"""`turnout reconcile`: the ledger beside a provider's bill export."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from turnout.cli.stores import open_store_of, store_options
from turnout.store.bills import Amount, Bill, BillReader, parse_columns
from turnout.store.database import migrate
from turnout.store.reconciling import Reconciled, booked
from turnout.store.reconciling import reconcile as compare
from turnout.store.records import SCHEMA
from turnout.types import PICO


@click.command()
@click.argument("bills", nargs=-1, required=True, type=click.Path(path_type=Path))
@store_options
@click.option(
    "--provider", help="Of the records, only those that this provider of the settings served."
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Where day, model, input, cache_read, cache_write, output or cost is; repeat it.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Share of the bill that may be unexplained, or booked beyond it.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def reconcile(
    bills: tuple[Path, ...],
    config: Path | None,
    store: str | None,
    provider: str | None,
    columns: tuple[str, ...],
    tolerance: float,
    as_json: bool,
) -> None:
    """Compare the ledger with BILLS, exports of what a provider charged, by day and model.

    CSV, or JSON as OpenAI's and Anthropic's usage and cost endpoints give it. Exit code 1 says that they
    differ by more than the tolerance.
    """
    reader = BillReader(parse_columns(columns))
    bill: Bill = {}
    for path in bills:
        for key, amount in reader.read(path).items():
            bill.setdefault(key, Amount()).add(amount)
    days = sorted(day for day, _ in bill)
    database = open_store_of(config, store)
    try:
        migrate(database, SCHEMA)
        found = compare(booked(database, days[0], days[-1], provider), bill)
    finally:
        database.close()
    kinds = [
        kind for kind, there in (("tokens", reader.has_tokens), ("usd", reader.has_cost)) if there
    ]
    far = [k for k in kinds if _beyond(found, k == "tokens", tolerance)]
    if as_json:
        click.echo(json.dumps(_machine(found, kinds, agrees=not far)))
    else:
        _words(found, kinds)
        click.echo("they agree" if not far else f"they DIFFER in {' and '.join(far)}")
    sys.exit(1 if far else 0)


def _beyond(found: Reconciled, tokens: bool, tolerance: float) -> bool:
    left = 1.0 - found.share(tokens=tokens)
    return max(left, found.excess(tokens=tokens)) > tolerance + 1e-12


def _words(found: Reconciled, kinds: list[str]) -> None:
    if "tokens" in kinds:
        click.echo(
            f"{'day':10}  {'model':28} {'booked tokens':>15} {'billed':>15} {'difference':>12}"
        )
        for line in found.lines:
            ours, theirs = (a.input_tokens + a.output_tokens for a in (line.booked, line.billed))
            click.echo(f"{line.day}  {line.model:28} {ours:15d} {theirs:15d} {ours - theirs:+12d}")
    if "usd" in kinds:
        click.echo(f"{'day':10}  {'model':28} {'booked USD':>15} {'billed':>15} {'difference':>12}")
        for line in found.lines:
            ours, theirs = line.booked.cost_picousd, line.billed.cost_picousd
            shown = f"{ours / PICO:15.6f} {theirs / PICO:15.6f} {(ours - theirs) / PICO:+12.6f}"
            click.echo(f"{line.day}  {line.model:28} {shown}")
    for kind in kinds:
        tokens = kind == "tokens"
        click.echo(
            f"{found.share(tokens=tokens):.2%} of the bill's {kind} are in the ledger, "
            f"which has {found.excess(tokens=tokens):.2%} beyond it"
        )


def _machine(found: Reconciled, kinds: list[str], *, agrees: bool) -> dict[str, object]:
    return {
        "agrees": agrees,
        "lines": [asdict(line) for line in found.lines],
        "explained": {kind: found.share(tokens=kind == "tokens") for kind in kinds},
        "beyond": {kind: found.excess(tokens=kind == "tokens") for kind in kinds},
    }
