"""Routes with a certificate: covered while it holds, served by the safe model once it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from certificates_made import PAIR, certificate
from turnout.calibration.certificate import pool_fingerprint, seconds
from turnout.calibration.watch import Watch
from turnout.engine import Engine
from turnout.errors import RouterError, UnknownNameError
from turnout.names import RouteSpec
from turnout.policies.explore import Explore
from turnout.types import Candidate, PairRule, Pool, Prediction, Query

NOW = seconds("2026-12-01T00:00:00Z")
SPEC = RouteSpec("length", 0.25)


@dataclass
class Length:
    """Longer prompts need the strong model; 100 characters surely do."""

    name: str = "length"
    fingerprint: str | None = "fp_length"
    pair: PairRule = field(default_factory=lambda: PairRule("weak_fails"))

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        if any(q.text == "broken" for q in queries):
            raise RouterError("the encoder is gone")
        weak = np.asarray([1.0 - min(len(q.text), 100) / 100 for q in queries])
        quality = np.linspace(1.0, 0.0, len(candidates)) + weak[:, None] * np.linspace(
            0.0, 1.0, len(candidates)
        )
        names = tuple(c.name for c in candidates)
        return Prediction(candidates=names, quality=quality.astype(np.float32), pair=self.pair)


def engine(
    now: Callable[[], float] = lambda: NOW,
    *,
    candidates: tuple[Candidate, ...] = PAIR,
    explore: Explore | None = None,
    **changes: object,
) -> Engine:
    made = certificate(**changes)
    watch = Watch(made, candidates, "fp_length", now=now)
    pool = Pool(candidates=candidates, default=candidates[0].name)
    return Engine(pool, {"length": Length()}, explore=explore, watches=[watch])


def test_a_decision_names_the_certificate_that_covers_it() -> None:
    made = engine()
    watch = made.watches[SPEC]
    decision = made.decide(Query.of("x" * 10), SPEC)
    assert decision.certificate == watch.id == decision.to_dict()["certificate"]
    assert decision.model == "small"
    assert made.certificates()[0]["requests"] == 1


def test_other_routes_names_and_requests_are_not_covered() -> None:
    made = engine(candidates=(PAIR[0], Candidate(name="small", context_tokens=50)))
    assert made.decide(Query.of("x"), RouteSpec("length", 0.5)).certificate is None
    assert made.by_name(Query.of("x"), "large").certificate is None
    assert made.decide(Query.of("x"), SPEC, allow=["large"]).certificate is None
    assert made.decide(Query.of("broken"), SPEC).certificate is None
    assert made.watches[SPEC].requests == 0


def test_three_candidates_of_which_one_is_out_are_not_covered() -> None:
    three = (*PAIR, Candidate(name="tiny"))
    made = engine(
        candidates=three,
        models=("large", "small", "tiny"),
        pool=pool_fingerprint(three, priced=True),
        route="router-length-0",
    )
    spec = RouteSpec("length", 0.0)
    assert made.decide(Query.of("x"), spec).certificate is not None
    assert made.decide(Query.of("x"), spec, allow=["large", "small"]).certificate is None


def test_a_request_that_explores_elsewhere_is_not_covered() -> None:
    made = engine(explore=Explore(share=0.5, seed=0))
    decisions = [made.decide(Query.of("x" * (7 * i % 100)), SPEC) for i in range(40)]
    assert {d.certificate is None for d in decisions if d.code == "explored"} == {True}
    assert {d.certificate is None for d in decisions if d.code != "explored"} == {False}


def test_drift_sends_every_request_to_the_safe_model_and_says_why() -> None:
    made = engine()
    watch = made.watches[SPEC]
    queries = [Query.of(f"{i:03d}" + "x" * 97) for i in range(600)]  # all long: all strong
    for query in queries:
        made.decide(query, SPEC)
    assert watch.revoked is not None
    found = made.decide(Query.of("short"), SPEC)
    assert (found.model, found.code, found.policy) == (
        "large",
        "certificate_revoked",
        "certificate",
    )
    assert found.certificate is None
    assert not found.fallback
    assert found.reason.startswith(f"certificate {watch.id} is revoked, large serves: traffic chan")
    assert "the win rate is distributed otherwise" in found.reason
    state = made.certificates()[0]
    assert (state["state"], state["reason"]) == ("revoked", watch.revoked)
    assert state["withheld"] == 600 - state["requests"] + 1
    # Another route of the same router has promised nothing and goes on.
    assert made.decide(Query.of("short"), RouteSpec("length", 0.5)).model == "small"


def test_time_revokes_while_serving() -> None:
    clock = [NOW]
    made = engine(lambda: clock[0])
    assert made.decide(Query.of("short"), SPEC).certificate is not None
    clock[0] = seconds("2027-02-24T04:30:00Z")
    found = made.decide_many([Query.of("a"), Query.of("b")], SPEC)
    assert [d.code for d in found] == ["certificate_revoked"] * 2
    assert "it expired on 2027-02-24T04:30:00Z" in found[0].reason
    assert made.watches[SPEC].withheld == 2


def test_a_budgets_safe_model_is_the_cheap_one_and_the_strongest_that_fits_stands_in() -> None:
    late = seconds("2028-01-01T00:00:00Z")
    assert engine(lambda: late, safe="small").decide(Query.of("x" * 100), SPEC).model == "small"
    made = engine(lambda: late, safe="large", candidates=(*PAIR, Candidate(name="tiny")))
    kept = made.decide(Query.of("x"), SPEC, allow=["small", "tiny"])
    assert (kept.model, kept.code) == ("small", "certificate_revoked")


def test_another_artifact_is_not_what_was_certified() -> None:
    made = engine(artifact="fp_older")
    found = made.decide(Query.of("short"), SPEC)
    assert (found.model, found.code) == ("large", "certificate_revoked")
    assert "it is of artifact fp_older, and fp_length is served" in found.reason


def test_the_last_certificate_gives_the_route() -> None:
    pool = Pool(candidates=PAIR, default="large")
    older = Watch(certificate(route="router-length-0.5", made_at="2026-01-01T00:00:00Z"), PAIR, "f")
    newer = Watch(certificate(), PAIR, "f")
    made = Engine(pool, {"length": Length()}, watches=[newer, older])
    assert made.certified_route() == made.certified_route("length") == SPEC
    assert made.certified_route("other") is None
    assert Engine(pool, {"length": Length()}).certified_route() is None


def test_a_certificate_of_a_router_that_is_not_here_is_refused() -> None:
    watch = Watch(certificate(route="router-gone-0.5"), PAIR, "fp_length")
    with pytest.raises(UnknownNameError, match="no router named 'gone'"):
        Engine(Pool(candidates=PAIR, default="large"), {"length": Length()}, watches=[watch])
