"""What experiments, shadow routes and mirrors have shown, from records and feedback.

Intervals are 95%, by a bootstrap over users (experiments: all requests of a user are drawn together) or
over requests (shadow routes and mirrors).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.intervals import Estimate, Resampler, percentile_interval
from turnout.store.record import Record
from turnout.types import PICO

NOTHING = Estimate(float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What one arm of an experiment gave. Differences are from the first arm."""

    name: str
    users: int
    requests: int
    failed: int
    graded: int
    """Requests with feedback."""
    quality: Estimate = NOTHING
    """Mean score of the graded ones."""
    cost_usd: Estimate = NOTHING
    """Mean of a request, where it is known."""
    quality_change: Estimate = NOTHING
    cost_change_usd: Estimate = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What a shadow route would have done."""

    route: str
    requests: int
    elsewhere: int
    """Requests that it would have sent to another candidate than the one that served."""
    cost_usd: float
    """What was paid, in all, where both costs are known."""
    saving: Estimate
    """Share of it that the route would have saved: each cost times the ratio of expected costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """How a mirrored candidate compares on the same requests."""

    candidate: str
    calls: int
    failed: int
    cost_usd: float
    """Of all calls."""
    cost_ratio: Estimate
    """Its cost over that of what served, on requests where both are known."""
    median_ms: float
    """Until its answer was whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """All of it."""

    experiments: Mapping[str, Sequence[Arm]]
    shadows: Sequence[Shadow]
    mirrors: Sequence[Mirrored]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; what is not known is null."""
        return {
            "experiments": {n: [_plain(a) for a in arms] for n, arms in self.experiments.items()},
            "shadows": [_plain(s) for s in self.shadows],
            "mirrors": [_plain(m) for m in self.mirrors],
        }


def verdict(first: Arm, other: Arm) -> str:
    """What an arm has shown against the first one, in words."""
    change = other.quality_change
    if math.isnan(change.low):
        return f"{other.name}: too little feedback to compare with {first.name}"
    if change.low > 0:
        said = f"better than {first.name}"
    elif change.high < 0:
        said = f"worse than {first.name}"
    else:
        said = f"no difference to {first.name} shown"
    cost = other.cost_change_usd
    money = ""
    if not math.isnan(cost.low) and (cost.low > 0 or cost.high < 0):
        money = (
            f", {'dearer' if cost.low > 0 else 'cheaper'} by {abs(cost.value):.6f} USD a request"
        )
    interval = f"{change.value:+.3f} [{change.low:+.3f} {change.high:+.3f}]"
    return f"{other.name}: {said} in quality ({interval}){money}"


def read_trials(
    records: Iterable[Record],
    scores: Mapping[str, float],
    arms: Mapping[str, Sequence[str]] | None = None,
) -> Trials:
    """Go through records once.

    Args:
        records: in any order.
        scores: decision → score in [0, 1].
        arms: experiment → its arms, the one that others are compared with first; by name where
            nothing is said.
    """
    experiments: dict[str, list[tuple[str, str, Record, float]]] = {}
    shadows: dict[str, list[tuple[bool, float, float]]] = {}
    mirrors: dict[str, list[Record]] = {}
    costs: dict[str, int] = {}
    for record in records:
        if record.kind == "mirror":
            mirrors.setdefault(record.candidate, []).append(record)
            continue
        if record.kind == "hedge":
            continue
        if record.cost_picousd is not None:
            costs[record.id] = record.cost_picousd
        if '"experiment":{"' in record.decision or '"shadow":{"' in record.decision:
            said = json.loads(record.decision)
            if given := said.get("experiment"):
                row = (given["arm"], given["user"], record, scores.get(record.id, math.nan))
                experiments.setdefault(given["name"], []).append(row)
            if given := said.get("shadow"):
                shadows.setdefault(given["route"], []).append(_shadowed(given, record))
    return Trials(
        experiments={
            name: _arms(rows, (arms or {}).get(name, ()))
            for name, rows in sorted(experiments.items())
        },
        shadows=[_shadow(name, rows) for name, rows in sorted(shadows.items())],
        mirrors=[_mirrored(name, rows, costs) for name, rows in sorted(mirrors.items())],
    )


