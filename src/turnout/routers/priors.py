"""What is expected of a model without outcomes: from its price, and from its other arms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from turnout.errors import DataError
from turnout.routers.arrays import Array
from turnout.routers.space import ModelSpace
from turnout.types import EFFORTS, Floats, Price, split_arm

LEAST_PRICED = 8
"""Fewer models with prices do not make a line."""
USUAL_EFFORT = "medium"
"""What upstreams do where no effort is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePrior:
    """Ability as a line in the log of the price; what a price does not tell is its spread."""

    intercept: float
    slope: float
    spread: float
    """Standard deviation around the line, in units of ability."""
    lowest: float
    highest: float
    """Logs of the blended prices that it was fitted on; beyond them it stays level."""
    models: int

    @classmethod
    def fit(cls, prices: Sequence[Price], ability: Array) -> Self:
        """Least squares over models with a price above 0.

        Args:
            prices: of p models.
            ability: (p,) mean logit of their quality: vectors times the mean factors.

        Raises:
            DataError: fewer than `LEAST_PRICED` models with a price above 0, or all of one price.
        """
        logs = [log_price(price) for price in prices]
        x = np.array([v for v in logs if v is not None], dtype=np.float64)
        y = np.array(
            [a for v, a in zip(logs, np.asarray(ability), strict=True) if v is not None],
            dtype=np.float64,
        )
        if len(x) < LEAST_PRICED or float(np.ptp(x)) == 0.0:
            raise DataError(
                "prices", len(x), f"give {LEAST_PRICED} models of different prices above 0"
            )
        slope, intercept = np.polyfit(x, y, 1)
        off = y - intercept - slope * x
        return cls(
            intercept=float(intercept),
            slope=float(slope),
            spread=float(np.sqrt((off**2).sum() / (len(x) - 2))),
            lowest=float(x.min()),
            highest=float(x.max()),
            models=len(x),
        )

    def vector(
        self, price: Price, mean: Array, cov: Array, direction: Array
    ) -> tuple[Floats, Floats] | None:
        """(K,) mean and (K, K) covariance of a model of this price; None where it costs nothing.

        The ability follows the line, all else what the prior says of it given the ability.

        Args:
            price: the model's.
            mean: (K,) of the prior.
            cov: (K, K) of the prior.
            direction: (K,) mean factors: a vector times these is its ability.
        """
        x = log_price(price)
        if x is None:
            return None
        x = min(max(x, self.lowest), self.highest)
        with_ability = np.asarray(cov, dtype=np.float64) @ direction
        wide = float(with_ability @ direction)
        along = with_ability / wide
        moved = mean + along * (self.intercept + self.slope * x - float(mean @ direction))
        left = cov + np.outer(along, along) * (self.spread**2 - wide)
        return moved.astype(np.float32), left.astype(np.float32)

    def to_dict(self) -> dict[str, float]:
        """JSON-ready form, for the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> Self:
        """The prior that `to_dict` wrote.

        Raises:
            TypeError: a key is missing or unknown.
        """
        return cls(**stated)


def log_price(price: Price) -> float | None:
    """Log of USD per million tokens, three of input for one of output; None for a free model."""
    blended = (3 * price.input_picousd + price.output_picousd) / 4e6
    return math.log(blended) if blended > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What is expected of an arm without outcomes of its own."""

    mean: Floats
    """(K,)"""
    spread: Floats
    """(K,) standard deviations."""
    tokens: float
    """Log offset of its output tokens; NaN is unknown."""
    basis: str


def arm_prior(space: ModelSpace, name: str) -> Arm | None:
    """An unknown arm of a known model: that model's vector, moved by what effort did to others.

    A model in the space without an effort in its name counts as one of medium effort. An arm of
    the model itself serves as base where that is all there is.

    Args:
        space: with the arms of the data as `model@effort`.
        name: normalised key of the arm; without an effort it is the usual one.

    Returns:
        None where no arm of the model is known.
    """
    model, effort = split_arm(name)
    wanted = EFFORTS.index(effort or USUAL_EFFORT)
    known = [i for i, other in enumerate(space.names) if split_arm(other)[0] == model]
    if not known:
        return None
    base = min(known, key=lambda i: (abs(wanted - _level(space.names[i])), i))
    steps = wanted - _level(space.names[base])
    step, spread, tokens, models = effort_step(space)
    told = f"{models} models with arms" if models else "no model with arms, so unmoved"
    return Arm(
        mean=(space.vectors_[base] + steps * step).astype(np.float32),
        spread=np.sqrt(space.spread_[base] ** 2 + steps**2 * spread**2).astype(np.float32),
        tokens=float(space.tokens_[base] + steps * tokens),
        basis=f"prior: {space.names[base]}, moved to effort {EFFORTS[wanted]} as by {told}",
    )


def effort_step(space: ModelSpace) -> tuple[Floats, Floats, float, int]:
    """What one step of effort does.

    Returns:
        (K,) mean change of the vector, (K,) its spread from model to model (that of the prior where
        fewer than two models tell), the change of the log of output tokens, and how many models
        tell.
    """
    by_model: dict[str, list[int]] = {}
    for i, name in enumerate(space.names):
        by_model.setdefault(split_arm(name)[0], []).append(i)
    slopes, lengths = [], []
    for arms in by_model.values():
        level = np.array([_level(space.names[i]) for i in arms], dtype=np.float64)
        if float(np.ptp(level)) == 0.0:
            continue
        off = level - level.mean()
        weight = off / (off @ off)
        slopes.append(weight @ space.vectors_[arms])
        lengths.append(float(weight @ space.tokens_[arms]))
    count = len(slopes)
    wide = space.prior_spread
    step = np.mean(slopes, axis=0) if count else np.zeros_like(wide)
    spread = np.std(slopes, axis=0, ddof=1) if count > 1 else wide
    heard = [length for length in lengths if math.isfinite(length)]
    return (
        np.asarray(step, dtype=np.float32),
        np.asarray(spread, dtype=np.float32),
        float(np.mean(heard)) if heard else 0.0,
        count,
    )


def _level(name: str) -> int:
    return EFFORTS.index(split_arm(name)[1] or USUAL_EFFORT)
