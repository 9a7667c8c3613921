from __future__ import annotations

import itertools
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import CANDIDATES, planted_prompts
from turnout.artifacts.opening import open_router
from turnout.engine import Engine
from turnout.errors import (
    InputError,
    NoCandidateError,
    RouteNameError,
    RouterError,
    UnknownNameError,
)
from turnout.knobs import MOST_KEPT
from turnout.names import RouteSpec
from turnout.routers.base import Router
from turnout.routers.reference import Reference
from turnout.types import Candidate, Decision, PairRule, Pool, Prediction, Price, Query

LARGE = Candidate(name="large", price=Price.per_million(5, 20), capabilities=frozenset({"vision"}))
MEDIUM = Candidate(name="medium", price=Price.per_million(1, 4), context_tokens=10_000)
SMALL = Candidate(
    name="small",
    price=Price.per_million("0.1", "0.4"),
    context_tokens=1_000,
    capabilities=frozenset(),
)
TWO = Pool(candidates=(LARGE, SMALL), default="large")
THREE = Pool(candidates=(LARGE, MEDIUM, SMALL), default="large")


@dataclass
class Length:
    """The longer the text, the more a strong model is worth; fails on "broken"."""

    name: str = "length"
    fingerprint: str | None = "fp_length"
    asked: int = 0
    error: type[Exception] = RouterError

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        self.asked += 1
        if any("broken" in q.text for q in queries):
            raise self.error("the encoder is gone")
        hard = np.asarray([min(len(q.text), 100) / 100 for q in queries], dtype=np.float32)
        strength = np.linspace(1.0, 0.0, len(candidates), dtype=np.float32)
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=1.0 - hard[:, None] * (1.0 - strength),
            pair=PairRule("difference"),
            basis=tuple(f"length of {c.name}" for c in candidates),
        )


def engine(pool: Pool = TWO, router: Router | None = None, ids: Sequence[str] = ()) -> Engine:
    given_ids = iter(ids) if ids else (f"dec_{i}" for i in itertools.count())
    return Engine(pool, {"length": router or Length()}, new_id=lambda: next(given_ids))


def spec(threshold: float = 0.5) -> RouteSpec:
    return RouteSpec("length", threshold)


def plain(decision: Decision) -> Decision:
    """Without what differs between any two calls."""
    return replace(decision, id="", elapsed_us=0)


LONG, SHORT = Query.of("x" * 80), Query.of("x" * 20)
PICTURE = replace(SHORT, needs=frozenset({"vision"}))


def test_the_threshold_parts_strong_from_weak() -> None:
    found = engine(ids=["one", "two"]).decide_many([LONG, SHORT], spec())
    assert [d.model for d in found] == ["large", "small"]
    assert [d.id for d in found] == ["one", "two"]
    assert [d.win_rate for d in found] == [pytest.approx(0.8), pytest.approx(0.2)]
    first = found[0]
    assert (first.router, first.policy, first.threshold) == ("length", "threshold", 0.5)
    assert first.code == "win_rate_reaches_threshold"
    assert first.artifact == "fp_length"
    assert first.basis == {"large": "length of large", "small": "length of small"}
    assert first.expected_cost_picousd == {
        "large": 20 * 5_000_000 + 256 * 20_000_000,
        "small": 20 * 100_000 + 256 * 400_000,
    }
    assert not first.fallback


def test_a_decision_is_ready_for_json() -> None:
    found = json.loads(json.dumps(engine().decide(PICTURE, spec()).to_dict()))
    assert found["model"] == "large"
    assert found["excluded"] == {"small": "cannot do vision"}
    assert found["expected_cost_usd"] == {"large": pytest.approx(5 * 5e-6 + 256 * 20e-6)}


def test_constraints_come_before_scores() -> None:
    router = Length()
    found = engine(router=router).decide(PICTURE, spec())
    assert found.model == "large"
    assert found.code == "only_candidate"
    assert found.policy == "constraints"
    assert router.asked == 0
    assert not found.fallback


def test_no_candidate_left_is_an_error_that_says_why_for_each() -> None:
    with pytest.raises(NoCandidateError) as caught:
        engine().decide(replace(PICTURE, input_tokens=10), spec(), allow=["small"])
    assert caught.value.excluded == {"large": "not on the allow-list", "small": "cannot do vision"}
    assert "small: cannot do vision" in str(caught.value)


