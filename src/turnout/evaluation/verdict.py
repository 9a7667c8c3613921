"""Whether routing pays here, in words, and how sure that is.

Read off the paired interval of the lift over what needs no router: the zero router (the best mixes
of single models) where costs are known, the best single model where they are not; for two models a
random mix of them, over calls and over dollars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from turnout.evaluation.intervals import Estimate
from turnout.evaluation.tables import json_estimate

Outcome = Literal["pays", "does not pay", "cannot be told"]

Z_LEVEL = 1.959964
"""Standard normal quantile of a two-sided 95% interval."""
Z_POWER = 0.841621
"""Of 80% power."""
MOST_TIMES = 50
"""Beyond this many times the prompts at hand, a number of further labels is no advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer for one router."""

    router: str
    outcome: Outcome
    axis: Literal["dollars", "calls", "quality"]
    """Over what the lift is averaged; `quality` where one choice a prompt is compared."""
    lift: Estimate
    """Mean quality above what needs no router, paired; in [-1, 1]."""
    more_prompts: int | None
    """Further prompts that would likely decide it; None where it is decided, or none would."""
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "router": self.router,
            "outcome": self.outcome,
            "axis": self.axis,
            "lift": json_estimate(self.lift),
            "more_prompts": self.more_prompts,
            "sentence": self.sentence,
        }


def outcome_of(lift: Estimate) -> Outcome:
    """`pays` where the whole interval is above 0, `does not pay` where none of it is."""
    if lift.low > 0:
        return "pays"
    return "does not pay" if lift.high <= 0 else "cannot be told"


def prompts_needed(lift: Estimate, prompts: int) -> int | None:
    """Prompts at which an effect of this size would be told from 0 in 80% of samples.

    The interval narrows with the square root of the prompts (of their groups, at the same size):
    n ((1.96 + 0.84) s / d)^2 for a lift d with standard error s on n prompts.

    Returns:
        None where the lift is not above 0, has no interval, or is too small to be told.
    """
    error = (lift.high - lift.low) / (2 * Z_LEVEL)
    if not (lift.value > 0 and math.isfinite(error)):
        return None
    times = ((Z_LEVEL + Z_POWER) * error / lift.value) ** 2
    return math.ceil(times * prompts) if times <= MOST_TIMES else None


def more_prompts(lift: Estimate, prompts: int) -> int | None:
    """Further prompts, to two digits; see `prompts_needed`."""
    needed = prompts_needed(lift, prompts)
    if needed is None:
        return None
    more = max(needed - prompts, 1)
    digits: int = 10 ** max(len(str(more)) - 2, 0)
    return -(-more // digits) * digits


def undecided(lift: Estimate, prompts: int, more: int | None, points: str) -> str:
    """Why it cannot be told, and what would help; `points` is the most that the gain can be."""
    if not math.isfinite(lift.low):
        return f"Whether routing pays cannot be told: {prompts:,} prompts give no interval"
    start = f"Whether routing pays cannot be told with {prompts:,} prompts"
    if more is not None:
        return f"{start}; about {more:,} more would likely do, if the gain is as seen"
    if lift.value > 0:
        return f"{start}: the gain is at most {points}, too small for more labels to be worth it"
    return f"{start}: no gain was seen; if there is one, it is at most {points}"


def points(value: float, scale: float, *, signed: bool = False) -> str:
    """A difference in quality in the benchmark's own unit."""
    sign = "+" if signed else ""
    unit = "points" if scale == 100.0 else f"of {scale:g}"
    return f"{value * scale:{sign}.{1 if scale == 100.0 else 2}f} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a verdict on a pool is given."""

    router: str
    prompts: int
    scale: float
    best_single: str
    best_quality: float
    quality: Estimate
    """Of the router's best setting."""
    difference: Estimate | None
    """Quality less that of the best single model; None where they choose alike."""
    lift: Estimate | None = None
    """Net lift over the zero router; None without costs."""
    saves: Estimate | None = None
    """Saving at 95% of the best single model's quality (CostSave@95%)."""
    zero_saves: float = math.nan
    """The same of the best mix of single models."""


