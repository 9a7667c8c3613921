"""From an average price per request to a knob."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.curve import (
    LEAST_PROMPTS,
    LEVEL,
    Calibration,
    Cut,
    WinRates,
    cuts,
    describe,
)
from turnout.errors import InputError
from turnout.names import RouteSpec, format_route

REPLICATES = 1000
_CHUNK = 50
SAVINGS = tuple(i / 100 for i in range(101))
"""Knobs tried for more than two models."""

Costs = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCalibration:
    """A knob set to a budget, and what a request will cost on average."""

    route: str
    threshold: float
    prompts: int
    budget_usd: float
    mean_usd: float
    """Mean expected cost on the calibration prompts."""
    interval_usd: tuple[float, float]
    """95% interval of the long-run mean (percentile bootstrap over prompts). It covers which
    prompts come, not an error in the expected output length."""
    strong: Calibration | None = None
    """With two models: the share of strong calls."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        found: dict[str, Any] = {
            "route": self.route,
            "threshold": self.threshold,
            "prompts": self.prompts,
            "budget_usd": self.budget_usd,
            "mean_cost_usd": self.mean_usd,
            "long_run_mean_cost_usd": {
                "low": self.interval_usd[0],
                "high": self.interval_usd[1],
            },
            "level": LEVEL,
            "notes": list(self.notes),
        }
        if self.strong is not None:
            found = {**self.strong.to_dict(), **found}
        return found


def calibrate_price(
    win_rate: WinRates,
    cost_strong_usd: Costs,
    cost_weak_usd: Costs,
    budget_usd: float,
    *,
    router: str,
    batch: int = 1000,
    seed: int = 0,
) -> PriceCalibration:
    """Two models: the threshold with the most strong calls whose mean expected cost fits.

    Args:
        win_rate: (n,) win rates of the strong model on calibration prompts, n >= 30.
        cost_strong_usd: (n,) expected cost of the strong call.
        cost_weak_usd: (n,) expected cost of the weak call.
        budget_usd: most to spend on a request, on average.
        router: name for the route.
        batch: size of the next batch to make a forecast for.
        seed: of the bootstrap.

    Raises:
        InputError: the budget is below what the cheapest cut costs; see also `cuts`.
    """
    _check_costs(budget_usd, cost_strong_usd, cost_weak_usd)
    possible = cuts(win_rate)
    order = np.argsort(-win_rate, kind="stable")
    extra = np.concatenate([[0.0], np.cumsum((cost_strong_usd - cost_weak_usd)[order])])
    mean = {cut: float(cost_weak_usd.mean() + extra[cut.strong] / len(order)) for cut in possible}
    within = [cut for cut in possible if mean[cut] <= budget_usd * (1 + 1e-12)]
    if not within:
        raise _too_little(budget_usd, min(mean.values()))
    cut = within[-1]
    cost = np.where(_reaches(win_rate, cut), cost_strong_usd, cost_weak_usd)
    strong = describe(cut, len(win_rate), router=router, batch=batch)
    return PriceCalibration(
        route=strong.route,
        threshold=cut.threshold,
        prompts=len(win_rate),
        budget_usd=budget_usd,
        mean_usd=float(cost.mean()),
        interval_usd=bootstrap_mean(cost, seed=seed),
        strong=strong,
        notes=_slack(cut.threshold == 0.0, budget_usd, float(cost.mean())),
    )


def calibrate_saving(
    cost_at: Callable[[float], Costs], budget_usd: float, *, router: str, seed: int = 0
) -> PriceCalibration:
    """N models: the least saving, in steps of 0.01, whose mean expected cost fits the budget.

    Args:
        cost_at: (n,) expected cost of the chosen calls at a knob from 0 (best) to 1 (cheapest).
        budget_usd: most to spend on a request, on average.
        router: name for the route.
        seed: of the bootstrap.

    Raises:
        InputError: fewer than 30 prompts, an unknown price, or no knob fits the budget.
    """
    dearer: list[float] = []
    for saving in SAVINGS:
        cost = cost_at(saving)
        if len(cost) < LEAST_PROMPTS:
            raise InputError("prompts", len(cost), f"give at least {LEAST_PROMPTS}")
        _check_costs(budget_usd, cost)
        mean = float(cost.mean())
        if mean <= budget_usd * (1 + 1e-12):
            return PriceCalibration(
                route=format_route(RouteSpec(router, saving)),
                threshold=saving,
                prompts=len(cost),
                budget_usd=budget_usd,
                mean_usd=mean,
                interval_usd=bootstrap_mean(cost, seed=seed),
                notes=(*_slack(saving == 0.0, budget_usd, mean), *_step(budget_usd, mean, dearer)),
            )
        dearer.append(mean)
    raise _too_little(budget_usd, min(dearer))


def bootstrap_mean(values: Costs, *, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of a mean over 1,000 resamplings of the values."""
    rng = np.random.default_rng(seed)
    n = len(values)
    means = [
        values[rng.integers(n, size=(min(_CHUNK, REPLICATES - start), n))].mean(axis=1)
        for start in range(0, REPLICATES, _CHUNK)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _reaches(win_rate: WinRates, cut: Cut) -> NDArray[np.bool_]:
    """Strong calls, by the policy's own comparison."""
    return np.asarray(win_rate >= cut.threshold)


def _check_costs(budget_usd: float, *costs: Costs) -> None:
    if not 0 < budget_usd < float("inf"):
        raise InputError("budget_usd", budget_usd, "give USD a request above 0, such as 0.002")
    if not all(np.isfinite(cost).all() for cost in costs):
        raise InputError("price", None, "a budget needs the price of every candidate; give them")


def _too_little(budget_usd: float, least: float) -> InputError:
    return InputError(
        "budget_usd",
        budget_usd,
        f"the cheapest way costs {least:.6f} USD a request on these prompts; give at least that",
    )


def _slack(best: bool, budget_usd: float, mean_usd: float) -> tuple[str, ...]:
    if best and mean_usd < budget_usd:
        return ("the budget is not used up: even the best quality costs less",)
    return ()


def _step(budget_usd: float, mean_usd: float, dearer: list[float]) -> tuple[str, ...]:
    """Says so where the operating points leave much of the budget unused."""
    if dearer and mean_usd < 0.8 * budget_usd:
        return (f"the next better operating point costs {min(dearer):.6f} USD a request",)
    return ()