def test_an_allow_list_narrows_the_pool() -> None:
    found = engine(THREE).decide(LONG, spec(), allow=["medium", "small"])
    assert found.policy == "within_price"  # two are left, but the pool has three
    assert found.model == "small"  # half of the price span between the two is saved
    assert found.excluded == {"large": "not on the allow-list"}


@pytest.mark.parametrize("error", [RouterError, RuntimeError, ZeroDivisionError, InputError])
def test_a_failing_router_never_fails_the_request(
    error: Callable[..., Exception], caplog: pytest.LogCaptureFixture
) -> None:
    if error is InputError:
        error = lambda text: InputError("field", "value", text)  # noqa: E731
    made = engine(router=Length(error=error))  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR, logger="turnout.engine"):
        found = made.decide(Query.of("broken, my secret"), spec())
    assert found.model == "large"
    assert found.fallback
    assert (found.code, found.policy) == ("router_failed", "default")
    assert found.reason.startswith("router length failed, large serves by default: ")
    assert found.reason.endswith("the encoder is gone")
    assert "Traceback" not in found.reason
    assert ".py" not in found.reason
    assert found.win_rate is None
    assert found.quality == {}
    assert made.fallbacks == 1
    (record,) = caplog.records
    assert record.exc_info is None  # a traceback would bring the error's own words along
    assert "test_engine.py" in record.getMessage()
    assert "secret" not in record.getMessage()


@dataclass
class Wrong(Length):
    """Breaks the contract of routers in one way."""

    names: tuple[str, ...] = ("large", "small")
    shape: tuple[int, int] = (1, 2)
    value: float = 0.5

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        quality = np.full(self.shape, self.value, dtype=np.float32)
        return Prediction(candidates=self.names, quality=quality)


@pytest.mark.parametrize(
    ("router", "says"),
    [
        (Wrong(value=float("nan")), "not a number"),
        (Wrong(shape=(2, 2)), r"predicted \(2, 2\)"),
        (Wrong(shape=(1, 3)), r"predicted \(1, 3\)"),
        (Wrong(names=("small", "large")), "for small, large"),
    ],
)
def test_a_prediction_that_cannot_be_meant_is_a_failed_router(router: Router, says: str) -> None:
    found = engine(router=router).decide(LONG, spec())
    assert found.fallback
    assert re.search(says, found.reason)


def test_fallbacks_are_counted_by_request_and_logged_by_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = engine()
    made.decide_many([Query.of("broken")] * 3, spec())
    assert made.fallbacks == 3
    assert len(caplog.records) == 1
    made.decide(LONG, spec())
    assert made.fallbacks == 3


def test_where_the_default_is_out_the_first_that_fits_serves() -> None:
    pool = replace(THREE, default="small")
    broken = Query.of("broken " * 1_000, needs=frozenset())  # too long for the small one
    found = engine(pool).decide(broken, spec())
    assert found.model == "large"
    assert found.fallback
    assert "small" in found.excluded
    assert engine(pool).decide(Query.of("broken"), spec()).model == "small"


QUERIES = st.lists(
    st.builds(
        lambda size, needs, tokens: Query(text="x" * size, needs=needs, input_tokens=tokens),
        st.integers(0, 120),
        st.sampled_from([frozenset(), frozenset({"vision"})]),
        st.sampled_from([1, 500, 1_001, 2_000, 20_000]),
    ),
    max_size=8,
)


@pytest.mark.parametrize("pool", [TWO, THREE], ids=["two", "three"])
@given(queries=QUERIES, threshold=st.floats(0.0, 1.0))
def test_a_batch_decides_as_one_by_one_and_in_order(
    pool: Pool, queries: list[Query], threshold: float
) -> None:
    together = engine(pool).decide_many(queries, spec(threshold))
    single = [engine(pool).decide(q, spec(threshold)) for q in queries]
    assert [plain(d) for d in together] == [plain(d) for d in single]


