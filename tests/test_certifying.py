from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from planted import CANDIDATES, SUCCESS, planted_prompts, planted_table
from turnout.calibration.certificate import Certificate
from turnout.calibration.evidence import Evidence
from turnout.calibration.promises import Promise
from turnout.certifying import certify
from turnout.data.table import OutcomeTable
from turnout.engine import Engine
from turnout.errors import DataError, InputError, NotCertifiedError, UnknownNameError
from turnout.routers.base import Router
from turnout.routers.random import RandomRouter
from turnout.routers.reference import Reference, ShareKnob
from turnout.types import Candidate, Outcome, PairRule, Pool, Prediction, Query
from turnout.wire.chat import query_of_prompt

NOW = 1_800_000_000.0
PAIR = (CANDIDATES[0], CANDIDATES[2])


REMEMBERED = planted_table(200, seed=77)
STARTS = ("Prove", "Translate", "Write", "Hello")


@dataclass
class Kinds(ShareKnob):
    """Knows the chance of each of the planted kinds, give or take a little by the text."""

    names: tuple[str, ...]
    name: str = "linear"
    fingerprint: str | None = "fp_kinds"
    pair: PairRule = field(default_factory=PairRule)

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        kinds = [STARTS.index(q.text.split()[0]) for q in queries]
        table = np.asarray([SUCCESS[c.name] for c in candidates]).T
        jitter = np.asarray([zlib.crc32(q.text.encode()) % 1000 / 1e4 for q in queries])
        quality = np.clip(table[kinds] - jitter[:, None] * np.arange(len(candidates)), 0, 1)
        names = tuple(c.name for c in candidates)
        return Prediction(candidates=names, quality=quality.astype(np.float32), pair=self.pair)

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        table = REMEMBERED.columns([c.name for c in candidates])
        queries = [query_of_prompt(p) for p in table.prompts]
        return Reference(
            predicted=self.predict(queries, candidates).quality,
            score=table.score,
            input_tokens=table.input_tokens[:, 0],
            output_tokens=table.output_tokens,
            cost_usd=table.cost_usd,
        )


@pytest.fixture(scope="module")
def routers() -> dict[int, Router]:
    """By the number of models."""
    return {m: Kinds(names) for m, names in ((2, ("large", "small")), (3, tuple(SUCCESS)))}


@pytest.fixture(scope="module")
def fresh() -> OutcomeTable:
    return planted_table(900, seed=5)


def engine(router: Router, candidates: Sequence[Candidate] = PAIR) -> Engine:
    return Engine(
        Pool(candidates=tuple(candidates), default=candidates[0].name), {"linear": router}
    )


def evidence(table: OutcomeTable, candidates: Sequence[Candidate] = PAIR) -> Evidence:
    return Evidence.of_outcomes(table, candidates, source="fresh.jsonl", fingerprint="f" * 64)


def make(made: Engine, given: Evidence, promise: Promise, **more: object) -> Certificate:
    return certify(made, "linear", given, promise, now=lambda: NOW, **more)  # type: ignore[arg-type]


FLOOR = Promise(kind="floor", value=0.95)


