"""A recorded decision, computed again from what its record holds, and compared field by field.

The record has what was predicted, each price as the policy saw it, and the policy; no prompt. So the
choice follows again: the candidate, its reason, the chance with which it was explored, the spares. What
a conversation or a pin of the request made of it afterwards stands in the record as its own reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from turnout.errors import DataError, RouterError
from turnout.explaining import (
    Explored,
    Routed,
    kept_decision,
    named_decision,
    routed_decision,
    staying_decision,
    unpredicted_decision,
    with_spares,
)
from turnout.names import RouteSpec
from turnout.policies.explore import Drawn
from turnout.policies.stated import restore
from turnout.types import Candidate, Decision, PairRule, Pool, Prediction, Query

_ALARM = "strong_share_alarm"
"""See `turnout.gateway.routing.alarming`: an explored choice that it overrules has its chance no longer."""
LATER = {
    "pinned": "the request pinned the candidate",
    "shadow": "a candidate serves while the route decides in record only",
    "released_from_conversation": "the conversation's model could serve it no longer",
    "kept_for_conversation": "the conversation kept its model",
    "switched_after_errors": "the conversation left its model after errors",
    "switched_at_boundary": "the conversation took the router's choice",
    "switched_for_quality": "the conversation took the router's choice",
    _ALARM: "the key's share of calls to the dearest candidate had raised the alarm",
}
"""Codes of decisions that something else than the router had the last word on."""
_GIVEN = (
    "basis spread excluded artifact certificate notes elapsed_us input_tokens "
    "expected_output_tokens"
).split()
"""Fields that the choice takes in, or that say nothing of it: taken from the record as they are."""
_OF_THE_LAST_WORD = {"model", "code", "reason", "attempts", "excluded", "fallback"}


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What came of it."""

    decision: dict[str, Any]
    """As computed again, before a conversation or a pin had its say."""
    differs: dict[str, tuple[Any, Any]]
    """Field → what is recorded, and what came of it; empty: the same, bit for bit."""
    later: str = ""
    """What had the last word after it; empty: nothing."""


