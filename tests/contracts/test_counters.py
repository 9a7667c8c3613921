"""What every kind of counters promises: never over a limit, all limits or none, exact settling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from counters_made import KINDS, Times, counting
from turnout.access.counters import Counters, Hold, Refusal
from turnout.access.limits import Limit
from turnout.settings.access import Window
from turnout.types import PICO

Work = Callable[[Counters, Times], Awaitable[Any]]
DAY_S = 86_400


def usd(cap: int, owner: str = "key:a", window: Window = "day") -> Limit:
    return Limit(owner, "usd", cap, window, owner)


def rate(cap: int, kind: Any = "requests", owner: str = "key:a") -> Limit:
    return Limit(owner, kind, cap, None, owner)


@pytest.fixture(params=KINDS)
def within(request: pytest.FixtureRequest) -> Callable[[Work], Any]:
    """Run some work over fresh counters."""

    def run(work: Work) -> Any:
        async def opened() -> Any:
            async with counting(request.param) as (counters, times):
                return await work(counters, times)

        return asyncio.run(opened())

    return run


_made = iter(range(10**9))


async def take(
    counters: Counters, limits: tuple[Limit, ...], cost: int = 1, tokens: int = 1
) -> Hold | Refusal:
    return await counters.reserve(f"d{next(_made)}", limits, cost=cost, tokens=tokens)


async def held(
    counters: Counters, limits: tuple[Limit, ...], cost: int = 1, tokens: int = 1
) -> Hold:
    found = await take(counters, limits, cost, tokens)
    assert isinstance(found, Hold)
    return found


async def refused(
    counters: Counters, limits: tuple[Limit, ...], cost: int = 1, tokens: int = 1
) -> Refusal:
    found = await take(counters, limits, cost, tokens)
    assert isinstance(found, Refusal)
    return found


async def settled(counters: Counters, hold: Hold, cost: int = 0, tokens: int = 0) -> None:
    counters.settle(hold, cost=cost, tokens=tokens)
    await flushed(counters)


async def flushed(counters: Counters) -> None:
    flush = getattr(counters, "flush", None)
    if flush is not None:
        await flush()


def test_a_budget_is_filled_to_the_last_unit(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = usd(10)
        assert list((await held(counters, (limit,), 7)).left) == [3]
        found = await refused(counters, (limit,), 4)
        assert (found.limit, found.left) == (limit, 3)
        await held(counters, (limit,), 3)
        assert (await refused(counters, (limit,), 1)).left == 0
        await held(counters, (limit,), 0)

    within(work)


def test_money_is_exact_beyond_what_a_float_holds(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        cap = 8_999_999 * PICO + 999_999_999_999
        limit = usd(cap)
        await held(counters, (limit,), cap - 1)
        assert (await refused(counters, (limit,), 2)).left == 1
        await held(counters, (limit,), 1)
        assert await counters.used([limit]) == [cap]

    within(work)


def test_settling_gives_back_and_takes_more(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = usd(10)
        hold = await held(counters, (limit,), 10)
        await settled(counters, hold, 4)
        assert await counters.used([limit]) == [4]
        hold = await held(counters, (limit,), 6)
        await settled(counters, hold, 9)
        assert await counters.used([limit]) == [13], "what was spent is spent"
        found = await refused(counters, (limit,), 0 + 1)
        assert found.left == 0

    within(work)


def test_all_limits_or_none(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limits = (
            rate(5, "concurrent"), rate(5), rate(50, "tokens"), usd(100), usd(9, "team:t"),
        )  # fmt: skip
        found = await refused(counters, limits, cost=10, tokens=10)
        assert found.limit.owner == "team:t"
        assert await counters.used(limits) == [0, 0, 0, 0, 0]
        hold = await held(counters, limits, cost=8, tokens=10)
        assert await counters.used(limits) == [1, 1, 10, 8, 8]
        await settled(counters, hold, cost=3, tokens=40)
        assert await counters.used(limits) == [0, 1, 40, 3, 3]

    within(work)


def test_the_first_limit_that_is_short_is_named(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limits = (rate(1), usd(1))
        await held(counters, limits, 1)
        assert (await refused(counters, limits, 1)).limit.kind == "requests"

    within(work)


def test_owners_do_not_share(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        await held(counters, (usd(5, "key:a"),), 5)
        await held(counters, (usd(5, "key:b"),), 5)
        await held(counters, (usd(5, "key:a", "hour"),), 5)
        await refused(counters, (usd(5, "key:a"),), 1)

    within(work)


@pytest.mark.parametrize(
    ("window", "seconds"), [("hour", 3_600), ("day", DAY_S), ("week", 7 * DAY_S)]
)
def test_a_window_rolls_once(within: Callable[[Work], Any], window: Window, seconds: int) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = usd(10, window=window)
        hold = await held(counters, (limit,), 10)
        found = await refused(counters, (limit,), 1)
        assert found.retry_after_s is not None
        assert 0 < found.retry_after_s <= seconds
        times.move(found.retry_after_s - 1)
        await refused(counters, (limit,), 1)
        times.move(1)
        await held(counters, (limit,), 9)
        await settled(counters, hold, 3)  # of the window before: this one is not touched
        assert await counters.used([limit]) == [9]

    within(work)


def test_total_never_rolls(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = usd(10, window="total")
        await held(counters, (limit,), 10)
        times.move(400 * DAY_S)
        assert (await refused(counters, (limit,), 1)).retry_after_s is None

    within(work)


def test_a_clock_that_jumps_back_an_hour_gives_no_budget_again(
    within: Callable[[Work], Any],
) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = usd(10, window="hour")
        times.move(3_600)
        await held(counters, (limit,), 10)
        times.wall_s -= 3_600
        await refused(counters, (limit,), 1)

    within(work)


def test_no_minute_holds_more_than_its_limit(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit, taken = rate(10), []
        for _ in range(300):
            if isinstance(await take(counters, (limit,)), Hold):
                taken.append(times.clock_s)
            times.move(0.7)
        for at in taken:
            assert sum(at <= other < at + 60 for other in taken) <= 10
        assert len(taken) >= 30, (
            "and it lets through what it may: ten a minute for three and a half"
        )

    within(work)


def test_when_there_is_room_again(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = rate(2)
        await held(counters, (limit,))
        times.move(20)
        await held(counters, (limit,))
        found = await refused(counters, (limit,))
        assert found.retry_after_s is not None
        assert 38 <= found.retry_after_s <= 41
        times.move(found.retry_after_s)
        await held(counters, (limit,))

    within(work)


def test_tokens_are_corrected_in_the_second_they_were_taken_in(
    within: Callable[[Work], Any],
) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = rate(100, "tokens")
        hold = await held(counters, (limit,), tokens=90)
        times.move(30)
        await settled(counters, hold, tokens=20)
        assert await counters.used([limit]) == [20]
        late = await held(counters, (limit,), tokens=80)
        times.move(31.5)  # the first is past, the second is not
        assert await counters.used([limit]) == [80]
        await settled(counters, late, tokens=150)
        assert (await refused(counters, (limit,), tokens=1)).left == 0
        assert (await refused(counters, (limit,), tokens=101)).retry_after_s is None

    within(work)


def test_requests_at_once(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit = rate(2, "concurrent")
        first = await held(counters, (limit,))
        await held(counters, (limit,))
        assert (await refused(counters, (limit,))).retry_after_s is not None
        await settled(counters, first)
        await held(counters, (limit,))

    within(work)


def test_what_was_spent_before_counts(within: Callable[[Work], Any]) -> None:
    async def work(counters: Counters, times: Times) -> None:
        limit, other = usd(10), usd(10, "key:b")
        start = int(times.wall_s) // DAY_S * DAY_S
        await held(counters, (other,), 9)
        await counters.seed({(limit.id, start): 8, (other.id, start): 3, ("key:c/day", 0): 9})
        assert await counters.used([limit, other]) == [8, 9]
        await refused(counters, (limit,), 3)
        await held(counters, (limit,), 2)

    within(work)


@pytest.mark.parametrize("callers", [500])
def test_parallel_callers_never_go_over_and_none_is_refused_falsely(
    within: Callable[[Work], Any], callers: int
) -> None:
    """Fault 48: 500 callers on one budget, 50 times."""

    async def work(counters: Counters, times: Times) -> None:
        for turn in range(50):
            limits = (usd(250 * 7, f"key:{turn}"), usd(10**9, "all"))
            found = await asyncio.gather(*(take(counters, limits, 7) for _ in range(callers)))
            holds = [f for f in found if isinstance(f, Hold)]
            assert len(holds) == 250, "to the last unit, and not one more"
            for hold in holds:
                counters.settle(hold, cost=3, tokens=1)
            await flushed(counters)
            assert (await counters.used(limits))[0] == 250 * 3
            again = await asyncio.gather(*(take(counters, limits, 4) for _ in range(callers)))
            assert sum(isinstance(f, Hold) for f in again) == 250, "what came back can be had"

    within(work)


class Oracle:
    """The same sums, kept naively."""

    def __init__(self, caps: dict[str, int]) -> None:
        self.caps = caps
        self.open: dict[str, tuple[tuple[str, ...], int]] = {}
        self.spent = dict.fromkeys(caps, 0)

    def used(self, owner: str) -> int:
        reserved = sum(cost for owners, cost in self.open.values() if owner in owners)
        return self.spent[owner] + reserved

    def fits(self, owners: tuple[str, ...], cost: int) -> bool:
        return all(self.used(o) + cost <= self.caps[o] for o in owners)


_STEP = st.tuples(
    st.sampled_from(["reserve", "settle"]),
    st.sampled_from([("a",), ("b",), ("a", "t"), ("b", "t"), ("a", "t", "all")]),
    st.integers(0, 60),
    st.integers(0, 80),
)


@pytest.mark.parametrize("kind", KINDS)
@given(steps=st.lists(_STEP, max_size=40))
@hypothesis_settings(max_examples=40)
def test_an_oracle_agrees(kind: str, steps: list[Any]) -> None:
    async def run() -> None:
        async with counting(kind) as (counters, _):
            oracle = Oracle({"a": 100, "b": 70, "t": 130, "all": 10**15})
            open_holds: list[Hold] = []
            for action, owners, cost, actual in steps:
                if action == "settle":
                    if open_holds:
                        hold = open_holds.pop(0)
                        await settled(counters, hold, actual)
                        for owner in oracle.open.pop(hold.id)[0]:
                            oracle.spent[owner] += actual
                    continue
                limits = tuple(usd(oracle.caps[o], o) for o in owners)
                fits = oracle.fits(owners, cost)
                found = await take(counters, limits, cost)
                assert isinstance(found, Hold) is fits
                if isinstance(found, Hold):
                    open_holds.append(found)
                    oracle.open[found.id] = (owners, cost)
                tight = counters.tightest(limits, 1 << 60)
                assert tight is None or tight.left >= 0
            owners = tuple(oracle.caps)
            used = await counters.used([usd(oracle.caps[o], o) for o in owners])
            assert used == [oracle.used(o) for o in owners]

    asyncio.run(run())
