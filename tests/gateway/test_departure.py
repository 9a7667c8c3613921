"""Work for a client that leaves: when it is cut off, and that nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from turnout.errors import DeadlineError
from turnout.gateway.http.asgi import Call, ClientLeftError, Departure


class Line:
    """A client's connection, as a writer tells of it."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone, self.watching = gone, None

    watching: Callable[[], None] | None

    def body(self) -> bytes | None:
        return None

    def whole(self, status: int, headers: Mapping[str, str], content: bytes) -> bool:
        return False

    def begin(self, status: int, headers: Mapping[str, str], content: bytes) -> bool:
        return False

    def piece(self, content: bytes) -> bool:
        return False

    def last(self, content: bytes) -> bool:
        return False

    def watch(self, gone: Callable[[], None] | None) -> None:
        self.watching = gone
        if gone is not None and self.gone:
            gone()


async def nothing() -> Any:
    await asyncio.Event().wait()


async def never_sent(message: Any) -> None:
    raise AssertionError("nothing is to be sent")


def test_for_a_client_that_has_left_no_work_is_begun() -> None:
    async def work() -> list[str]:
        done = []
        with pytest.raises(ClientLeftError):
            async with Departure(nothing, writer=Line(gone=True)):
                done.append("began")
        await asyncio.sleep(0)  # the task is not cancelled for it
        return done

    assert asyncio.run(work()) == []


def test_work_is_cut_off_where_its_client_leaves_and_goes_on_after_it() -> None:
    async def cut_off(line: Line) -> None:
        async with Departure(nothing, writer=line):
            assert line.watching is not None
            asyncio.get_running_loop().call_soon(line.watching)
            await asyncio.sleep(30)

    async def work() -> None:
        line = Line()
        with pytest.raises(ClientLeftError):
            await cut_off(line)
        assert line.watching is None
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(work(), 5))


def test_work_that_stays_is_done_though_its_client_has_left() -> None:
    async def work() -> str:
        async with Departure(nothing, stays=True, writer=Line(gone=True)):
            await asyncio.sleep(0)
        return "done"

    assert asyncio.run(work()) == "done"


def test_what_was_spent_before_is_of_the_time_too() -> None:
    async def work() -> None:
        async with Departure(nothing, 40.0, 39.99, writer=Line()):
            await asyncio.sleep(30)

    with pytest.raises(DeadlineError, match="within the 40 s"):
        asyncio.run(asyncio.wait_for(work(), 5))


def test_a_time_begins_with_the_request() -> None:
    call = Call({"method": "POST", "path": "/v1/route", "headers": []}, nothing, never_sent)
    call.trail.arrived -= 41.0
    call.trail.waited_s = 1.5  # for its own body

    async def work(within_s: float) -> str:
        async with call.unless_gone(within_s):
            await asyncio.sleep(0.05)
            return "done"

    assert asyncio.run(work(60.0)) == "done"
    with pytest.raises(DeadlineError, match=r"within the 39\.4 s"):
        asyncio.run(asyncio.wait_for(work(39.4), 5))


def test_work_beyond_its_time_is_late() -> None:
    async def work() -> None:
        async with Departure(nothing, 0.01, writer=Line()):
            await asyncio.sleep(30)

    with pytest.raises(DeadlineError):
        asyncio.run(asyncio.wait_for(work(), 5))
