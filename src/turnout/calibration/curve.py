"""From the win rates of calibration prompts to a threshold, and what it will do on new traffic.

Let k of n calibration scores reach a threshold t. Whatever the distribution of the scores, and
although t was chosen by looking at them, the long-run share that reaches t lies between a
Beta(k, n + 1 - k) and a Beta(k + 1, n - k) variable (order statistics of uniforms). The interval
given here takes the lower end of the first and the upper end of the second; it needs only that new
prompts come from the same traffic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.bounds import clopper_pearson, next_count
from turnout.errors import InputError
from turnout.names import RouteSpec, format_route

LEAST_PROMPTS = 30
"""Below this the interval is too wide to call anything calibrated."""
DECIMALS = 10
"""What a route name keeps of a threshold (`names.format_route`)."""
LEVEL = 0.95

WinRates = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold that k of n calibration scores reach."""

    threshold: float
    strong: int
    """k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A set knob: the route to ask for, and what it will do."""

    route: str
    """`router-NAME-T`: reading it back gives the same decisions on the calibration prompts."""
    threshold: float
    prompts: int
    strong: int
    """Calibration prompts that call the strong model."""
    long_run: tuple[float, float]
    """95% interval of the share of strong calls on new traffic of the same kind."""
    batch: int
    next_batch: tuple[int, int]
    """95% interval of strong calls among the next `batch` requests."""
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of strong calls on the calibration prompts."""
        return self.strong / self.prompts

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "route": self.route,
            "threshold": self.threshold,
            "prompts": self.prompts,
            "strong_share": self.share,
            "long_run_strong_share": {"low": self.long_run[0], "high": self.long_run[1]},
            "next_batch": {
                "requests": self.batch,
                "strong_low": self.next_batch[0],
                "strong_high": self.next_batch[1],
            },
            "level": LEVEL,
            "notes": list(self.notes),
        }


def cuts(win_rate: WinRates) -> list[Cut]:
    """Every threshold that tells calibration prompts apart, fewest strong calls first.

    Between two neighbouring scores the shortest decimal is taken, nearest their middle. Scores that
    tie, or that no decimal of 10 digits separates, stay together.

    Args:
        win_rate: (n,) in [0, 1]; its own precision decides, as it does when a request is routed.

    Raises:
        InputError: fewer than 30 prompts, a win rate outside [0, 1], or all the same.
    """
    _check(win_rate)
    values, counts = np.unique(win_rate, return_counts=True)
    reach = np.cumsum(counts[::-1])[::-1]
    found = []
    top = separate(values[-1], None, win_rate.dtype)
    if top is not None:
        found.append(Cut(top, 0))
    for j in range(len(values) - 1, 0, -1):
        threshold = separate(values[j - 1], values[j], win_rate.dtype)
        if threshold is not None:
            found.append(Cut(threshold, int(reach[j])))
    return [*found, Cut(0.0, len(win_rate))]


def cut_for_share(win_rate: WinRates, share: float) -> tuple[Cut, tuple[str, ...]]:
    """The cut whose share of strong calls is as close to `share` as can be, and not above.

    Returns:
        The cut, and notes where ties keep it more than 1% of the prompts below.

    Raises:
        InputError: `share` is not in [0, 1]; scores of 1 alone are above it; see also `cuts`.
    """
    if not 0.0 <= share <= 1.0:
        raise InputError("strong_share", share, "give a number from 0 to 1, such as 0.3")
    n, possible = len(win_rate), cuts(win_rate)
    within = [cut for cut in possible if cut.strong <= share * n + 1e-9]
    if not within:
        least = possible[0].strong / n
        remedy = f"prompts with a win rate of 1 are {least:.1%} already; ask for at least that"
        raise InputError("strong_share", share, remedy)
    chosen = within[-1]
    if share * n - chosen.strong <= max(1.0, 0.01 * n):
        return chosen, ()
    above = possible[len(within)].strong
    note = (
        f"{above - chosen.strong} prompts have the same win rate and move together: "
        f"{chosen.strong / n:.1%} or {above / n:.1%} strong calls can be had, nothing between"
    )
    return chosen, (note,)


def calibrate_share(
    win_rate: WinRates, share: float, *, router: str, batch: int = 1000
) -> Calibration:
    """Set the knob to a share of strong calls.

    Args:
        win_rate: (n,) win rates of the strong model on calibration prompts, n >= 30.
        share: in [0, 1]; the share got is as close as possible, and not above.
        router: name for the route.
        batch: size of the next batch to make a forecast for.

    Raises:
        InputError: see `cut_for_share`.
    """
    cut, notes = cut_for_share(win_rate, share)
    return describe(cut, len(win_rate), router=router, batch=batch, notes=notes)


def describe(
    cut: Cut, n: int, *, router: str, batch: int = 1000, notes: Sequence[str] = ()
) -> Calibration:
    """What a cut will do: the route's name and the intervals."""
    return Calibration(
        route=format_route(RouteSpec(router, cut.threshold)),
        threshold=cut.threshold,
        prompts=n,
        strong=cut.strong,
        long_run=clopper_pearson(cut.strong, n, level=LEVEL),
        batch=batch,
        next_batch=next_count(cut.strong, n, batch, level=LEVEL),
        notes=tuple(notes),
    )


def separate(below: np.floating, above: np.floating | None, dtype: np.dtype[Any]) -> float | None:
    """The shortest decimal t with below < t <= above, or None. `above` None is 1, and may be t.

    Args:
        below: what t must be above.
        above: what t may reach.
        dtype: the precision in which t is compared.
    """
    low, high = float(below), 1.0 if above is None else float(above)
    for digits in range(DECIMALS + 1):
        # The decimal nearest the middle: if any of this length is in the interval, this one is.
        number = float(f"{(low + high) / 2:.{digits}f}")
        # A policy compares in the precision of the scores, so the threshold is rounded to it here.
        seen = float(dtype.type(number))
        if low < seen <= high and 0.0 <= number <= 1.0:
            return number
    return None


def _check(win_rate: WinRates) -> None:
    n = len(win_rate)
    if n < LEAST_PROMPTS:
        raise InputError(
            "prompts", n, f"give at least {LEAST_PROMPTS}; some hundreds give a useful interval"
        )
    good = np.isfinite(win_rate) & (win_rate >= 0) & (win_rate <= 1)
    if not good.all():
        raise InputError("win_rate", float(win_rate[~good][0]), "win rates are from 0 to 1")
    if win_rate.min() == win_rate.max():
        raise InputError(
            "win_rate",
            float(win_rate[0]),
            "the router gives every prompt the same win rate, so no threshold can part them; "
            "give more varied prompts or another router",
        )