def judge_pool(at: Compared) -> Verdict:
    """Of any number of models: by net lift over the zero router, else by quality over the best single."""
    best = f"the best single model is {at.best_single} ({at.best_quality * at.scale:.1f})"
    priced = at.lift is not None
    lift = at.lift if at.lift is not None else (at.difference or Estimate(0.0, 0.0, 0.0))
    outcome, more = outcome_of(lift), None
    than = "the best mix of single models" if priced else f"the best single model, {at.best_single}"
    size = points(abs(lift.value), at.scale)
    where = ", on average over all costs" if priced else ""
    if outcome == "pays":
        sentence = (
            f"Routing pays: {at.router} answers {size} better than {than}{where}; "
            f"with 95% confidence at least {points(lift.low, at.scale)}"
        )
    elif outcome == "does not pay":
        loss = (
            f"{at.router} answers {size} worse than {than}{where}"
            if lift.value < 0
            else f"{at.router} gives nothing above {than}"
        )
        sentence = f"Routing does not pay here: {loss}; {best}"
    else:
        more = more_prompts(lift, at.prompts)
        sentence = undecided(lift, at.prompts, more, points(lift.high, at.scale))
        ends = f", 95% from {lift.low * at.scale:+.1f} to {lift.high * at.scale:+.1f}"
        sentence += (
            f" ({at.router}: {points(lift.value, at.scale, signed=True)}"
            f"{ends if math.isfinite(lift.low) else ''}, against {than}{where}); {best}"
        )
    return Verdict(
        router=at.router,
        outcome=outcome,
        axis="dollars" if priced else "quality",
        lift=lift,
        more_prompts=more,
        sentence=f"{sentence}.{_saving(at, outcome)}{_at_best(at) if priced else ''}",
    )


def _saving(at: Compared, outcome: Outcome) -> str:
    save = at.saves
    if outcome != "pays" or save is None or not save.value > 0:
        return ""
    at_least = f" (at least {save.low:.0%})" if save.low > 0 else ""
    mix = "" if math.isnan(at.zero_saves) else f"; the best mix of models saves {at.zero_saves:.0%}"
    return (
        f" Where 95% of the quality of {at.best_single} is enough, it saves {save.value:.0%} of "
        f"the cost{at_least}{mix}."
    )


def _at_best(at: Compared) -> str:
    """How its best setting does against the best single model, where they differ."""
    gap = at.difference
    if gap is None:
        return ""
    ends = ""
    if math.isfinite(gap.low):
        ends = f" (95% from {gap.low * at.scale:+.1f} to {gap.high * at.scale:+.1f})"
    side = "better" if gap.value > 0 else "worse"
    size = points(abs(gap.value), at.scale)
    return f" At its best setting it answers {size} {side} than {at.best_single}{ends}."


def judge_pair(
    router: str,
    recovered: Estimate,
    *,
    axis: Literal["dollars", "calls"],
    gap: float,
    prompts: int,
    scale: float,
    strong: str,
    quality_strong: float,
) -> Verdict:
    """Of two models, by the part of the gap recovered less the half that a random mix recovers.

    Args:
        router: its name.
        recovered: APGR over all cut points, over calls or over the extra dollars.
        axis: which of the two.
        gap: quality of the strong model less that of the weak one.
        prompts: measured on.
        scale: of the printed quality.
        strong: the strong model's name.
        quality_strong: its mean quality.
    """
    lift = Estimate(*((v - 0.5) * gap for v in (recovered.value, recovered.low, recovered.high)))
    if not gap > 0:
        said = (
            f"By {axis}, routing does not pay here: {strong} is no better than the cheaper model."
        )
        none = Estimate(0.0, 0.0, 0.0)
        return Verdict(
            router=router,
            outcome="does not pay",
            axis=axis,
            lift=none,
            more_prompts=None,
            sentence=said,
        )
    outcome, more = outcome_of(lift), None
    over = f"all shares of {'calls' if axis == 'calls' else 'the extra dollars'}"
    seen = (
        f"{router} recovers {recovered.value:.1%} of the quality gap on average over {over}, where "
        "a random mix recovers 50%"
    )
    if outcome == "pays":
        said = (
            f"By {axis}, routing pays: {seen}; with 95% confidence at least {recovered.low:.1%} "
            f"({points(lift.low, scale, signed=True)} of quality)"
        )
    elif outcome == "does not pay":
        said = (
            f"By {axis}, routing does not pay here: {seen}; with 95% confidence at most "
            f"{recovered.high:.1%}. The best single model is {strong} ({quality_strong * scale:.1f})"
        )
    else:
        more = more_prompts(lift, prompts)
        told = undecided(lift, prompts, more, points(lift.high, scale))
        ends = f"; 95% from {recovered.low:.1%} to {recovered.high:.1%}"
        said = (
            f"By {axis}: {told[0].lower()}{told[1:]} ({seen}"
            f"{ends if math.isfinite(recovered.low) else ''})"
        )
    return Verdict(
        router=router,
        outcome=outcome,
        axis=axis,
        lift=lift,
        more_prompts=more,
        sentence=f"{said}.",
    )
