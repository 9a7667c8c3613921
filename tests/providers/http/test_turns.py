"""Turns at the loop: each comes, in order, a few in a round; streams that wait for theirs lose nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise

from scripted import Scripted, against, chunked
from turnout.providers.http.connection import Waits
from turnout.providers.http.pool import Origin
from turnout.providers.http.turns import AT_ONCE, FREE, MANY, Turns

STREAMS = 4 * MANY


def test_turns_come_in_order_and_a_few_in_a_round() -> None:
    async def work() -> None:
        turns, called, seen = Turns(), list[int](), [0]
        many = [turns.take(partial(called.append, i)) for i in range(STREAMS)]
        assert many == [i >= MANY for i in range(STREAMS)]
        assert called == []
        while len(called) < STREAMS:
            await asyncio.sleep(0)
            seen.append(len(called))
        assert called == list(range(STREAMS))
        assert {after - before for before, after in pairwise(seen)} <= {0, AT_ONCE}

    asyncio.run(asyncio.wait_for(work(), 5))


def test_a_few_in_a_moment_are_free_unless_others_wait() -> None:
    async def work() -> None:
        turns, called = Turns(), list[int]()
        assert [turns.free(1.0) for _ in range(FREE + 2)] == [True] * FREE + [False] * 2
        assert turns.free(1.001)
        turns.take(partial(called.append, 1))
        assert not turns.free(1.002)
        while not called:
            await asyncio.sleep(0)
        assert turns.free(1.002)

    asyncio.run(asyncio.wait_for(work(), 5))


def test_a_turn_may_ask_for_another_one() -> None:
    async def work() -> None:
        turns, called = Turns(), list[str]()

        def first() -> None:
            called.append("first")
            turns.take(partial(called.append, "second"))

        turns.take(first)
        for _ in range(5):
            await asyncio.sleep(0)
        turns.take(partial(called.append, "third"))
        while len(called) < 3:
            await asyncio.sleep(0)
        assert called == ["first", "second", "third"]

    asyncio.run(asyncio.wait_for(work(), 5))


def test_a_turn_that_fails_holds_up_no_other() -> None:
    async def work() -> None:
        turns, called = Turns(), list[int]()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        for i in range(3 * AT_ONCE):
            turns.take(partial(called.append, i) if i else partial(int, "no number"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert called[-1] == 3 * AT_ONCE - 1
        assert len(called) >= 2 * AT_ONCE

    asyncio.run(asyncio.wait_for(work(), 5))


def test_many_streams_at_once_come_whole() -> None:
    words = [b"%d " % i for i in range(40)]

    async def stream(origin: Origin) -> bytes:
        got: list[bytes] = []

        def take(piece: bytes) -> bool:
            got.append(piece)
            return len(got) % 7 > 0  # now and then its reader has enough

        reply = await origin.post("/", {}, b"", Waits(idle_s=20))
        while (last := await reply.hand(take)) is None:
            await asyncio.sleep(0.001)
        return b"".join([*got, last])

    async def work(up: Scripted) -> list[bytes]:
        origin = Origin(up.url)
        found = []
        for _ in range(2):  # the second time on connections that are kept
            found += await asyncio.gather(*(stream(origin) for _ in range(STREAMS)))
        assert up.connections <= STREAMS
        return found

    upstream = Scripted()
    upstream.usual = chunked(*words)
    assert against(upstream, work) == [b"".join(words)] * (2 * STREAMS)
