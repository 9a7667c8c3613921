"""`turnout calibrate`: set the knob to a target, or certify that it keeps a promise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from turnout.calibration import (
    Calibration,
    PriceCalibration,
    calibrate_price,
    calibrate_saving,
    calibrate_share,
)
from turnout.calibration.promises import KINDS, Promise
from turnout.certifying import EXPIRES_DAYS, FALSE_ALARM
from turnout.cli import certificates
from turnout.cli.pool import engine_from_options, pool_options, router_options
from turnout.data.prompts import read_prompts
from turnout.engine import Engine
from turnout.errors import InputError, NotCertifiedError, UnknownNameError
from turnout.names import RouteSpec
from turnout.types import PICO, Pool, Query


@click.command()
@click.option("--floor", type=float, help="Keep this part of the strong model's quality: 0.95.")
@click.option("--max-loss", type=float, help="Lose at most this much mean quality: 0.02.")
@click.option(
    "--budget-usd", "--budget", type=float, help="Most USD a request on average, such as 0.002."
)
@click.option(
    "--strong-share", type=float, help="Share of calls for the strong model, such as 0.3."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Outcomes of prompts that the router was not fitted on (JSONL): makes a certificate.",
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Prompts of your traffic: one a line, or JSONL with `prompt` or `messages`; - is stdin.",
)
@click.option(
    "--confidence",
    type=float,
    help="That the promise holds [0.95 with --data]; with --prompts: make a certificate.",
)
@click.option(
    "--risk",
    type=click.Choice(("all", "routed")),
    default="all",
    show_default=True,
    help="Quality over all traffic, or over what the strong model does not serve.",
)
@click.option(
    "--most-usd", type=float, help="The most that one request can cost; for --budget-usd."
)
@click.option("--expires-days", type=float, default=EXPIRES_DAYS, show_default=True)
@click.option(
    "--false-alarm",
    type=float,
    default=FALSE_ALARM,
    show_default=True,
    help="Chance that unchanged traffic ever revokes the certificate.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the certificate here; default: into the folder of your own --artifact.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@router_options
@pool_options
@click.option(
    "--batch",
    type=click.IntRange(min=1, max=100_000),
    default=1000,
    show_default=True,
    help="Without a certificate: forecast the strong calls of this many next requests.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def calibrate(
    floor: float | None,
    max_loss: float | None,
    budget_usd: float | None,
    strong_share: float | None,
    data: Path | None,
    prompts: Path | None,
    confidence: float | None,
    risk: str,
    most_usd: float | None,
    expires_days: float,
    false_alarm: float,
    out: Path | None,
    seed: int,
    router: str,
    artifact: Path | None,
    strong: str,
    weak: str,
    models: tuple[str, ...],
    prices: tuple[str, ...],
    config: Path | None,
    batch: int,
    as_json: bool,
) -> None:
    """Set the knob, and print the model name to ask for.

    With --data (or --confidence) the result is a certificate: the operating point of lowest cost
    that keeps the promise, with a stated confidence. With --prompts alone the knob is set to a
    share or a budget, with intervals and without a promise. No key and no call is needed.
    """
    target = _target(
        {"floor": floor, "max_loss": max_loss, "budget_usd": budget_usd,
         "strong_share": strong_share}
    )  # fmt: skip
    if (data is None) == (prompts is None):
        raise InputError("data", str(data), "give --data (outcomes) or --prompts, one of them")
    engine = engine_from_options(
        router=router,
        artifact=artifact,
        strong=strong,
        weak=weak,
        models=models,
        prices=prices,
        config=config,
        # A coin without a seed would give every run another threshold.
        router_options={"seed": 0} if router == "random" else None,
    )
    if data is not None or confidence is not None or target[0] in ("floor", "max_loss"):
        promise = Promise(kind=target[0], value=target[1], risk=risk)  # type: ignore[arg-type]
        request = certificates.Request(
            promise=promise,
            data=data,
            prompts=prompts,
            router=router,
            confidence=confidence,
            expires_days=expires_days,
            false_alarm=false_alarm,
            most_usd=most_usd,
            seed=seed,
            out=out,
        )
        _certify(request, engine, _own_artifact(router, artifact, config), as_json=as_json)
        return
    _refuse_out(out)
    queries = read_prompts(prompts or Path("-"))
    found = calibrate_engine(
        engine, router, queries, strong_share=strong_share, budget_usd=budget_usd, batch=batch
    )
    click.echo(json.dumps(found.to_dict()) if as_json else _text(found, engine.pool))


def _target(given: dict[str, float | None]) -> tuple[str, float]:
    """The one target among the options."""
    found = [(name, value) for name, value in given.items() if value is not None]
    if len(found) != 1:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in KINDS)
        raise InputError("target", [name for name, _ in found], f"give one of {options}")
    return found[0]


def _certify(
    request: certificates.Request, engine: Engine, artifact: Path | None, *, as_json: bool
) -> None:
    try:
        found, stored = certificates.make(request, engine, artifact)
    except NotCertifiedError as error:
        if as_json:
            click.echo(json.dumps({"certified": False, "reason": str(error)}))
        raise
    if as_json:
        click.echo(json.dumps({"certified": True, **found.to_dict()}))
    else:
        click.echo(found.to_text())
    click.echo(stored, err=True)


def _own_artifact(router: str, artifact: Path | None, config: Path | None) -> Path | None:
    """The user's own artifact of a router, by an option or in the configuration."""
    if config is None:
        return artifact
    from turnout.settings import load_settings

    return load_settings(config).routers[router].artifact


