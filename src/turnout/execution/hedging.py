"""Hedged calls: when one is slow to answer, a second one starts, and the first answer wins.

The loop of attempts says who is called (`attempts`); what is here says when, and runs two calls at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from turnout.errors import TranslationError, UpstreamError
from turnout.execution.attempts import (
    Late,
    NotMade,
    Pause,
    Plan,
    Raced,
    Try,
    Wait,
    attempts,
    verdict,
)
from turnout.execution.health import RetryBudget
from turnout.types import Decision

T = TypeVar("T")

LEAST_TIMES = 20
"""Answers that must have been seen before one is called slow."""
_MOST_TIMES = 200
_RESERVE = 1.0
"""Second calls that may be made before any request has earned one; paid back first."""
_MOST_HELD = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeRules:
    """When a candidate's call gets a second one beside it."""

    after_s: float | None
    """Without an answer; None: longer than 95% of its calls of late."""
    share: float = 0.05
    """Most of its requests that may."""
    spares: bool = False
    """Whether another candidate may be called, where no replica is fit."""


@dataclass(slots=True)
class Latencies:
    """How long the latest answers took to begin."""

    _seconds: list[float] = field(default_factory=list)
    _next: int = 0

    def add(self, seconds: float) -> None:
        """One more."""
        if len(self._seconds) < _MOST_TIMES:
            self._seconds.append(seconds)
        else:
            self._seconds[self._next] = seconds
        self._next = (self._next + 1) % _MOST_TIMES

    def p95_s(self) -> float | None:
        """95% of them were at most that long; None where there are too few to say."""
        count = len(self._seconds)
        if count < LEAST_TIMES:
            return None
        return sorted(self._seconds)[min(count - 1, -(-count * 95 // 100) - 1)]


class Hedges:
    """What is known of the candidates that may be hedged. One for an event loop.

    Args:
        rules: by candidate.
        clock: monotonic seconds.
    """

    def __init__(self, rules: Mapping[str, HedgeRules], clock: Callable[[], float]) -> None:
        self.rules, self.clock = rules, clock
        self._times: dict[tuple[str, bool], Latencies] = {}
        self._shares = {
            name: RetryBudget(share=r.share, most=_MOST_HELD, reserve=_RESERVE)
            for name, r in rules.items()
        }

    def after_s(self, candidate: str, *, stream: bool) -> float | None:
        """How long to wait for a call of a candidate; None: as long as it takes."""
        rules = self.rules.get(candidate)
        if rules is None:
            return None
        self._shares[candidate].first_call()
        if rules.after_s is not None:
            return rules.after_s
        times = self._times.get((candidate, stream))
        return None if times is None else times.p95_s()

    def take(self, candidate: str) -> bool:
        """One second call out of its share."""
        return self._shares[candidate].take()

    def take_over(self, old: Hedges) -> None:
        """Go on with the times that another one has seen, and with what is left of its shares."""
        self._times = {key: seen for key, seen in old._times.items() if key[0] in self.rules}
        for name, share in self._shares.items():
            if name in old._shares:
                share.take_over(old._shares[name])

    def saw(self, candidate: str, seconds: float, *, stream: bool) -> None:
        """A call has been answered after so long, or was given up after it."""
        if candidate in self.rules:
            self._times.setdefault((candidate, stream), Latencies()).add(seconds)


class Beside(Protocol):
    """What a second call needs of those who drive it."""

    async def may(self, second: Try) -> bool:
        """Whether it can be paid. It goes out right after this."""
        ...

    def lost(self, call: Try, result: object) -> None:
        """One of two calls is not used: what came of it, or None where it was cut off."""
        ...

    def close(self, result: object) -> None:
        """What came of a call is of no use to anybody."""
        ...


async def arun_hedged(
    decision: Decision,
    call: Callable[[Try], Awaitable[T]],
    plan: Plan,
    hedges: Hedges,
    beside: Beside,
    *,
    stream: bool = False,
) -> T:
    """`arun`, with a second call beside one that is slow; at most one for a request.

    Args:
        decision: to be carried out.
        call: makes a call; nothing of its result has gone to the client when it returns.
        plan: which targets may be called.
        hedges: when a call is slow.
        beside: pays for a second call, and is told of the one that lost.
        stream: whether the answer is a stream, whose beginning is what is waited for.
    """
    flow = attempts(decision, plan)
    drive = _Drive(call, hedges, beside, stream)
    todo: object
    try:
        todo = next(flow)
        while True:
            if isinstance(todo, Pause):
                await asyncio.sleep(todo.seconds)
                todo = flow.send(None)
            elif isinstance(todo, Try):
                todo = flow.send(await drive.one(todo, flow.send))
            else:
                raise TypeError(f"no step to be taken here: {type(todo).__name__}")
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    finally:
        flow.close()


class _Drive:
    """Makes the calls of one request."""

    def __init__(
        self,
        call: Callable[[Try], Awaitable[object]],
        hedges: Hedges,
        beside: Beside,
        stream: bool,
    ) -> None:
        self._call, self._hedges, self._beside, self._stream = call, hedges, beside, stream
        self._hedged = False

    async def one(self, todo: Try, tell: Callable[[object], object]) -> object:
        """One call, or two where it is slow: what to tell the flow of it."""
        name, start = todo.target.candidate, self._hedges.clock()
        after_s = None if self._hedged else self._hedges.after_s(name, stream=self._stream)
        if after_s is None:
            result = await self._result(todo)
            self._saw(todo, result, start)
            return result
        first = asyncio.ensure_future(self._result(todo))
        tasks: dict[asyncio.Future[object], Try] = {first: todo}
        try:
            await asyncio.wait({first}, timeout=after_s)
            if first.done() or not self._hedges.take(name):
                result = await first
                self._saw(todo, result, start)
                return result
            also = tell(Late(spares=self._hedges.rules[name].spares))
            if isinstance(also, Wait):
                result = await first
                self._saw(todo, result, start)
                return result
            if not isinstance(also, Try):
                raise TypeError(f"no second call: {type(also).__name__}")
            self._hedged = True
            second = asyncio.ensure_future(self._second(also))
            tasks[second] = also
            raced = await self._race(tasks)
            now = self._hedges.clock()
            self._hedges.saw(name, now - start, stream=self._stream)
            return raced
        except BaseException:
            await self._give_up(tasks)
            raise

    async def _race(self, tasks: Mapping[asyncio.Future[object], Try]) -> Raced:
        """Wait for the first answer; a failure that is nobody's answer leaves the other one running."""
        results: dict[Try, object] = {}
        pending = set(tasks)
        won: Try | None = None
        while pending and won is None:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in (t for t in tasks if t in done):  # the one that began first comes first
                result = results[tasks[task]] = task.result()
                if won is None and _settles(result):
                    won = tasks[task]
        if won is None:  # both failed
            made = [todo for todo, result in results.items() if not isinstance(result, NotMade)]
            won = made[-1]
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        for task in pending:
            # It may have ended in this very moment.
            results[tasks[task]] = None if task.cancelled() else task.result()
        for todo, result in results.items():
            if todo is not won and not isinstance(result, NotMade):
                self._beside.lost(todo, result)
        return Raced(won, results)

    async def _give_up(self, tasks: Mapping[asyncio.Future[object], Try]) -> None:
        """Cut off all that runs: the client has left, or something is wrong here."""
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for i, (todo, result) in enumerate(zip(tasks.values(), results, strict=True)):
            # What came in this very moment is given to nobody.
            came = None if isinstance(result, asyncio.CancelledError) else result
            if i == 0:
                self._beside.close(came)
            else:
                self._beside.lost(todo, came)

    async def _second(self, todo: Try) -> object:
        return await self._result(todo) if await self._beside.may(todo) else NotMade()

    async def _result(self, todo: Try) -> object:
        try:
            return await self._call(todo)
        except (UpstreamError, TranslationError) as error:
            return error

    def _saw(self, todo: Try, result: object, start: float) -> None:
        if not isinstance(result, UpstreamError | TranslationError):
            seconds = self._hedges.clock() - start
            self._hedges.saw(todo.target.candidate, seconds, stream=self._stream)


def _settles(result: object) -> bool:
    """Whether the other call need not be waited for: an answer, or what is the request's own fault."""
    if isinstance(result, UpstreamError):
        return verdict(result) == "final"
    return not isinstance(result, TranslationError | NotMade)