def test_each_of_a_batch_is_told_its_own_reasons() -> None:
    long = Query(text="x", input_tokens=5_000)
    longer = Query(text="x", input_tokens=7_000)
    found = engine().decide_many([PICTURE, long, longer], spec())
    assert found[0].excluded["small"] == "cannot do vision"
    assert "5000 of input" in found[1].excluded["small"]
    assert "7000 of input" in found[2].excluded["small"]


def test_queries_with_the_same_candidates_are_predicted_together() -> None:
    router = Length()
    engine(THREE, router).decide_many([LONG, PICTURE, SHORT, PICTURE, LONG], spec())
    assert router.asked == 2


def test_no_query_gives_no_decision() -> None:
    assert engine().decide_many([], spec()) == []


def test_what_a_query_notes_stands_in_its_decision() -> None:
    query = replace(SHORT, notes=("text was cut",))
    assert engine().decide(query, spec()).notes == ("text was cut",)
    assert engine().decide(replace(PICTURE, notes=("cut",)), spec()).notes == ("cut",)


def test_three_candidates_without_a_reference_are_chosen_within_a_price() -> None:
    made = engine(THREE)
    assert made.decide(LONG, spec(0.0)).model == "large"
    assert made.decide(LONG, spec(1.0)).model == "small"
    between = made.decide(LONG, spec(0.5))
    assert (between.model, between.policy) == ("medium", "within_price")


def test_three_candidates_with_a_reference_are_chosen_on_its_hull(artifacts: Path) -> None:
    router = open_router("linear", artifact=artifacts / "linear")
    made = Engine(Pool(candidates=CANDIDATES, default="large"), {"linear": router})
    made.check()
    queries = [Query.of(p) for p in planted_prompts(40, seed=11)]
    cost, used = [], set()
    for threshold in (0.0, 0.4, 0.8, 1.0):
        found = made.decide_many(queries, RouteSpec("linear", threshold))
        assert {d.policy for d in found} == {"hull"}
        cost.append(sum(d.expected_cost_picousd[d.model] or 0 for d in found))
        used |= {d.model for d in found}
    assert cost == sorted(cost, reverse=True)
    assert cost[0] > cost[-1]
    assert len(used) > 1
    assert made.fallbacks == 0


def test_a_router_that_does_not_know_a_candidate_is_refused_before_any_request(
    artifacts: Path,
) -> None:
    pool = Pool(candidates=(CANDIDATES[0], Candidate(name="stranger")), default="large")
    made = Engine(pool, {"mf": open_router("mf", artifact=artifacts / "mf")})
    with pytest.raises(UnknownNameError, match="stranger"):
        made.check()


def test_three_candidates_need_prices_before_any_request() -> None:
    free = Candidate(name="free")
    with pytest.raises(InputError, match=r"price: 'free'.*settings"):
        engine(Pool(candidates=(LARGE, MEDIUM, free), default="large")).check()
    engine(Pool(candidates=(LARGE, free), default="large")).check()


def test_two_candidates_need_no_price() -> None:
    pool = Pool(candidates=(Candidate(name="a"), Candidate(name="b")), default="a")
    found = engine(pool).decide(LONG, spec())
    assert found.model == "a"
    assert found.expected_cost_picousd == {"a": None, "b": None}


def test_policies_are_kept_but_not_without_end() -> None:
    made = engine()
    policy = made.policy(spec(0.5), TWO.candidates)
    assert made.policy(spec(0.5), TWO.candidates) is policy
    for i in range(3 * MOST_KEPT):
        made.policy(spec(i / (3 * MOST_KEPT)), TWO.candidates)
        assert len(made._knobs._policies) <= MOST_KEPT
    assert made.policy(spec(0.5), TWO.candidates) == policy


def test_another_thread_may_clear_what_is_kept_at_any_time() -> None:
    made = engine()

    class Cleared(dict):  # type: ignore[type-arg]
        def __setitem__(self, key: object, value: object) -> None:
            super().__setitem__(key, value)
            self.clear()

    made._knobs._policies = Cleared()
    assert not made.decide(LONG, spec()).fallback


def test_unknown_routers_and_impossible_thresholds_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: length"):
        engine().decide(LONG, RouteSpec("lenght", 0.5))
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(RouteNameError, match="from 0 to 1"):
            engine().decide(LONG, spec(bad))
    assert engine().parse("router-length-0.25") == spec(0.25)
    with pytest.raises(UnknownNameError):
        engine().parse("router-mf-0.25")


