"""Counters that processes share: many workers on one budget, processes that die, a Redis that is gone."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from access_made import budget

from counters_made import Times, Wire, in_redis, redis_url
from turnout.access.counters import Hold, Refusal
from turnout.access.limits import Limit
from turnout.access.memory import MemoryCounters
from turnout.access.redis_counters import RedisCounters
from turnout.errors import AccessDownError
from turnout.types import PICO

LIMIT = budget(10)
RATE = Limit("key:a", "requests", 3, None, "key a")


def cost(usd: float) -> int:
    return round(usd * PICO)


async def take(counters: RedisCounters, usd: float = 1.0, limit: Limit = LIMIT) -> Hold | Refusal:
    name = f"d{secrets.token_hex(8)}"
    return await counters.reserve(name, (limit,), cost=cost(usd), tokens=1)


async def until(wanted: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(1_000):
        if await wanted():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come")


WORKER = """
import asyncio, json, sys
from turnout.access.counters import Hold
from turnout.access.limits import Limit
from turnout.access.redis_counters import RedisCounters
from turnout.access.redis_link import RedisLink

url, prefix, turns, end = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
limits = (
    Limit("key:a", "concurrent", 10**6, None, "key a"), Limit("key:a", "requests", 400, None, "key a"),
    Limit("key:a", "usd", 250 * 7, "total", "key a"),
)

async def main():
    link = RedisLink(url=url, timeout_s=30)
    counters = RedisCounters(link=link, prefix=prefix, hold_s=2)
    async with link.running():
        print("ready", flush=True)
        sys.stdin.readline()
        async def one(i):
            return await counters.reserve(f"{prefix}-{sys.argv[5]}-{i}", limits, cost=7, tokens=1)
        found = await asyncio.gather(*(one(i) for i in range(turns)))
        holds = [f for f in found if isinstance(f, Hold)]
        print(json.dumps(len(holds)), flush=True)
        sys.stdin.readline()  # nobody settles before all have reserved
        if end == "die":
            import os
            os._exit(9)
        for hold in holds:
            counters.settle(hold, cost=3, tokens=1)