def test_a_floor_spares_calls_and_says_what_it_rests_on(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    made = engine(routers[2])
    found = make(made, evidence(fresh), FLOOR, encoder="e" * 64)
    assert found.promise == FLOOR
    assert found.confidence == 0.95
    assert (found.requests, found.groups) == (900, 900)
    assert found.models == ("large", "small")
    assert found.safe == "large"
    assert 0.95 <= found.bound < found.measured
    assert 0.6 < found.strong_share.value < 0.95
    assert found.saving is not None
    assert found.saving.low < found.saving.value < found.saving.high
    assert found.costs == "costs list prices of recorded tokens"
    assert (found.made_at, found.expires_at) == ("2027-01-15T08:00:00Z", "2027-04-15T08:00:00Z")
    assert found.artifact == routers[2].fingerprint
    # The route reads back to the decisions that were counted.
    decided = made.decide_many([query_of_prompt(p) for p in fresh.prompts], made.parse(found.route))
    assert np.mean([d.model == "large" for d in decided]) == found.strong_share.value


def test_a_weaker_promise_and_more_labels_never_spare_fewer_calls(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    made, all_of_it = engine(routers[2]), evidence(fresh)
    shares = [
        make(made, all_of_it, Promise(kind="max_loss", value=v)).strong_share.value
        for v in (0.05, 0.1, 0.2)
    ]
    assert shares == sorted(shares, reverse=True)
    half = make(made, evidence(fresh.rows(np.arange(450))), FLOOR).strong_share.value
    assert make(made, all_of_it, FLOOR).strong_share.value <= half + 0.02


def test_the_order_of_rows_and_their_copies_change_little_and_counts_tell(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    made, once = engine(routers[2]), evidence(fresh)
    twice = evidence(fresh.rows(np.repeat(np.arange(900), 2)))
    found = make(made, twice, FLOOR)
    assert (found.requests, found.groups) == (1800, 900)
    plain = make(made, once, FLOOR)
    assert found.route == plain.route  # a copy adds nothing
    assert found.bound == pytest.approx(plain.bound)


def test_three_models_go_along_the_hull(routers: dict[int, Router], fresh: OutcomeTable) -> None:
    made = engine(routers[3], CANDIDATES)
    found = make(made, evidence(fresh, CANDIDATES), Promise(kind="floor", value=0.9))
    assert found.models == ("large", "medium", "small")
    assert found.prices_decide
    assert found.strong_share.value < 0.8
    decided = made.decide_many([query_of_prompt(p) for p in fresh.prompts], made.parse(found.route))
    assert {d.policy for d in decided} == {"hull"}
    assert np.mean([d.model == "large" for d in decided]) == found.strong_share.value
    assert found.watched.score.startswith("predicted gap")


def test_cheap_promises_take_the_best_point_within(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    made, given = engine(routers[2]), evidence(fresh)
    share = make(made, given, Promise(kind="strong_share", value=0.4))
    assert 0.3 < share.strong_share.value < share.bound <= 0.4
    assert share.safe == "small"
    dear, cheap = 20 * 5e-6 + 100 * 20e-6, 20 * 0.05e-6 + 100 * 0.2e-6
    budget = Promise(kind="budget_usd", value=cheap + 0.4 * (dear - cheap))
    found = make(made, given, budget, most_usd=2 * dear)
    assert 0.15 < found.strong_share.value < 0.4
    assert found.measured < found.bound <= budget.value
    with pytest.raises(InputError, match=r"most_usd: 'large' .* give --most-usd"):
        make(made, given, budget)
    with pytest.raises(InputError, match=r"a request of the data costs 0.0021"):
        make(made, given, budget, most_usd=dear / 2)
    windows = tuple(replace(c, context_tokens=1000) for c in PAIR)
    assert make(engine(routers[2], windows), given, budget).route.startswith("router-linear-")
    bare = tuple(Candidate(name=c.name) for c in PAIR)
    with pytest.raises(InputError, match=r"price: 'large' .* no price of this model"):
        make(engine(routers[2], bare), given, budget, most_usd=1.0)
    assert make(engine(routers[2], bare), given, FLOOR).saving is None


def test_prompts_alone_do_for_a_share_and_not_for_quality(routers: dict[int, Router]) -> None:
    queries = [Query.of(prompt) for prompt in planted_prompts(400, seed=9)]
    given = Evidence.of_prompts(queries, PAIR, source="prompts.txt")
    found = make(engine(routers[2]), given, Promise(kind="strong_share", value=0.5))
    assert found.strong_share.value < 0.5
    with pytest.raises(InputError, match="a promise of quality needs labels"):
        make(engine(routers[2]), given, FLOOR)


def test_the_routed_share_has_a_promise_of_its_own(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    made, given = engine(routers[2]), evidence(fresh)
    promise = Promise(kind="max_loss", value=0.3, risk="routed")
    found = make(made, given, promise)
    assert found.measured < found.bound <= 0.3
    # Over all traffic the same loss allows far more: those kept strong count as no loss.
    everything = make(made, given, Promise(kind="max_loss", value=0.3))
    assert everything.strong_share.value < found.strong_share.value
    three = engine(routers[3], CANDIDATES)
    with pytest.raises(InputError, match="two models and a router that remembers"):
        make(three, evidence(fresh, CANDIDATES), promise)


def test_nothing_is_invented_where_nothing_can_be_shown(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    made = engine(routers[2])
    with pytest.raises(NotCertifiedError) as few:
        make(made, evidence(fresh.rows(np.arange(40))), FLOOR)
    assert "is not shown with a confidence of 95% by 40 groups" in str(few.value)
    assert "groups of prompts like these would show it with a chance of" in str(few.value)
    poor = replace(fresh, score=np.where(np.arange(3) == 2, 0.0, 1.0) * np.ones((900, 3), "f4"))
    with pytest.raises(NotCertifiedError, match="labels like these will not show it however many"):
        make(made, evidence(poor), Promise(kind="floor", value=1.0))


def test_what_cannot_be_certified_is_said(routers: dict[int, Router], fresh: OutcomeTable) -> None:
    made, given = engine(routers[2]), evidence(fresh)
    with pytest.raises(InputError, match=r"groups: 29 .* at least 30"):
        make(made, evidence(fresh.rows(np.arange(29))), FLOOR)
    with pytest.raises(InputError, match="with one there is nothing to choose"):
        make(engine(routers[2], PAIR[:1]), given, FLOOR)
    with pytest.raises(InputError, match=r"confidence: 0.5 .* such as 0.95"):
        make(made, given, FLOOR, confidence=0.5)
    with pytest.raises(InputError, match="expires_days: 0"):
        make(made, given, FLOOR, expires_days=0)
    with pytest.raises(UnknownNameError, match="no router named 'mf'"):
        certify(made, "mf", given, FLOOR)
    with pytest.raises(DataError, match=r"models: 'gpt-4' .* the data holds large, medium, small"):
        evidence(fresh, (Candidate(name="gpt-4"), PAIR[1]))

    @dataclass
    class Learning(RandomRouter):
        def partial_fit(
            self, outcomes: Sequence[Outcome], *, pool: Sequence[Candidate] = ()
        ) -> int:
            raise NotImplementedError

    with pytest.raises(InputError, match="it learns while it serves"):
        make(engine(Learning()), given, FLOOR)


def test_prompts_that_lack_a_score_are_left_out_and_counted(
    routers: dict[int, Router], fresh: OutcomeTable
) -> None:
    score = fresh.score.copy()
    score[:100, 2] = np.nan
    found = make(engine(routers[2]), evidence(replace(fresh, score=score)), FLOOR)
    assert (found.requests, found.left_out) == (800, 100)
    assert any("100 prompts lack a score" in note for note in found.notes)
    score[:, 2] = np.nan
    with pytest.raises(DataError, match="no prompt has a score of all of large, small"):
        evidence(replace(fresh, score=score))


def test_a_router_without_a_memory_is_tested_at_every_hundredth(fresh: OutcomeTable) -> None:
    made = engine(RandomRouter(seed=0))
    assert made.steps("linear") == tuple(i / 100 for i in range(101))
    found = make(made, evidence(fresh), Promise(kind="max_loss", value=0.2))
    assert found.artifact is None
    assert 0.5 < found.strong_share.value < 0.9
    with pytest.raises(UnknownNameError):
        made.steps("mf")
    three = Engine(Pool(candidates=CANDIDATES, default="large"), {"random": RandomRouter(seed=0)})
    assert three.steps("random") == tuple(i / 100 for i in range(101))


def test_steps_do_not_look_at_the_data_and_rise(routers: dict[int, Router]) -> None:
    for m, candidates in ((2, PAIR), (3, CANDIDATES)):
        steps = engine(routers[m], candidates).steps("linear")
        assert list(steps) == sorted(set(steps))
        assert steps[0] == 0.0
        assert steps[-1] <= 1.0
