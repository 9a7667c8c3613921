"""`turnout calibrate`: set the knob from prompts, to a share of strong calls or to a budget."""

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
from turnout.cli.pool import engine_from_options, pool_options, router_options
from turnout.data.prompts import read_prompts
from turnout.engine import Engine
from turnout.errors import InputError, UnknownNameError
from turnout.names import RouteSpec
from turnout.types import PICO, Pool, Query


@click.command()
@click.option(
    "--prompts",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Prompts of your traffic: one a line, or JSONL with `prompt` or `messages`; - is stdin.",
)
@click.option(
    "--strong-share", type=float, help="Share of calls for the strong model, such as 0.3."
)
@click.option("--budget-usd", type=float, help="Most USD a request on average, such as 0.002.")
@router_options
@pool_options
@click.option(
    "--batch",
    type=click.IntRange(min=1, max=100_000),
    default=1000,
    show_default=True,
    help="Forecast the strong calls of this many next requests.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def calibrate(
    prompts: Path,
    strong_share: float | None,
    budget_usd: float | None,
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
    """Set the knob from your own prompts, and say what it will do on the next ones.

    Prints the route to use as a model name. No label, no key and no call is needed.
    """
    if (strong_share is None) == (budget_usd is None):
        raise InputError("strong_share", strong_share, "give --strong-share or --budget-usd")
    queries = read_prompts(prompts)
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
    found = calibrate_engine(
        engine, router, queries, strong_share=strong_share, budget_usd=budget_usd, batch=batch
    )
    click.echo(json.dumps(found.to_dict()) if as_json else _text(found, engine.pool))


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
