"""Decisions of requests that arrive together: made together, the same as alone, in short slices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest

from turnout.engine import Engine
from turnout.errors import NoCandidateError
from turnout.gateway.routing.deciding import MOST, Deciding
from turnout.names import RouteSpec
from turnout.types import Candidate, Decision, Pool, Prediction, Query

T = TypeVar("T")
POOL = Pool(
    candidates=(Candidate(name="strong", context_tokens=10_000), Candidate(name="cheap")),
    default="strong",
)
SPEC = RouteSpec("seen", 0.5)


@dataclass
class Clock:
    """CPU seconds that only deciding takes."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Seen:
    """The longer the text, the better the strong model; it notes what came together."""

    clock: Clock = field(default_factory=Clock)
    each_s: float = 0.0
    waits: bool = False
    name: str = "seen"
    fingerprint: str | None = None
    sizes: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        self.sizes.append(len(queries))
        self.threads.add(threading.get_ident())
        self.clock.now += self.each_s * len(queries)
        if any("unreadable" in q.text for q in queries):
            raise ValueError("what is this?")
        hard = np.asarray([min(len(q.text) / 20, 1.0) for q in queries], dtype=np.float32)
        quality = np.stack([np.full_like(hard, 1.0), 1.0 - hard], axis=1)
        return Prediction(candidates=tuple(c.name for c in candidates), quality=quality)


def deciding(router: Seen) -> Deciding:
    return Deciding(engine=Engine(POOL, {"seen": router}), clock=router.clock)


def ask(made: Deciding, *texts: str, **query: Any) -> list[Awaitable[Decision]]:
    return [made.decide(Query.of(text, **query), SPEC, allow=None, explore=True) for text in texts]


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(work(), 10)

    return asyncio.run(bounded())


TEXTS = ["x" * n for n in range(1, 21)]


def test_what_arrives_together_is_decided_together_and_as_alone() -> None:
    router = Seen()
    made = deciding(router)
    together = run(lambda: asyncio.gather(*ask(made, *TEXTS)))
    assert sum(router.sizes) == 20
    assert router.sizes[0] == 1  # nobody knows yet what they take
    assert max(router.sizes) >= 4
    alone = [made.engine.decide(Query.of(text), SPEC) for text in TEXTS]
    assert [d.model for d in together] == [d.model for d in alone]
    assert {d.model for d in together} == {"strong", "cheap"}
    assert len({d.id for d in together}) == 20


def test_one_alone_waits_for_nobody() -> None:
    router = Seen()
    made = deciding(router)

    async def work() -> int:
        task = asyncio.ensure_future(ask(made, "hello")[0])
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert run(work) <= 4
    assert router.sizes == [1]


def test_routes_and_constraints_are_not_mixed() -> None:
    router = Seen()
    made = deciding(router)
    run(lambda: asyncio.gather(*ask(made, *TEXTS)))
    router.sizes.clear()

    async def work() -> list[Decision]:
        other = RouteSpec("seen", 0.2)
        return await asyncio.gather(
            *ask(made, "x" * 6, "y" * 6),
            made.decide(Query.of("x" * 6), other, allow=None, explore=True),
            made.decide(Query.of("x" * 6), SPEC, allow=["strong"], explore=False),
        )

    found = run(work)
    assert [d.model for d in found] == ["cheap", "cheap", "strong", "strong"]
    assert router.sizes == [2, 1]  # of one candidate nothing is predicted


def test_what_is_wrong_with_one_is_not_the_others_fault() -> None:
    router = Seen()
    made = deciding(router)
    run(lambda: asyncio.gather(*ask(made, *TEXTS)))

    async def work() -> list[Decision | BaseException]:
        huge = made.decide(Query.of("x", input_tokens=20_000), SPEC, allow=["strong"], explore=True)
        fine = [
            made.decide(Query.of("x" * 20), SPEC, allow=["strong"], explore=True) for _ in range(2)
        ]
        return await asyncio.gather(*fine, huge, return_exceptions=True)

    first, second, refused = run(work)
    assert isinstance(refused, NoCandidateError)
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)


def test_a_query_that_a_router_cannot_read_leaves_the_others_to_it() -> None:
    router = Seen()
    made = deciding(router)
    run(lambda: asyncio.gather(*ask(made, *TEXTS)))
    found = run(lambda: asyncio.gather(*ask(made, "hi", "unreadable", "ho")))
    assert [d.fallback for d in found] == [False, True, False]
    assert [d.model for d in found] == ["cheap", "strong", "cheap"]
    assert made.engine.fallbacks == 1


def test_a_slice_is_short_and_the_loop_serves_others_between_two() -> None:
    router = Seen(each_s=0.0005)
    made = deciding(router)
    turns: list[float] = []

    async def other() -> None:
        while True:
            turns.append(router.clock.now)
            await asyncio.sleep(0)

    async def work() -> None:
        beside = asyncio.ensure_future(other())
        await asyncio.gather(*ask(made, *["x"] * 80))
        beside.cancel()

    run(work)
    assert sum(router.sizes) == 80
    assert max(router.sizes) <= 5
    assert router.sizes[-10:-1] == [4] * 9
    waits = np.diff(turns)
    assert waits.max() <= 0.0025 + 1e-9  # while it learns what they take


def test_a_batch_is_bounded_however_quick_deciding_is() -> None:
    router = Seen(each_s=1e-9)
    made = deciding(router)
    run(lambda: asyncio.gather(*ask(made, *["x"] * 300)))
    assert MOST / 2 <= max(router.sizes) <= MOST


def test_nobody_is_decided_for_who_has_left() -> None:
    router = Seen()
    made = deciding(router)

    async def work() -> list[Decision]:
        tasks = [asyncio.ensure_future(asked) for asked in ask(made, "a", "b", "c")]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return [await tasks[0], await tasks[2]]

    assert len(run(work)) == 2
    assert sum(router.sizes) == 2


@pytest.mark.parametrize("slow", [True, False])
def test_a_router_that_waits_and_a_prompt_that_is_long_are_off_the_loop(slow: bool) -> None:
    router = Seen(waits=slow, each_s=0.001)
    made = deciding(router)
    here = threading.get_ident()

    async def work() -> None:
        if not slow:
            await ask(made, "short")[0]
            assert router.threads == {here}
            router.threads.clear()
        await ask(made, "x" * 20_000)[0]

    run(work)
    assert here not in router.threads