def test_a_pool_has_candidates_of_distinct_names_and_a_default_among_them() -> None:
    with pytest.raises(InputError, match="at least one"):
        engine(Pool(candidates=(), default=""))
    with pytest.raises(UnknownNameError, match="large, small"):
        engine(replace(TWO, default="medium"))
    with pytest.raises(InputError, match=r"candidates: 'large'.*once"):
        engine(replace(TWO, candidates=(LARGE, SMALL, LARGE)))


def test_a_pool_of_one_is_served_by_it() -> None:
    found = engine(Pool(candidates=(LARGE,), default="large")).decide(LONG, spec())
    assert (found.model, found.code) == ("large", "only_candidate")


class Remembering(Length):
    """A router that knows what its outcomes cost."""

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        r, m = 40, len(candidates)
        rng = np.random.default_rng(0)
        quality = np.sort(rng.random((r, m)), axis=1)[:, ::-1].astype(np.float32)
        return Reference(
            predicted=quality,
            score=quality,
            input_tokens=np.full(r, 10.0, np.float32),
            output_tokens=np.full((r, m), 5.0, np.float32),
            cost_usd=np.tile(np.linspace(0.03, 0.01, m, dtype=np.float32), (r, 1)),
        )


def test_a_candidate_without_a_price_counts_at_its_recorded_cost() -> None:
    unpriced = replace(THREE, candidates=tuple(replace(c, price=None) for c in THREE.candidates))
    made = engine(unpriced, router=Remembering())
    made.check()
    found = made.decide(LONG, spec(1.0))
    assert not found.fallback
    assert found.model == "small"
    assert found.expected_cost_usd["small"] == pytest.approx(0.01, rel=1e-3)


def test_three_candidates_need_a_prompt_that_all_were_scored_on() -> None:
    class Apart(Remembering):
        def reference(self, candidates: Sequence[Candidate]) -> Reference:
            found = super().reference(candidates)
            score = found.score.copy()
            score[::2, 0] = np.nan
            score[1::2, 1] = np.nan
            return replace(found, score=score)

    with pytest.raises(InputError, match="score of every candidate"):
        engine(THREE, router=Apart()).check()
    engine(TWO, router=Apart()).check()


def test_recorded_costs_are_worked_out_once() -> None:
    class Counting(Remembering):
        asked_for_reference = 0

        def reference(self, candidates: Sequence[Candidate]) -> Reference:
            type(self).asked_for_reference += 1
            return super().reference(candidates)

    pool = Pool(candidates=(Candidate(name="a"), Candidate(name="b")), default="a")
    made = engine(pool, router=Counting())
    costs = [made.decide(LONG, spec()).expected_cost_usd["a"] for _ in range(5)]
    assert costs == [pytest.approx(0.03, rel=1e-3)] * 5
    assert Counting.asked_for_reference == 1


def test_the_pool_decides_what_a_threshold_means_not_who_is_left() -> None:
    made = engine(THREE, router=Remembering())
    assert made.decide(LONG, spec(), allow=["medium", "small"]).policy == "hull"


def test_operating_points_are_worked_out_once_for_all_thresholds() -> None:
    class Counting(Remembering):
        asked_for_reference = 0

        def reference(self, candidates: Sequence[Candidate]) -> Reference:
            type(self).asked_for_reference += 1
            return super().reference(candidates)

    made = engine(THREE, router=Counting())
    for threshold in np.linspace(0, 1, 20):
        made.decide(LONG, spec(float(threshold)))
    assert Counting.asked_for_reference == 1


@dataclass
class Sleeping(Length):
    """Fails after a while, as a judge does whose server is late."""

    seconds: float = 0.02

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        time.sleep(self.seconds)
        raise RouterError("too late")


@dataclass
class Slow(Length):
    """Says that it takes long."""

    name: str = "slow"
    waits: bool = True