def _arms(rows: Sequence[tuple[str, str, Record, float]], order: Sequence[str]) -> list[Arm]:
    seen = {row[0] for row in rows}
    names = [n for n in order if n in seen] + sorted(seen.difference(order))
    arm = np.asarray([names.index(row[0]) for row in rows])
    _, user = np.unique([row[1] for row in rows], return_inverse=True)
    failed = np.asarray([row[2].status == "failed" for row in rows])
    score = np.asarray([row[3] for row in rows])
    cost = np.asarray([_usd(row[2]) for row in rows])
    draws = {
        "quality": _means_by_arm(score, arm, user, len(names)),
        "cost": _means_by_arm(cost, arm, user, len(names)),
    }
    found = []
    for j, name in enumerate(names):
        mine = arm == j
        quality, money = draws["quality"][:, j], draws["cost"][:, j]
        against = {
            "quality_change": _estimate(quality - draws["quality"][:, 0]),
            "cost_change_usd": _estimate(money - draws["cost"][:, 0]),
        }
        found.append(
            Arm(
                name=name,
                users=len(np.unique(user[mine])),
                requests=int(mine.sum()),
                failed=int(failed[mine].sum()),
                graded=int(np.isfinite(score[mine]).sum()),
                quality=_estimate(quality),
                cost_usd=_estimate(money),
                **(against if j else {}),
            )
        )
    return found


def _means_by_arm(
    values: NDArray[np.float64], arm: NDArray[np.intp], user: NDArray[np.intp], m: int
) -> NDArray[np.float64]:
    """(1 + replicates, m) means of each arm's known values, the plain ones first; NaN without any."""
    known = np.isfinite(values)
    member = (arm[:, None] == np.arange(m)) & known[:, None]
    sums = member * np.where(known, values, 0.0)[:, None]
    weights = [np.ones((1, len(values))), *Resampler(user).weights()]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.concatenate([(w @ sums) / (w @ member.astype(np.float64)) for w in weights])


def _estimate(draws: NDArray[np.float64]) -> Estimate:
    """Of (1 + replicates,) draws. Draws that are all alike are of one user, and say nothing of others."""
    if not np.isfinite(draws[0]):
        return NOTHING
    found = percentile_interval(float(draws[0]), draws[1:])
    return Estimate(found.value) if np.ptp(draws[np.isfinite(draws)]) == 0.0 else found


def _shadowed(given: Mapping[str, Any], record: Record) -> tuple[bool, float, float]:
    """Whether it would have gone elsewhere, what was paid, what would have been."""
    chosen, expected = given.get("model"), given.get("expected_cost_usd") or {}
    served, paid = record.candidate, _usd(record)
    if chosen is None or chosen == served:
        return False, paid, paid
    before, after = expected.get(served), expected.get(chosen)
    if not before or after is None:
        return True, math.nan, math.nan
    return True, paid, paid * after / before


def _shadow(route: str, rows: Sequence[tuple[bool, float, float]]) -> Shadow:
    paid, would = (np.asarray([row[i] for row in rows], dtype=np.float64) for i in (1, 2))
    known = np.isfinite(paid) & np.isfinite(would)
    paid, would = paid[known], would[known]
    saving = NOTHING
    if paid.sum() > 0:
        means = Resampler(np.arange(len(paid))).means(np.stack([paid, would], axis=1))
        draws = 1.0 - means[:, 1] / means[:, 0]
        saving = _estimate(np.concatenate([[1.0 - would.sum() / paid.sum()], draws]))
    return Shadow(
        route=route,
        requests=len(rows),
        elsewhere=sum(row[0] for row in rows),
        cost_usd=float(paid.sum()),
        saving=saving,
    )


def _mirrored(candidate: str, rows: Sequence[Record], costs: Mapping[str, int]) -> Mirrored:
    pairs = [
        (costs[r.of] / PICO, r.cost_picousd / PICO)
        for r in rows
        if r.cost_picousd is not None and costs.get(r.of)
    ]
    ratio = NOTHING
    if pairs:
        means = Resampler(np.arange(len(pairs))).means(np.asarray(pairs))
        plain = sum(p[1] for p in pairs) / sum(p[0] for p in pairs)
        ratio = _estimate(np.concatenate([[plain], means[:, 1] / means[:, 0]]))
    done = [r.duration_ms for r in rows if r.status == "ok"]
    return Mirrored(
        candidate=candidate,
        calls=len(rows),
        failed=sum(r.status != "ok" for r in rows),
        cost_usd=sum(r.cost_picousd or 0 for r in rows) / PICO,
        cost_ratio=ratio,
        median_ms=float(np.median(done)) if done else math.nan,
    )


def _usd(record: Record) -> float:
    return math.nan if record.cost_picousd is None else record.cost_picousd / PICO


def _plain(row: Any) -> dict[str, Any]:
    return {name: _value(getattr(row, name)) for name in row.__slots__}


def _value(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {name: _value(getattr(value, name)) for name in ("value", "low", "high")}
    return None if isinstance(value, float) and math.isnan(value) else value