def recompute(kept: Mapping[str, Any]) -> Recomputed:
    """Compute a recorded decision again.

    Args:
        kept: the decision of a record, read from its JSON.

    Raises:
        DataError: it was recorded without its grounds, or under a policy that does not ship.
    """
    grounds = kept.get("grounds")
    if not isinstance(grounds, Mapping) or "way" not in grounds:
        raise DataError(
            "decision", kept.get("id"), "it was recorded without its grounds, by an earlier version"
        )
    try:
        again = replace(
            _again(kept, grounds),
            fallback=kept["fallback"],
            route=kept.get("route"),
            asked=kept.get("asked", {}),
            experiment=kept.get("experiment", {}),
            shadow=kept.get("shadow", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "decision", kept.get("id"), f"its grounds are not whole: {error}"
        ) from error
    found: dict[str, Any] = json.loads(json.dumps(kept_decision(again)))
    same = {k: v for k, v in kept.items() if k != "grounds"}
    del found["grounds"]
    differs = {
        k: (same.get(k), found.get(k)) for k in {*same, *found} if same.get(k) != found.get(k)
    }
    later = LATER.get(kept["code"], "") if kept["code"] != found["code"] else ""
    if later:
        its = _OF_THE_LAST_WORD | ({"propensity"} if kept["code"] == _ALARM else set())
        differs = {k: v for k, v in differs.items() if k not in its}
        if "chose" in grounds and grounds["chose"] != found["model"]:
            differs["model"] = (grounds["chose"], found["model"])
    return Recomputed(found, differs, later)


def _again(kept: Mapping[str, Any], grounds: Mapping[str, Any]) -> Decision:
    names = tuple(grounds.get("pool", ()))
    query = Query(text="", input_tokens=kept["input_tokens"] or 0)
    spec = RouteSpec(kept["router"], kept["threshold"] or 0.0)
    worth = grounds.get("policy", {}).get("usd_per_quality")
    if worth is not None:
        spec = replace(spec, usd_per_quality=worth)
    if grounds["way"] == "routed":
        made = _routed(kept, grounds, query, spec)
    else:
        made = _unpredicted(
            kept, grounds, query, spec, [n for n in names if n not in kept["excluded"]]
        )
        cost = {
            n: None if usd is None else round(usd * 1e12)
            for n, usd in kept["expected_cost_usd"].items()
        }
        made = replace(made, expected_cost_picousd=cost, threshold=kept["threshold"])
    given = {name: kept[name] for name in _GIVEN if name in kept}
    made = replace(made, **{**given, "notes": tuple(kept["notes"])})
    if not names:
        return made
    pool = Pool(candidates=tuple(Candidate(name=n) for n in names), default=names[0])
    return with_spares(made, pool, grounds["spares"])


def _routed(
    kept: Mapping[str, Any], grounds: Mapping[str, Any], query: Query, spec: RouteSpec
) -> Decision:
    names = tuple(kept["quality"])
    kind, a, b, c = grounds["pair"]
    cost = np.asarray([[np.nan if v is None else v for v in grounds["cost_picousd"]]], dtype=float)
    prediction = Prediction(
        candidates=names,
        quality=np.asarray([[kept["quality"][n] for n in names]], dtype=np.float32),
        pair=PairRule(kind, a, b, c),
    )
    policy = restore(grounds["policy"])
    choice = policy.choose(prediction, [Candidate(name=n) for n in names], cost)
    explored = None
    if "chances" in grounds:
        explored = Explored(Drawn(tuple(grounds["chances"]), grounds["at"]), grounds["share"])
    routed = Routed(
        _Remembered(kept["artifact"]), prediction, cost, policy, choice, np.zeros(cost.shape)
    )
    return routed_decision(
        0,
        query,
        routed,
        spec,
        decision_id=kept["id"],
        explored=explored,
        certificate=kept["certificate"],
        excluded=kept["excluded"],
        elapsed_us=kept["elapsed_us"],
    )


def _unpredicted(
    kept: Mapping[str, Any],
    grounds: Mapping[str, Any],
    query: Query,
    spec: RouteSpec,
    fit: Sequence[str],
) -> Decision:
    way, decision_id = grounds["way"], kept["id"]
    if way == "named":
        served = Candidate(name=kept["attempts"][0]["model"])
        return named_decision(query, served, decision_id=decision_id)
    if way == "stays":
        served = Candidate(name=kept["attempts"][0]["model"])
        return staying_decision(
            query, served, spec, kept["reason"], decision_id=decision_id, excluded=kept["excluded"]
        )
    if way == "only" and len(fit) != 1:
        raise ValueError(f"{len(fit)} candidates were left, not one")
    wanted = grounds.get("default", grounds.get("safe", ""))
    served = Candidate(name=wanted if wanted in fit else fit[0])
    made = unpredicted_decision(
        query,
        served,
        spec,
        decision_id=decision_id,
        excluded=kept["excluded"],
        elapsed_us=kept["elapsed_us"],
        error=RouterError("") if way == "default" else None,
    )
    if way == "certificate":
        first = replace(made.attempts[0], reason=kept["reason"])
        said = {"policy": "certificate", "code": "certificate_revoked", "reason": kept["reason"]}
        made = replace(made, attempts=(first,), **said)
    return made


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Stands for the router that predicted; nothing is asked of it again."""

    fingerprint: str | None
    name: str = "remembered"

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Nothing to check."""

    def predict(
        self,
        queries: Sequence[Query],  # noqa: ARG002 - a router's form
        candidates: Sequence[Candidate],  # noqa: ARG002
    ) -> Prediction:
        """Never asked."""
        raise RouterError("a recorded prediction is not made again")