asyncio.run(main())
"""


def workers(prefix: str, count: int, turns: int, end: str = "live") -> list[int]:
    """How many reservations each of some processes got; all begin together."""
    command = [sys.executable, "-c", WORKER, redis_url(), prefix, str(turns), end]
    running = [
        subprocess.Popen(
            [*command, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for i in range(count)
    ]  # fmt: skip
    for worker in running:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    found = []
    for worker in running:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in running:
        assert worker.stdout is not None
        found.append(json.loads(worker.stdout.readline()))
    for worker in running:
        worker.communicate("\n", timeout=60)
    return found


def test_four_processes_hold_one_limit() -> None:
    """Fault 49: limits hold over processes, not times N."""
    prefix = f"test-{secrets.token_hex(6)}"
    found = workers(prefix, 4, 150)
    assert sum(found) == 250, "the budget, to the last unit"
    limit = Limit("key:a", "usd", 250 * 7, "total", "key a")

    async def spent() -> int:
        async with in_redis(prefix=prefix) as counters:
            return (await counters.used([limit]))[0]

    assert asyncio.run(spent()) == 250 * 3, "and no settlement was lost"


def test_what_a_dead_process_had_reserved_comes_back() -> None:
    prefix = f"test-{secrets.token_hex(6)}"
    assert sum(workers(prefix, 1, 250, "die")) == 250
    limits = (
        Limit("key:a", "usd", 250 * 7, "total", "key a"),
        Limit("key:a", "concurrent", 250, None, "key a"),
    )

    async def work() -> None:
        async with in_redis(prefix=prefix, hold_s=2) as counters:

            async def back() -> bool:
                found = await counters.reserve(secrets.token_hex(8), limits, cost=7 * 250, tokens=1)
                return isinstance(found, Hold)

            assert not await back()
            await until(back)

    asyncio.run(work())


def test_a_hold_that_came_back_too_early_is_booked_all_the_same() -> None:
    async def work() -> None:
        times = Times()
        async with in_redis(times, hold_s=10) as counters:
            slow = await take(counters, 8)
            times.move(11)
            quick = await take(counters, 8)
            assert isinstance(slow, Hold)
            assert isinstance(quick, Hold), "the first came back"
            counters.settle(slow, cost=cost(5), tokens=1)
            counters.settle(slow, cost=cost(5), tokens=1)  # told twice: counted once
            await counters.flush()
            assert await counters.used([LIMIT]) == [cost(13)]

    asyncio.run(work())


def test_a_redis_that_is_gone_refuses_what_is_limited_and_recovers() -> None:
    async def work() -> None:
        wire = Wire(redis_url())
        await wire.mend()
        async with in_redis(url=wire.here, timeout_s=0.5) as counters:
            first = await take(counters, 2)
            assert isinstance(first, Hold)
            await wire.cut()
            with pytest.raises(AccessDownError, match="cannot be reached"):
                await take(counters)
            with pytest.raises(AccessDownError):
                await take(counters)
            assert counters.link.failures >= 1
            counters.settle(first, cost=cost(1), tokens=1)  # while it is gone
            await wire.mend()

            async def back() -> bool:
                try:
                    return isinstance(await take(counters, 0), Hold)
                except AccessDownError:
                    return False

            await until(back)
            await counters.flush()
            assert await counters.used([LIMIT]) == [cost(1)], (
                "settled late, and nothing left behind"
            )
            await wire.cut()

    asyncio.run(work())


def test_a_slow_redis_counts_as_gone_and_is_not_waited_for_by_each() -> None:
    async def work() -> None:
        wire = Wire(redis_url())
        await wire.mend()
        async with in_redis(url=wire.here, timeout_s=0.5) as counters:
            assert isinstance(await take(counters), Hold)
            wire.delay_s = 1.2
            begun = asyncio.get_running_loop().time()
            found = await asyncio.gather(
                *(take(counters) for _ in range(50)), return_exceptions=True
            )
            assert all(isinstance(f, AccessDownError) for f in found)
            for _ in range(200):
                with pytest.raises(AccessDownError):
                    await take(counters)
            assert asyncio.get_running_loop().time() - begun < 3.0
            wire.delay_s = 0.0

            async def whole() -> bool:
                """What was reserved without an answer has come back."""
                try:
                    await counters.flush()
                    return await counters.used([LIMIT]) == [cost(1)]
                except AccessDownError:
                    return False

            await until(whole)
            await wire.cut()

    asyncio.run(work())


def test_a_process_may_count_for_itself_meanwhile() -> None:
    async def work() -> None:
        wire = Wire(redis_url())
        await wire.mend()
        local = MemoryCounters(share=0.2)
        async with in_redis(url=wire.here, timeout_s=0.5, local=local) as counters:
            assert isinstance(await take(counters, 3), Hold)
            await wire.cut()
            held = [await take(counters, 1) for _ in range(4)]
            assert [isinstance(h, Hold) for h in held] == [True, True, False, False], (
                "a fifth of $10"
            )
            for hold in held[:2]:
                assert isinstance(hold, Hold)
                counters.settle(hold, cost=cost(0.5), tokens=1)
            await wire.mend()

            async def booked() -> bool:
                try:
                    await counters.flush()
                    return await counters.used([LIMIT]) == [cost(4)]
                except AccessDownError:
                    return False

            await until(booked)
            await wire.cut()

    asyncio.run(work())


def test_a_redis_that_forgot_is_told_again() -> None:
    async def work() -> None:
        times, told = Times(), []

        async def again() -> None:
            told.append(1)
            await counters.seed({(LIMIT.id, 0): cost(9)})

        async with in_redis(times, seed_again=again) as counters:
            found = await asyncio.gather(*(take(counters, 2) for _ in range(20)))
            assert all(isinstance(f, Refusal) and f.left == cost(1) for f in found)
            assert told == [1]
            redis: Any = counters.link.redis
            async for name in redis.scan_iter(f"{{{counters.prefix}}}:*"):
                await redis.delete(name)
            await redis.script_flush()
            assert isinstance(await take(counters, 1), Hold)
            assert isinstance(await take(counters, 1), Refusal)
            assert told == [1, 1]

    asyncio.run(work())


def test_nothing_is_left_in_redis_that_never_ends() -> None:
    async def work() -> None:
        async with in_redis() as counters:
            limits = (RATE, budget(1, window="day"), Limit("key:a", "concurrent", 9, None, "key a"))
            for i in range(3):
                hold = await counters.reserve(f"d{i}", limits, cost=1, tokens=1)
                assert isinstance(hold, Hold)
                counters.settle(hold, cost=1, tokens=1)
            await counters.flush()
            redis: Any = counters.link.redis
            names = [name async for name in redis.scan_iter(f"{{{counters.prefix}}}:*")]
            assert names
            for name in names:
                assert await redis.ttl(name) > 0, name

    asyncio.run(work())


def test_steps_nobody_waits_for_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.access.redis_link.MOST_WAITING", 5)

    async def work() -> None:
        async with in_redis(url="redis://127.0.0.1:9/0", timeout_s=0.1) as counters:
            hold = Hold("d", (LIMIT,), (1,), (0,), ())
            for _ in range(8):
                counters.settle(hold, cost=1, tokens=1)
            assert counters.link.given_up == 3

    asyncio.run(work())


def test_secrets_of_the_url_are_in_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with in_redis(url="redis://:canary-77@127.0.0.1:9/0", timeout_s=0.2) as counters:
            with pytest.raises(AccessDownError) as caught:
                await take(counters)
            assert "canary-77" not in str(caught.value)

    asyncio.run(work())
    assert "canary-77" not in caplog.text
