"""`turnout route`: a decision for each prompt, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from turnout.cli.pool import (
    engine_from_options,
    option_option,
    pool_options,
    read_options,
    router_options,
)
from turnout.data.prompts import read_prompts
from turnout.engine import Engine
from turnout.errors import InputError
from turnout.knobs import KnowsShares
from turnout.names import RouteSpec, format_route
from turnout.types import Decision, Query
from turnout.wire.chat import query_of_prompt


@click.command()
@click.argument("prompts", nargs=-1)
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Prompts, one a line or JSONL with `prompt` or `messages`; - reads standard input.",
)
@click.option("--threshold", type=float, help="The knob itself, from 0 (best) to 1 (cheapest).")
@click.option(
    "--strong-share",
    type=float,
    help="Set the knob to this share of strong calls on the router's reference prompts "
    "[that of the last certificate, or else 0.5].",
)
@router_options
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    help="A file by `turnout calibrate --out`; those in the artifact's folder are found without.",
)
@option_option
@pool_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")
def route(
    prompts: tuple[str, ...],
    file: Path | None,
    threshold: float | None,
    strong_share: float | None,
    router: str,
    artifact: Path | None,
    certificate: Path | None,
    options: tuple[str, ...],
    strong: str,
    weak: str,
    models: tuple[str, ...],
    prices: tuple[str, ...],
    config: Path | None,
    as_json: bool,
) -> None:
    """Decide for PROMPTS, and say why. No key, no network."""
    queries = _queries(prompts, file)
    engine = engine_from_options(
        router=router,
        artifact=artifact,
        strong=strong,
        weak=weak,
        models=models,
        prices=prices,
        config=config,
        router_options=_options(options, config),
        certificate=certificate,
    )
    engine.check()
    spec = _spec(router, threshold, strong_share, engine)
    decisions = engine.decide_many(queries, spec)
    for query, decision in zip(queries, decisions, strict=True):
        if as_json:
            found = {"prompt": query.text, **decision.to_dict()}
            text = json.dumps(found, ensure_ascii=False)
        else:
            text = _explain(query, decision)
        # A lone surrogate, which UTF-8 cannot hold, is written as the escape that JSON has for it.
        click.echo(text.encode("utf-8", "backslashreplace"))


def _options(given: Sequence[str], config: Path | None) -> dict[str, Any]:
    """The options of the router."""
    if given and config is not None:
        raise InputError("option", given[0], "with --config, options stand there")
    return read_options(given)


def _queries(prompts: Sequence[str], file: Path | None) -> list[Query]:
    if prompts and file is not None:
        raise InputError("file", str(file), "give prompts or a file, not both")
    if not prompts and file is None and sys.stdin.isatty():
        raise InputError("prompts", (), 'give a prompt, such as: turnout route "What is 2+2?"')
    if prompts:
        empty = [p for p in prompts if not p.strip()]
        if empty:
            raise InputError("prompt", empty[0], "give a text to route")
        return [query_of_prompt(p) for p in prompts]
    return read_prompts(file or Path("-"))


def _spec(router: str, threshold: float | None, share: float | None, engine: Engine) -> RouteSpec:
    """The knob that the options mean.

    Without any the one that is certified, else about half of the calls to the strong model.
    """
    if threshold is not None and share is not None:
        raise InputError("strong_share", share, "give --threshold or --strong-share, not both")
    for field, value in (("threshold", threshold), ("strong_share", share)):
        if value is not None and not 0.0 <= value <= 1.0:
            raise InputError(field, value, "give a number from 0 to 1")
    if threshold is not None:
        return RouteSpec(router, threshold)
    if share is None:
        return engine.certified_route(router) or engine.route_for_share(router, 0.5)
    if len(engine.pool.candidates) != 2:
        raise InputError("strong_share", share, "with three or more models give --threshold")
    if not isinstance(engine.routers[router], KnowsShares):
        raise InputError(
            "strong_share",
            share,
            f"router {router} has no reference prompts; set the knob from yours with "
            "`turnout calibrate`, or give --threshold",
        )
    return engine.route_for_share(router, share)


def _explain(query: Query, decision: Decision) -> str:
    shown = " ".join(query.text.split())
    shown = shown if len(shown) <= 72 else f"{shown[:71]}…"
    route_name = format_route(RouteSpec(decision.router, decision.threshold or 0.0))
    lines = [f"{decision.model}  ←  {shown}", f"  why      {decision.reason}"]
    if decision.quality:
        spread = {name: f" ± {s:.3f}" for name, s in decision.spread.items()}
        qualities = ", ".join(
            f"{name} {q:.3f}{spread.get(name, '')}" for name, q in decision.quality.items()
        )
        lines.append(f"  quality  {qualities}")
    costs = ", ".join(
        f"{name} {'unknown' if usd is None else f'{usd:.6f} USD'}"
        for name, usd in decision.expected_cost_usd.items()
    )
    lines.append(f"  cost     {costs}")
    lines.extend(f"  rests on {name}: {basis}" for name, basis in decision.basis.items())
    if decision.certificate is not None:
        lines.append(f"  under    certificate {decision.certificate}")
    lines.extend(f"  out      {name}: {why}" for name, why in decision.excluded.items())
    lines.extend(f"  note     {note}" for note in decision.notes)
    lines.append(f"  as       model={route_name!r} · {decision.elapsed_us / 1000:.2f} ms")
    return "\n".join(lines)
