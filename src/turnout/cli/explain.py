"""`turnout explain`: why a recorded request went where it went, and the same decision computed again."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from turnout.cli.stores import open_records, store_options
from turnout.errors import DataError, InputError, UnknownNameError
from turnout.explaining import kept_decision
from turnout.names import RouteSpec
from turnout.recomputing import Recomputed, recompute
from turnout.store.record import FLAGS, Record
from turnout.types import PICO, Query
from turnout.wire import chat, messages, responses
from turnout.wire.body import read_body
from turnout.wire.dialects import Dialect

_QUERIES = {
    "chat": chat.read_query,
    "responses": responses.read_query,
    "messages": messages.read_query,
}
_ASIDE = frozenset(
    "id elapsed_us notes excluded propensity route asked code reason attempts model".split()
)
"""Fields that a decision made anew may have otherwise."""


@click.command()
@click.argument("decision_id", metavar="ID")
@store_options
@click.option(
    "--request",
    "request_file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The request's body, which is not kept: decide it again, with the routers of --config.",
)
@click.option(
    "--dialect",
    type=click.Choice(get_args(Dialect)),
    default="chat",
    show_default=True,
    help="The API that the request was for.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def explain(
    decision_id: str,
    config: Path | None,
    store: str | None,
    request_file: Path | None,
    dialect: Dialect,
    as_json: bool,
) -> None:
    """Say why a request was served as it was, by its x-turnout-decision-id.

    The choice is computed again from the record and compared, bit for bit; exit code 1 where it
    differs. With --request the prediction is made again, too.
    """
    if request_file is not None and config is None:
        raise InputError(
            "request", str(request_file), "give --config, whose routers are to decide it"
        )
    table = open_records(config, store)
    record = table.get(decision_id)
    table.close()
    if record is None:
        raise UnknownNameError(
            "record", decision_id, [], " Records wait a second before they are there."
        )
    kept = json.loads(record.decision) if record.decision else None
    again, why_not = _again(kept)
    predicted = None
    if request_file is not None and kept is not None and config is not None:
        predicted = _decided_anew(kept, request_file, dialect, config)
    if as_json:
        click.echo(json.dumps(_machine(record, kept, again, why_not, predicted)))
    else:
        _words(record, kept, again, why_not, predicted)
    same = (again is None or not again.differs) and not predicted
    sys.exit(0 if same else 1)


def _again(kept: Mapping[str, Any] | None) -> tuple[Recomputed | None, str]:
    if kept is None:
        return None, "the record has no decision"
    try:
        return recompute(kept), ""
    except DataError as error:
        return None, str(error)


def _decided_anew(
    kept: Mapping[str, Any], file: Path, dialect: Dialect, config: Path
) -> dict[str, tuple[Any, Any]]:
    """Field → recorded and new, where the routers of today's settings say something else."""
    from turnout.gateway.setup.building import build_engine
    from turnout.settings import load_settings

    try:
        with click.open_file(str(file), "rb") as opened:
            query: Query = _QUERIES[dialect](read_body(opened.read()).fields)
    except OSError as error:
        raise InputError("request", str(file), f"give a readable file: {error.strerror}") from None
    engine = build_engine(load_settings(config))
    query = replace(query, input_tokens=kept["input_tokens"] or 0)
    worth = kept.get("grounds", {}).get("policy", {}).get("usd_per_quality")
    allow = [name for name in engine.pool.names if name not in kept["excluded"]]
    if kept["router"] == "none":
        made = engine.by_name(query, kept["model"])
    else:
        spec = RouteSpec(kept["router"], kept["threshold"] or 0.0, worth)
        made = engine.decide(query, spec, allow=allow, explore=False)
    new = json.loads(json.dumps(kept_decision(made)))
    chose = kept.get("grounds", {}).get("policy")
    fields = {*kept, *new} - _ASIDE - {"grounds"}
    if chose is None:
        fields -= {"policy"}
    return {k: (kept.get(k), new.get(k)) for k in sorted(fields) if kept.get(k) != new.get(k)}


def _machine(
    record: Record,
    kept: Mapping[str, Any] | None,
    again: Recomputed | None,
    why_not: str,
    predicted: Mapping[str, Any] | None,
) -> dict[str, Any]:
    row = {
        name: getattr(record, name) for name in record.__dataclass_fields__ if name != "decision"
    }
    return {
        "record": row,
        "decision": kept,
        "recomputed": None if again is None else again.decision,
        "identical": None if again is None else not again.differs,
        "differs": {} if again is None else again.differs,
        "why_not": why_not,
        "prediction_differs": predicted,
    }


def _words(
    record: Record,
    kept: Mapping[str, Any] | None,
    again: Recomputed | None,
    why_not: str,
    predicted: Mapping[str, Any] | None,
) -> None:
    click.echo(f"{record.id}: {record.candidate} was asked, for `{record.model}`; {record.status}")
    if kept is not None:
        click.echo(f"  why: {kept['reason']} ({kept['code']})")
        for name, quality in kept["quality"].items():
            click.echo(f"  {name}: expected quality {quality:.4f}, {_usd(kept, name)}")
        for name, why in kept["excluded"].items():
            click.echo(f"  {name}: out, {why}")
        for note in kept.get("notes", ()):
            click.echo(f"  note: {note}")
        if kept["propensity"] is not None:
            click.echo(f"  chosen with a chance of {kept['propensity']:.4g}")
    click.echo(f"  {_cost(record)}")
    for flag in record.flags.split():
        click.echo(f"  {flag}: {FLAGS.get(flag, 'no longer known')}")
    if again is None:
        click.echo(f"  not computed again: {why_not}")
    elif again.differs:
        click.echo("  computed again, it DIFFERS:")
        _differences(again.differs)
    else:
        said = f"; then {again.later}" if again.later else ""
        click.echo(f"  computed again from the record: the same, bit for bit{said}")
    if predicted is not None:
        click.echo(
            "  predicted again from the request: "
            + ("it DIFFERS:" if predicted else "the same, bit for bit")
        )
        _differences(predicted)


def _differences(differs: Mapping[str, Any]) -> None:
    for name, (was, now) in differs.items():
        click.echo(f"    {name}: recorded {was!r}, now {now!r}")


def _usd(kept: Mapping[str, Any], name: str) -> str:
    usd = kept["expected_cost_usd"].get(name)
    return "its price is not known" if usd is None else f"expected to cost {usd:.9f} USD"


def _cost(record: Record) -> str:
    tokens = record.input_tokens + record.cache_read_tokens + record.cache_write_tokens
    used = f"{tokens} tokens in, {record.output_tokens} out"
    if record.cost_picousd is None:
        return f"{used}; what it cost is not known"
    return f"{used}; it cost {record.cost_picousd / PICO:.12f} USD (by {record.cost_basis})"
