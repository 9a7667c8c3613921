"""Decisions written out: what was chosen, and everything needed to understand why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.watch import Watch
from turnout.names import RouteSpec
from turnout.policies.base import Choice, Policy
from turnout.policies.explore import Drawn
from turnout.policies.stated import state
from turnout.pricing import unpredicted_output_tokens
from turnout.routers.base import Router
from turnout.types import Attempt, Candidate, Decision, Pool, Prediction, Query


@dataclass(slots=True)
class Routed:
    """What routing n queries gave, before it is written out as decisions."""

    router: Router
    prediction: Prediction
    cost_picousd: NDArray[np.float64]
    policy: Policy
    choice: Choice
    output_tokens: NDArray[np.float64]
    """(n, m) expected, as `cost_picousd` counts them."""
    written: Written = field(init=False)
    """The same as plain values."""

    def __post_init__(self) -> None:
        self.written = Written.of(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What decisions take from arrays, as lists: taken number by number, each would cost as much as all.

    What is the same for all of them is shared, and not to be changed in any.
    """

    index: list[int]
    win_rate: list[float] | None
    quality: list[dict[str, float]]
    spread: list[dict[str, float]] | None
    cost_picousd: list[list[float]]
    output_tokens: list[dict[str, float]]
    basis: dict[str, str]
    policy: dict[str, Any]
    pair: list[Any]

    @classmethod
    def of(cls, routed: Routed) -> Written:
        """Of n queries."""
        prediction, choice = routed.prediction, routed.choice
        pair, spread, rate = prediction.pair, prediction.spread, choice.win_rate
        return cls(
            index=choice.index.tolist(),
            win_rate=None if rate is None else rate.tolist(),
            quality=_by_name(prediction.candidates, prediction.quality),
            spread=None if spread is None else _by_name(prediction.candidates, spread),
            cost_picousd=routed.cost_picousd.tolist(),
            output_tokens=_by_name(prediction.candidates, routed.output_tokens),
            basis=dict(zip(prediction.candidates, prediction.basis, strict=False)),
            policy=state(routed.policy, prediction.candidates),
            pair=[pair.kind, pair.a, pair.b, pair.c],
        )


def _by_name(names: Sequence[str], rows: NDArray[Any]) -> list[dict[str, float]]:
    """(n, m) numbers of m candidates, row by row."""
    return [dict(zip(names, row, strict=True)) for row in rows.tolist()]


@dataclass(frozen=True, slots=True)
class Explored:
    """What exploring made of a policy's choice."""

    drawn: Drawn
    """The column to call, and how it was drawn."""
    share: float
    """Of requests that go elsewhere."""


def routed_decision(
    i: int,
    query: Query,
    routed: Routed,
    spec: RouteSpec,
    *,
    decision_id: str,
    explored: Explored | None,
    certificate: str | None,
    excluded: Mapping[str, str],
    elapsed_us: int,
) -> Decision:
    """The decision for the i-th of the queries that were routed together.

    Args:
        i: its row.
        query: what is asked.
        routed: what routing gave.
        spec: the route that was asked for.
        decision_id: a new one.
        explored: what exploring made of the choice; None where nothing explores.
        certificate: id of the one that covers this choice; None where none does.
        excluded: candidates that constraints put out, and why.
        elapsed_us: what deciding took.
    """
    prediction, choice, written = routed.prediction, routed.choice, routed.written
    names = prediction.candidates
    index, code, reason = written.index[i], choice.code[i], choice.reason[i]
    if explored is not None and explored.drawn.index != index:
        code = "explored"
        reason = (
            f"explored, as {explored.share:.3g} of requests are; "
            f"{names[index]} was the choice: {reason}"
        )
        index, certificate = explored.drawn.index, None
    return Decision(
        id=decision_id,
        router=spec.router,
        policy=routed.policy.name,
        attempts=(Attempt(candidate=names[index], reason=reason),),
        code=code,
        reason=reason,
        propensity=None if explored is None else explored.drawn.propensity,
        threshold=spec.knob,
        win_rate=None if written.win_rate is None else written.win_rate[i],
        quality=written.quality[i],
        spread={} if written.spread is None else written.spread[i],
        expected_cost_picousd=_whole(names, written.cost_picousd[i]),
        input_tokens=query.input_tokens,
        expected_output_tokens=written.output_tokens[i],
        basis=written.basis,
        excluded=dict(excluded),
        artifact=routed.router.fingerprint,
        certificate=certificate,
        notes=(*query.notes, *prediction.notes[i : i + 1]) if prediction.notes else query.notes,
        elapsed_us=elapsed_us,
        grounds=_grounds(i, written, explored, names[index]),
    )


def _grounds(i: int, written: Written, explored: Explored | None, chose: str) -> dict[str, Any]:
    """What `recomputing.recompute` needs beside the decision itself."""
    found: dict[str, Any] = {
        "way": "routed",
        "chose": chose,
        "policy": written.policy,
        "pair": written.pair,
        "cost_picousd": [None if c != c else c for c in written.cost_picousd[i]],
    }
    if explored is not None:
        found["chances"], found["at"] = explored.drawn.chances, explored.drawn.at
        found["share"] = explored.share
    return found


def with_spares(decision: Decision, pool: Pool, most: int) -> Decision:
    """Put further attempts behind the chosen one, for when that fails; gives the same decision.

    Best predicted quality first, the cheaper of equals before the dearer; where nothing was
    predicted, in the pool's order, strongest first. Candidates that constraints put out stay out.

    Args:
        decision: of one or more attempts.
        pool: where it was made.
        most: further attempts.
    """
    chosen, excluded = decision.attempts, decision.excluded
    there = [attempt.candidate for attempt in chosen]
    left = [n for n in pool.names if n not in there and n not in excluded] if most else []
    if len(left) > 1:
        quality, cost = decision.quality, decision.expected_cost_picousd
        left.sort(key=lambda n: (-quality.get(n, 0.0), cost.get(n) or 0))
    decision.attempts = (*chosen, *[_spare(name, there[0]) for name in left[:most]])
    decision.grounds = {**decision.grounds, "pool": pool.names, "spares": most}
    return decision


