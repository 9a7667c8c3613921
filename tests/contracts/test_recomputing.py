"""Recorded decisions, computed again from their records: the same, bit for bit, whoever decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts
from turnout.artifacts.opening import open_router, trainable
from turnout.engine import Engine
from turnout.errors import DataError
from turnout.explaining import kept_decision
from turnout.names import RouteSpec
from turnout.policies.base import Choice
from turnout.policies.explore import Explore
from turnout.policies.stated import restore, state
from turnout.recomputing import recompute
from turnout.routers.base import Router
from turnout.store.record import json_line
from turnout.types import Candidate, Decision, Pool, Prediction, Query

KNOBS = (0.0, 0.3, 0.55, 1.0)
SHIPPED = ["random", "rules", *trainable()]


@dataclass(frozen=True)
class Broken:
    """Fails on every query, and quotes it."""

    name: str = "broken"
    fingerprint: str | None = None

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        raise ValueError(f"cannot read {queries[0].text}")


def kept(decision: Decision) -> dict[str, Any]:
    """As the ledger gives it back."""
    found: dict[str, Any] = json.loads(json_line(kept_decision(decision)))
    return found


def opened(name: str, artifacts: Path) -> Router:
    if name in trainable():
        return open_router(name, artifact=artifacts / name)
    return open_router(name, options={"seed": 7} if name == "random" else None)


def pool(m: int) -> Pool:
    return Pool(candidates=CANDIDATES[:m], default=CANDIDATES[1].name)


def check(decision: Decision) -> None:
    given = kept(decision)
    found = recompute(given)
    assert found.differs == {}
    assert found.later == ""
    assert found.decision == {k: v for k, v in given.items() if k != "grounds"}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("m", [2, 3])
def test_every_routers_decisions(name: str, m: int, artifacts: Path) -> None:
    router = opened(name, artifacts)
    plain = Engine(pool(m), {name: router}, spares=2)
    exploring = Engine(pool(m), {name: router}, explore=Explore(share=0.6, seed=1))
    queries = [Query.of(text) for text in planted_prompts(6, seed=5)]
    specs = [RouteSpec(name, knob) for knob in KNOBS]
    specs.append(RouteSpec(name, 0.0, usd_per_quality=0.002))
    seen = set()
    for spec in specs:
        for decision in plain.decide_many(queries, spec) + exploring.decide_many(queries, spec):
            check(decision)
            seen.add(decision.code)
    assert "explored" in seen
    assert "worth_most" in seen


def test_what_a_policy_stands_on_is_little_and_comes_back(artifacts: Path) -> None:
    engine = Engine(pool(3), {"mf": opened("mf", artifacts)})
    names = engine.pool.names
    for knob in np.linspace(0, 1, 21):
        policy = engine.policy(RouteSpec("mf", float(knob)), CANDIDATES)
        stated = json.loads(json.dumps(state(policy, names)))
        assert state(restore(stated), names) == stated
    constant = engine.policy(RouteSpec("mf", 1.0), CANDIDATES)
    left = [n for n in names if n != constant.point.constant]  # type: ignore[attr-defined]
    assert state(constant, left)["point"]["constant"] is None


def test_decisions_without_a_prediction() -> None:
    broken, rules = Broken(), open_router("rules")
    query = Query.of("What is 2 + 2?")
    engine = Engine(pool(3), {"broken": broken}, spares=1)
    check(engine.decide(query, RouteSpec("broken", 0.5)))
    check(engine.by_name(query, "small"))
    check(engine.decide(query, RouteSpec("broken", 0.5), allow=["small"]))
    check(engine.decide(query, RouteSpec("broken", 0.5), allow=["large", "small"]))
    stand_in = Engine(
        pool(3),
        {"broken": broken, "rules": rules},
        fallbacks={"broken": RouteSpec("rules", 0.5)},
    )
    decision = stand_in.decide(query, RouteSpec("broken", 0.5))
    assert decision.fallback
    check(decision)
    assert "2 + 2" not in json.dumps(kept(decision))
    stays = engine.stay(query, "small", RouteSpec("broken", 0.5), "it has the cache", excluded={})
    check(stays)


def test_a_record_that_was_tampered_with_differs() -> None:
    engine = Engine(pool(3), {"rules": open_router("rules")}, explore=Explore(share=0.5, seed=3))
    given = kept(engine.decide(Query.of("Prove it."), RouteSpec("rules", 0.0)))
    best = max(given["quality"], key=given["quality"].get)
    other = next(n for n in given["quality"] if n != given["model"])
    tampered: list[tuple[str, Any, str]] = [
        ("quality", {**given["quality"], best: 0.0}, "reason"),
        ("model", other, "model"),
        ("expected_cost_usd", {**given["expected_cost_usd"], best: 1.0}, "expected_cost_usd"),
        ("propensity", 0.123, "propensity"),
    ]
    for name, value, shown in tampered:
        assert shown in recompute({**given, name: value}).differs, name
    drawn = {**given["grounds"], "chances": given["grounds"]["chances"][::-1]}
    assert recompute({**given, "grounds": drawn}).differs


def test_the_last_word_of_a_conversation_or_a_pin_is_told_apart() -> None:
    engine = Engine(pool(3), {"rules": open_router("rules")})
    made = engine.decide(Query.of("Prove it."), RouteSpec("rules", 0.4))
    switched = replace(made, code="switched_for_quality", reason="small is not enough")
    found = recompute(kept(switched))
    assert found.differs == {}
    assert "conversation" in found.later
    lied = kept(switched)
    lied["grounds"]["chose"] = "nobody"
    assert "model" in recompute(lied).differs


def test_what_cannot_be_computed_again_says_why() -> None:
    engine = Engine(pool(2), {"rules": open_router("rules")})
    given = kept(engine.decide(Query.of("hi"), RouteSpec("rules", 0.4)))
    with pytest.raises(DataError, match="earlier version"):
        recompute({k: v for k, v in given.items() if k != "grounds"})
    with pytest.raises(DataError, match="not whole"):
        recompute({**given, "grounds": {"way": "routed"}})
    own = {**given["grounds"], "policy": state(OwnPolicy(), ["large"])}
    with pytest.raises(DataError, match="not one of Turnout's"):
        recompute({**given, "grounds": own})


class OwnPolicy:
    """A plug-in's."""

    name = "own"

    def pick(self, prediction: Prediction, candidates: Any, cost_picousd: Any) -> Any:
        return np.zeros(1, dtype=np.intp)

    def choose(self, prediction: Prediction, candidates: Any, cost_picousd: Any) -> Choice:
        raise NotImplementedError