def _refuse_out(out: Path | None) -> None:
    if out is not None:
        remedy = "a certificate needs --data, or --confidence beside --prompts"
        raise InputError("out", str(out), remedy)


def calibrate_engine(
    engine: Engine,
    router: str,
    queries: Sequence[Query],
    *,
    strong_share: float | None = None,
    budget_usd: float | None = None,
    batch: int = 1000,
) -> Calibration | PriceCalibration:
    """Set the knob of one of an engine's routers to a share of strong calls or to a budget.

    Raises:
        InputError: a share with more than two candidates, an unknown price, too few prompts, a
            budget that nothing meets.
        UnknownNameError: no such router, or it does not know a candidate.
    """
    if router not in engine.routers:
        raise UnknownNameError("router", router, engine.routers)
    candidates, opened = engine.pool.candidates, engine.routers[router]
    if len(candidates) != 2 and strong_share is not None:
        names = [c.name for c in candidates]
        raise InputError("strong_share", names, "a share is between two models; give --budget-usd")
    opened.check(candidates)
    prediction = opened.predict(queries, candidates)
    cost_picousd = engine.cost_picousd(router, queries, candidates, prediction)
    cost_usd = cost_picousd / PICO
    if budget_usd is not None:
        _refuse_unpriced(engine.pool, cost_usd)
    if len(candidates) == 2:
        rate = prediction.win_rate(candidates[0].name, candidates[-1].name)
        if budget_usd is None:
            return calibrate_share(rate, strong_share or 0.0, router=router, batch=batch)
        return calibrate_price(
            rate, cost_usd[:, 0], cost_usd[:, 1], budget_usd, router=router, batch=batch
        )

    def cost_at(threshold: float) -> NDArray[np.float64]:
        policy = engine.policy(RouteSpec(router, threshold), candidates)
        index = policy.choose(prediction, candidates, cost_picousd).index
        return np.asarray(cost_usd[np.arange(len(index)), index])

    return calibrate_saving(cost_at, budget_usd or 0.0, router=router)


def _refuse_unpriced(pool: Pool, cost_usd: NDArray[np.float64]) -> None:
    unpriced = np.isnan(cost_usd).any(axis=0)
    if unpriced.any():
        name = pool.names[int(unpriced.argmax())]
        raise InputError(
            "price",
            name,
            "no list price is known for this model; give --price MODEL=IN,OUT, or its price in a --config",
        )


def _text(found: Calibration | PriceCalibration, pool: Pool) -> str:
    strong = found if isinstance(found, Calibration) else found.strong
    lines = [found.route]
    if isinstance(found, PriceCalibration):
        low, high = found.interval_usd
        lines += [
            f"  expected price {found.mean_usd:.6f} USD a request on {found.prompts:,} prompts "
            f"(budget {found.budget_usd:g})",
            f"  long run       {low:.6f} to {high:.6f} USD "
            "(95%, if outputs are as long as expected)",
        ]
    if strong is not None:
        low, high = strong.long_run
        first, last = strong.next_batch
        lines += [
            f"  strong calls   {strong.share:.1%} of {strong.prompts:,} prompts "
            f"go to {pool.candidates[0].name}",
            f"  long run       {low:.1%} to {high:.1%} (95%, on traffic like these prompts)",
            f"  next {strong.batch:,}".ljust(17) + f"{first:,} to {last:,} strong calls (95%)",
        ]
    notes = [*found.notes, *(strong.notes if strong is not None and strong is not found else ())]
    return "\n".join([*lines, *(f"  note           {note}" for note in notes)])