@lru_cache(maxsize=1024)
def _spare(name: str, chosen: str) -> Attempt:
    """The attempt for when the chosen one fails: the same in many decisions."""
    return Attempt(candidate=name, reason=f"serves if {chosen} fails")


def named_decision(query: Query, candidate: Candidate, *, decision_id: str) -> Decision:
    """The decision where a candidate was asked for by its name: nothing was predicted."""
    reason = "asked for by name"
    return Decision(
        id=decision_id,
        router="none",
        policy="by_name",
        attempts=(Attempt(candidate=candidate.name, reason=reason),),
        code="asked_for_by_name",
        reason=reason,
        notes=query.notes,
        grounds={"way": "named"},
        **_expected(query, candidate),
    )


def staying_decision(
    query: Query,
    candidate: Candidate,
    spec: RouteSpec,
    reason: str,
    *,
    decision_id: str,
    excluded: Mapping[str, str],
) -> Decision:
    """The decision where a conversation keeps its model, and no router was asked."""
    return Decision(
        id=decision_id,
        router=spec.router,
        policy="conversation",
        attempts=(Attempt(candidate=candidate.name, reason=reason),),
        code="kept_for_conversation",
        reason=reason,
        grounds={"way": "stays"},
        threshold=spec.threshold,
        excluded=dict(excluded),
        notes=query.notes,
        **_expected(query, candidate),
    )


def unpredicted_decision(
    query: Query,
    candidate: Candidate,
    spec: RouteSpec,
    *,
    decision_id: str,
    excluded: Mapping[str, str],
    elapsed_us: int,
    error: Exception | None = None,
    default: str = "",
) -> Decision:
    """The decision where nothing was predicted: one candidate is left, or the router failed.

    Args:
        query: what is asked.
        candidate: who serves.
        spec: the route that was asked for.
        decision_id: a new one.
        excluded: candidates that constraints put out, and why.
        elapsed_us: what deciding took.
        error: why the router failed, so that `candidate` serves by default; None: it is the only
            one left.
        default: who serves by default, where it can.
    """
    reason = (
        f"{candidate.name} is the only candidate that can serve this request"
        if error is None
        else f"router {spec.router} failed, {candidate.name} serves by default: {error}"
    )
    return Decision(
        id=decision_id,
        router=spec.router,
        policy="constraints" if error is None else "default",
        attempts=(Attempt(candidate=candidate.name, reason=reason),),
        code="only_candidate" if error is None else "router_failed",
        reason=reason,
        threshold=spec.knob,
        excluded=dict(excluded),
        fallback=error is not None,
        notes=query.notes,
        grounds={"way": "only"} if error is None else {"way": "default", "default": default},
        elapsed_us=elapsed_us,
        **_expected(query, candidate),
    )


def withheld_decision(
    query: Query,
    candidate: Candidate,
    spec: RouteSpec,
    watch: Watch,
    *,
    decision_id: str,
    excluded: Mapping[str, str],
    elapsed_us: int,
) -> Decision:
    """The decision where the route's certificate no longer holds: the safe model serves.

    Args:
        query: what is asked.
        candidate: who serves.
        spec: the route that was asked for.
        watch: of the certificate that was revoked.
        decision_id: a new one.
        excluded: candidates that constraints put out, and why.
        elapsed_us: what deciding took.
    """
    reason = f"certificate {watch.id} is revoked, {candidate.name} serves: {watch.revoked}"
    return Decision(
        id=decision_id,
        router=spec.router,
        policy="certificate",
        attempts=(Attempt(candidate=candidate.name, reason=reason),),
        code="certificate_revoked",
        reason=reason,
        grounds={"way": "certificate", "safe": watch.certificate.safe},
        threshold=spec.knob,
        excluded=dict(excluded),
        notes=query.notes,
        elapsed_us=elapsed_us,
        **_expected(query, candidate),
    )


def plain_reason(decision: Decision) -> str:
    """The reason; of a failure without the router's own words, which may quote the prompt."""
    if decision.fallback:
        return f"router {decision.router} failed, {decision.model} serves by default"
    return decision.reason


def kept_decision(decision: Decision) -> dict[str, Any]:
    """A decision as it is recorded, JSON-ready, with its grounds.

    Of a failed router it has nothing in its own words, which may quote the prompt.
    """
    found = decision.to_dict()
    found["grounds"] = {**decision.grounds}
    if decision.fallback:
        reason = plain_reason(decision)
        attempts = [{**attempt, "reason": reason} for attempt in found["attempts"]]
        found |= {"reason": reason, "attempts": attempts, "notes": []}
    return found


def _expected(query: Query, candidate: Candidate) -> dict[str, Any]:
    """What a decision says of tokens and cost where nothing was predicted."""
    tokens_in, tokens_out = query.input_tokens, unpredicted_output_tokens(query, candidate)
    price = candidate.price
    cost = (
        None
        if price is None
        else price.cost_picousd(input_tokens=tokens_in, output_tokens=tokens_out)
    )
    return {
        "expected_cost_picousd": {candidate.name: cost},
        "input_tokens": tokens_in,
        "expected_output_tokens": {candidate.name: float(tokens_out)},
    }


def _whole(names: Sequence[str], cost: Sequence[float]) -> dict[str, int | None]:
    return {n: None if c != c else round(c) for n, c in zip(names, cost, strict=True)}
