"""Two calls at once: when the second starts, which answer counts, what is told of the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from turnout.errors import UpstreamError
from turnout.execution.attempts import Target, Try
from turnout.execution.hedging import LEAST_TIMES, HedgeRules, Hedges, Latencies, arun_hedged
from turnout.execution.resilience import Resilience, RetryRules
from turnout.types import Attempt, Decision


def decision(*names: str) -> Decision:
    tries = tuple(Attempt(candidate=name, reason="test") for name in names)
    return Decision(
        id="dec_1", router="r", policy="p", attempts=tries, code="test", reason="a test"
    )


def error(status: int = 503) -> UpstreamError:
    return UpstreamError("down", candidate="a", status=status)


@dataclass
class Told:
    """Pays for second calls, and notes what it is told."""

    pays: bool = True
    lost_calls: list[tuple[str, Any]] = field(default_factory=list)
    closed: list[Any] = field(default_factory=list)

    async def may(self, second: Try) -> bool:
        await asyncio.sleep(0)
        return self.pays

    def lost(self, call: Try, result: object) -> None:
        self.lost_calls.append((call.target.key, result))

    def close(self, result: object) -> None:
        self.closed.append(result)


class Stage:
    """Targets `p/m`, `q/m` of candidate `a` and `p/n` of `b`, and what each answers after how long."""

    def __init__(
        self, *, rules: HedgeRules | None = None, budget: float = 0.2, **answers: tuple[float, Any]
    ) -> None:
        self.answers, self.told = answers, Told()
        self.made: list[str] = []
        self.cut_off: list[str] = []
        clock: Callable[[], float] = lambda: asyncio.get_running_loop().time()  # noqa: E731
        self.plans = Resilience(
            targets={
                "a": [Target("a", "p", "m"), Target("a", "q", "m")],
                "b": [Target("b", "r", "m")],
            },
            windows={},
            clock=clock,
            rng=random.Random(1),
            retries=RetryRules(most=0, budget_share=budget),
        )
        self.hedges = Hedges({"a": rules or HedgeRules(after_s=0.03, share=1)}, clock)

    async def call(self, todo: Try) -> str:
        name = todo.target.provider
        self.made.append(name)
        seconds, result = self.answers[name]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cut_off.append(name)
            raise
        if isinstance(result, Exception):
            raise result
        return str(result)

    async def ask(self, *names: str) -> str:
        plan = self.plans.plan()
        made = decision(*(names or ("a",)))
        return await arun_hedged(made, self.call, plan, self.hedges, self.told)

    def in_flight(self) -> int:
        return sum(h.in_flight for h in self.plans.health.values())


def test_a_quick_call_has_none_beside_it() -> None:
    stage = Stage(p=(0, "one"), q=(0, "two"))
    assert asyncio.run(stage.ask()) == "one"
    assert (stage.made, stage.told.lost_calls) == (["p"], [])


def test_the_second_answers_first_and_the_slow_one_is_cut_off() -> None:
    stage = Stage(p=(5, "one"), q=(0, "two"))
    assert asyncio.run(stage.ask()) == "two"
    assert (stage.made, stage.cut_off) == (["p", "q"], ["p"])
    assert stage.told.lost_calls == [("p/m", None)]
    assert stage.plans.health["p/m"].latency_s >= 0.03, "it is known to be slow"
    assert stage.in_flight() == 0
    assert stage.plans.further_calls == 1


def test_the_first_may_still_win() -> None:
    stage = Stage(p=(0.06, "one"), q=(5, "two"))
    assert asyncio.run(stage.ask()) == "one"
    assert (stage.cut_off, stage.told.lost_calls) == (["q"], [("q/m", None)])
    assert stage.in_flight() == 0


def test_both_answer_in_one_moment() -> None:
    async def run() -> tuple[str, Stage]:
        stage = Stage(p=(0, "one"), q=(0, "two"))
        go = asyncio.Event()

        async def held(todo: Try) -> str:
            stage.made.append(todo.target.provider)
            await go.wait()
            return todo.target.provider

        asyncio.get_running_loop().call_later(0.08, go.set)
        plan = stage.plans.plan()
        return await arun_hedged(decision("a"), held, plan, stage.hedges, stage.told), stage

    answer, stage = asyncio.run(run())
    assert (answer, stage.made) == ("p", ["p", "q"])
    assert stage.told.lost_calls == [("q/m", "q")]
    assert stage.in_flight() == 0


def test_a_failure_leaves_the_other_one_running() -> None:
    for answers in ({"p": (0.05, error()), "q": (0.1, "two")},
                    {"p": (0.1, "two"), "q": (0, error())}):  # fmt: skip
        stage = Stage(**answers)
        assert asyncio.run(stage.ask()) == "two"
        [(_, result)] = stage.told.lost_calls
        assert isinstance(result, UpstreamError)
        assert stage.in_flight() == 0


def test_what_is_the_requests_own_fault_ends_both() -> None:
    stage = Stage(p=(5, "one"), q=(0, error(400)))
    with pytest.raises(UpstreamError) as caught:
        asyncio.run(stage.ask())
    assert caught.value.status == 400
    assert stage.cut_off == ["p"]


def test_where_both_fail_the_next_candidate_serves() -> None:
    stage = Stage(p=(0.05, error()), q=(0.05, error(500)), r=(0, "three"))
    assert asyncio.run(stage.ask("a", "b")) == "three"
    assert stage.made == ["p", "q", "r"]
    assert stage.in_flight() == 0


def test_another_candidate_only_where_the_rules_say_so() -> None:
    for spares, expected in ((True, "three"), (False, "one")):
        rules = HedgeRules(after_s=0.03, share=1, spares=spares)
        stage = Stage(rules=rules, p=(0.2, "one"), r=(0, "three"))
        stage.plans.targets = {"a": [Target("a", "p", "m")], "b": [Target("b", "r", "m")]}
        assert asyncio.run(stage.ask("a", "b")) == expected


def test_a_second_call_that_cannot_be_paid_is_not_made() -> None:
    stage = Stage(p=(0.1, "one"), q=(0, "two"))
    stage.told.pays = False
    assert asyncio.run(stage.ask()) == "one"
    assert (stage.made, stage.told.lost_calls, stage.in_flight()) == (["p"], [], 0)


def test_a_target_that_is_out_is_not_called_beside() -> None:
    stage = Stage(p=(0.1, "one"), q=(0, "two"))
    stage.plans.health["q/m"].state = "open"
    stage.plans.health["q/m"].out_until = 1e12
    assert asyncio.run(stage.ask()) == "one"
    assert stage.made == ["p"]


def test_the_share_and_the_budget_bound_second_calls() -> None:
    async def many(stage: Stage) -> None:
        for _ in range(40):
            await stage.ask()

    rules = HedgeRules(after_s=0.001, share=0.1)
    stage = Stage(rules=rules, budget=1.0, p=(0.01, "one"), q=(0.01, "two"))
    asyncio.run(many(stage))
    assert 3 <= stage.plans.further_calls <= 4  # a tenth, the first of them lent
    stage = Stage(rules=HedgeRules(after_s=0.001, share=1), budget=0.1, p=(0.01, 1), q=(0.01, 2))
    asyncio.run(many(stage))
    assert stage.plans.further_calls == 20  # the loan, of which a tenth of forty has paid four back


def test_a_reload_lends_no_second_time() -> None:
    rules = {"a": HedgeRules(after_s=1, share=0.1)}
    old, new = (Hedges(rules, clock=lambda: 0.0) for _ in range(2))
    old.after_s("a", stream=False)
    assert old.take("a")
    new.take_over(old)
    assert not new.take("a")


def test_who_gives_up_leaves_nothing_behind() -> None:
    async def run(stage: Stage) -> None:
        task = asyncio.create_task(stage.ask())
        await asyncio.sleep(0.08)
        assert stage.in_flight() == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    stage = Stage(p=(5, "one"), q=(5, "two"))
    asyncio.run(run(stage))
    assert sorted(stage.cut_off) == ["p", "q"]
    assert stage.told.lost_calls == [("q/m", None)]
    assert stage.in_flight() == 0


def test_a_bug_in_a_call_comes_out() -> None:
    stage = Stage(p=(0.06, RuntimeError("a bug")), q=(5, "two"))
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(stage.ask())
    assert stage.cut_off == ["q"]
    assert stage.in_flight() == 0


def test_what_is_slow_is_learned_of_streams_and_whole_answers_apart() -> None:
    hedges = Hedges({"a": HedgeRules(after_s=None)}, lambda: 0.0)
    assert hedges.after_s("b", stream=False) is None
    for i in range(100):
        known = hedges.after_s("a", stream=False)
        assert (known is None) is (i < LEAST_TIMES)
        hedges.saw("a", float(i), stream=False)
    assert hedges.after_s("a", stream=False) == 94.0
    assert hedges.after_s("a", stream=True) is None
    times = Latencies()
    for i in range(1_000):
        times.add(float(i))
    assert times.p95_s() == 989.0  # of the latest 200