def test_a_fallback_route_decides_where_its_router_fails(caplog: pytest.LogCaptureFixture) -> None:
    judge, spare = Length(name="judge"), Length(name="spare", fingerprint="fp_spare")
    spec = RouteSpec("spare", 0.9)
    engine = Engine(TWO, {"judge": judge, "spare": spare}, fallbacks={"judge": spec})
    spare_predict = spare.predict
    judge.error = RouterError

    def unbroken(queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        return spare_predict([replace(q, text="short") for q in queries], candidates)

    spare.predict = unbroken  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, logger="turnout.engine"):
        made = engine.decide(Query.of("broken"), RouteSpec("judge", 0.1))
    assert (made.router, made.threshold, made.model) == ("spare", 0.9, "small")
    assert made.fallback
    assert made.artifact == "fp_spare"
    assert made.notes == ("router judge failed, router-spare-0.9 decided: the encoder is gone",)
    assert engine.fallbacks == 1
    assert "router-spare-0.9 decides" in caplog.text


def test_where_the_fallback_fails_too_the_default_serves() -> None:
    both = {"judge": Length(name="judge"), "spare": Length(name="spare")}
    engine = Engine(TWO, both, fallbacks={"judge": RouteSpec("spare", 0.5)})
    made = engine.decide(Query.of("broken"), RouteSpec("judge", 0.1))
    assert (made.model, made.code, made.fallback) == ("large", "router_failed", True)
    assert any("router judge failed" in note for note in made.notes)
    assert engine.fallbacks == 1  # one decision, though two routers failed


@pytest.mark.parametrize("text", ["broken", "brok"])
def test_the_time_of_a_fallback_counts_the_router_that_failed(text: str) -> None:
    slow = Sleeping(name="judge")
    both = {"judge": slow, "spare": Length(name="spare")}
    engine = Engine(TWO, both, fallbacks={"judge": RouteSpec("spare", 0.5)})
    made = engine.decide(Query.of(text), RouteSpec("judge", 0.1))
    assert made.fallback
    assert made.elapsed_us >= slow.seconds * 1e6


def test_a_fallback_must_exist_and_have_none_of_its_own() -> None:
    both = {"judge": Length(name="judge"), "spare": Length(name="spare")}
    with pytest.raises(UnknownNameError, match="gone"):
        Engine(TWO, both, fallbacks={"judge": RouteSpec("gone", 0.5)})
    with pytest.raises(InputError, match=r"fallback of judge.*no fallback of its own"):
        Engine(TWO, both, fallbacks={"judge": RouteSpec("judge", 0.5)})
    each = {"judge": RouteSpec("spare", 0.5), "spare": RouteSpec("judge", 0.5)}
    with pytest.raises(InputError, match="fallback of judge"):
        Engine(TWO, both, fallbacks=each)


def test_a_route_waits_where_its_router_or_its_fallback_does() -> None:
    routers: dict[str, Router] = {"quick": Length(), "slow": Slow(), "other": Length()}
    engine = Engine(TWO, routers, fallbacks={"quick": RouteSpec("slow", 0.5)})
    assert engine.waits("slow")
    assert engine.waits("quick")
    assert not engine.waits("other")
    assert not engine.waits("nobody")


def attempts(made: Decision) -> list[str]:
    return [attempt.candidate for attempt in made.attempts]


def test_spares_follow_the_choice_best_first_and_none_that_is_out() -> None:
    spared = Engine(THREE, {"length": Length()}, spares=2)
    easy = spared.decide(Query.of("x"), spec(1.0))
    assert attempts(easy) == ["small", "large", "medium"]
    assert easy.model == "small"
    assert easy.attempts[1].reason == "serves if small fails"
    seeing = Query.of("x", needs=frozenset({"vision"}))
    assert "small" in spared.decide(seeing, spec(1.0)).excluded
    assert "small" not in attempts(spared.decide(seeing, spec(1.0)))
    allowed = spared.decide(Query.of("x"), spec(1.0), allow=["small", "medium"])
    assert attempts(allowed) == ["small", "medium"]


def test_without_spares_a_decision_is_one_attempt_and_a_name_never_has_any() -> None:
    assert attempts(engine().decide(Query.of("x"), spec())) == ["small"]
    spared = Engine(TWO, {"length": Length()}, spares=5)
    assert attempts(spared.decide(Query.of("x"), spec())) == ["small", "large"]
    assert attempts(spared.by_name(Query.of("x"), "small")) == ["small"]
    failed = spared.decide(Query.of("broken"), spec())
    assert attempts(failed) == ["large", "small"]
