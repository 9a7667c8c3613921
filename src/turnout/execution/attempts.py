"""Attempts in order until an answer is accepted: one loop without I/O, for sync and async.

What is called next after a failure depends on what failed (`verdict`), on which targets are fit
(`Plan`) and on a budget of further calls. The loop yields what to do and is sent what came of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, TypeAlias, TypeVar

from turnout.errors import TranslationError, TurnoutError, UnavailableError, UpstreamError
from turnout.types import Attempt, Decision

T = TypeVar("T")

Verdict: TypeAlias = Literal["final", "next", "larger"]
"""After a failure: pass it on, try another target, or try one with a larger context window."""


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint that serves a candidate; a candidate may have several."""

    candidate: str
    provider: str
    model: str
    """The name that the provider knows the model by."""
    key: str = field(init=False)
    """What its health is kept under: a model of a provider, whichever candidate calls it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.provider}/{self.model}")


@dataclass(frozen=True, slots=True)
class Try:
    """Call this target."""

    attempt: Attempt
    target: Target


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long before going on."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Late:
    """Told of a call that is slow to answer: a second one may be made beside it."""

    spares: bool = False
    """Whether of another candidate, where no other target of this one is fit."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No second call is made: wait for the first."""


@dataclass(frozen=True, slots=True)
class NotMade:
    """Told of a second call that did not go out after all."""


@dataclass(frozen=True, slots=True)
class Raced:
    """Told of two calls: what came of each (None: it was cut off), and which one counts."""

    won: Try
    results: Mapping[Try, object]


Step: TypeAlias = Try | Pause | Wait


class Plan(Protocol):
    """Which targets may be called, and how often. Told of everything that happens."""

    def pick(self, candidate: str, tried: frozenset[str]) -> Target | None:
        """The best fit target of a candidate that was not tried; None where there is none."""
        ...

    def last_resort(self, candidates: list[str]) -> Target | None:
        """Where no target is fit: the one to probe all the same, or None to refuse at once."""
        ...

    def larger(self, candidate: str, than: str) -> bool:
        """Whether a candidate's context window is larger than another's."""
        ...

    def may_call_again(self) -> bool:
        """Take a further call out of the budget, if it holds one."""
        ...

    def delay_s(self, retry: int, error: UpstreamError) -> float | None:
        """How long to wait before calling again what failed so; None: do not."""
        ...

    def began(self, target: Target) -> None:
        """A call goes out."""
        ...

    def ended(self, target: Target, error: UpstreamError | None) -> None:
        """It was answered, or failed."""
        ...

    def dropped(self, target: Target) -> None:
        """It was given up by this side, which says nothing of the target."""
        ...

    def overtaken(self, target: Target) -> None:
        """It was given up because another call, which began later, has answered."""
        ...

    def retry_after_s(self, candidates: list[str]) -> float:
        """When a target may be fit again."""
        ...


class Plain:
    """Each candidate is its own target and always fit; nothing is called twice."""

    def pick(self, candidate: str, tried: frozenset[str]) -> Target | None:
        """The candidate itself, once."""
        target = Target(candidate, "", candidate)
        return None if target.key in tried else target

    def last_resort(self, candidates: list[str]) -> Target | None:
        """Never asked for: every candidate is fit."""
        return Target(candidates[0], "", candidates[0]) if candidates else None

    def larger(self, candidate: str, than: str) -> bool:  # noqa: ARG002
        """Unknown: any other candidate may do."""
        return True

    def may_call_again(self) -> bool:
        """Always."""
        return True

    def delay_s(self, retry: int, error: UpstreamError) -> float | None:  # noqa: ARG002
        """Nothing is called again."""
        return None

    def began(self, target: Target) -> None:
        """Nothing is kept."""

    def ended(self, target: Target, error: UpstreamError | None) -> None:
        """Nothing is kept."""

    def dropped(self, target: Target) -> None:
        """Nothing is kept."""

    def overtaken(self, target: Target) -> None:
        """Nothing is kept."""

    def retry_after_s(self, candidates: list[str]) -> float:  # noqa: ARG002
        """At once."""
        return 0.0


def verdict(error: UpstreamError) -> Verdict:
    """What a failure says of trying elsewhere.

    A request that one upstream finds wrong (400, 404, 413, 422 …) is wrong for the others too, but
    for a context window that was too small. What is not the request's fault may go elsewhere:
    refused connections, silence, 401 and 403 (our key), 408, 409, 429 and 5xx.
    """
    if error.status is None:
        return "next"
    if error.status in (401, 403, 408, 409, 425, 429) or error.status >= 500:
        return "next"
    if error.status in (400, 413) and b"context_length_exceeded" in error.body[:4096]:
        return "larger"
    return "final"


def attempts(decision: Decision, plan: Plan | None = None) -> Generator[Step, object, object]:
    """Yield what to do, receive an answer or an error, return the first accepted answer.

    A call that fails is followed by another target of the same candidate, then by the next
    candidate; where all were tried, by a pause and the first one again. Every call after the first
    is taken from the plan's budget.

    Raises:
        UpstreamError: no attempt was accepted: the first error, with the later ones noted on it.
        TranslationError: no candidate's API can be told the request.
        UnavailableError: no target is fit to be called.
    """
    return (yield from _loop(decision, plan).run())


class _Loop:
    """The state of one walk over attempts."""

    def __init__(self, decision: Decision, plan: Plan) -> None:
        self._attempts, self._plan = decision.attempts, plan
        self._failed: UpstreamError | None = None
        self._last: UpstreamError | None = None
        self._calls = 0
        self._unsaid: TranslationError | None = None
        """Why a candidate's API could not be told this request; another's may."""
        self._not_again: frozenset[str] = frozenset()
        """Targets that have failed in this walk, or were called beside one that did."""
        self._outgrown: str | None = None
        """The candidate whose context window was too small."""
        self._made: tuple[Try, object] | None = None
        """The first call and what came of it, where it was made before the walk."""

    def first(self) -> Try | None:
        """The first call, taken before the walk: most requests need no other. None: walk."""
        attempt = self._attempts[0]
        target = self._plan.pick(attempt.candidate, frozenset())
        if target is None:
            return None
        self._calls = 1
        self._plan.began(target)
        return Try(attempt, target)

    def resume(self, target: Target) -> Try:
        """The first call, where it is under way already."""
        self._calls = 1
        return Try(self._attempts[0], target)

    def answered(self, first: Try) -> None:
        """The first call was answered: there is no walk."""
        self._plan.ended(first.target, None)

    def drop(self, first: Try) -> None:
        """The first call was given up."""
        self._plan.dropped(first.target)

    def go_on(self, first: Try, result: object) -> Generator[Step, object, object]:
        """The walk from a first call on that gave no answer."""
        self._made, self._calls = (first, result), 0
        return self.run()

    def run(self) -> Generator[Step, object, object]:
        result = yield from self._walk()
        retry = 0
        while isinstance(result, _Nothing) and self._last is not None and not result.final:
            delay = self._plan.delay_s(retry, self._last)
            if delay is None:
                break
            yield Pause(delay)
            retry += 1
            result = yield from self._walk()
        if not isinstance(result, _Nothing):
            return result
        raise self._failed or self._unsaid or self._unavailable()

    def _walk(self) -> Generator[Step, object, object]:
        """Each candidate's targets in turn; `_Nothing` where none gave an answer."""
        called = self._calls
        self._not_again = frozenset()
        for attempt in self._attempts:
            if self._outgrown and not self._plan.larger(attempt.candidate, self._outgrown):
                continue
            tried: frozenset[str] = frozenset()
            while (target := self._pick(attempt.candidate, tried)) is not None:
                result = yield from self._call(attempt, target)
                if not isinstance(result, _Nothing) or result.final:
                    return result
                tried |= {target.key} | self._not_again
                if self._outgrown == attempt.candidate:
                    break
        if self._calls == called and not (self._outgrown or self._unsaid):
            names = [a.candidate for a in self._attempts]
            probe = self._plan.last_resort(names)
            if probe is not None:
                attempt = next(a for a in self._attempts if a.candidate == probe.candidate)
                return (yield from self._call(attempt, probe))
        return _Nothing(final=self._calls == called)

    def _pick(self, candidate: str, tried: frozenset[str]) -> Target | None:
        if self._made is not None:
            return self._made[0].target
        return self._plan.pick(candidate, tried)

    def _call(self, attempt: Attempt, target: Target) -> Generator[Step, object, object]:
        if self._calls and not self._plan.may_call_again():
            return _Nothing(final=True)
        self._calls += 1
        if self._made is not None:
            (_, result), self._made = self._made, None
        else:
            self._plan.began(target)
            try:
                result = yield Try(attempt, target)
            except GeneratorExit:
                self._plan.dropped(target)
                raise
        if isinstance(result, Late):
            attempt, target, result = yield from self._race(attempt, target, result)
        if isinstance(result, TranslationError):
            self._plan.dropped(target)
            self._calls -= 1  # nothing went out
            self._unsaid = self._unsaid or result
            return _Nothing(final=False)
        if not isinstance(result, UpstreamError):
            self._plan.ended(target, None)
            return result
        self._plan.ended(target, result)
        self._not_again |= {target.key}
        self._note(attempt, result)
        kind = verdict(result)
        if kind == "larger":
            if self._outgrown is not None:  # one escalation is enough
                return _Nothing(final=True)
            self._outgrown = attempt.candidate
        return _Nothing(final=kind == "final")

    def _race(
        self, attempt: Attempt, target: Target, late: Late
    ) -> Generator[Step, object, tuple[Attempt, Target, object]]:
        """A second call beside one that is slow, where one may be: the call that counts, and its result."""
        second = self._second(attempt, target, late)
        step: Step = second or Wait()
        if second is not None:
            self._calls += 1
            self._not_again |= {second.target.key}
            self._plan.began(second.target)
        try:
            raced = yield step
        except GeneratorExit:
            self._plan.dropped(target)
            if second is not None:
                self._plan.dropped(second.target)
            raise
        if not isinstance(raced, Raced):
            return attempt, target, raced
        for todo, result in raced.results.items():
            if todo is not raced.won:
                self._over(todo, result)
        return raced.won.attempt, raced.won.target, raced.results[raced.won]

    def _second(self, attempt: Attempt, target: Target, late: Late) -> Try | None:
        """Another target of the same candidate, else of a later one, if the budget has a call left."""
        at = self._attempts.index(attempt)
        for other in (attempt, *(self._attempts[at + 1 :] if late.spares else ())):
            tried = self._not_again | {target.key}
            if found := self._plan.pick(other.candidate, tried):
                return Try(other, found) if self._plan.may_call_again() else None
        return None

    def _over(self, todo: Try, result: object) -> None:
        """One of two calls that does not count."""
        if result is None:
            self._plan.overtaken(todo.target)
        elif isinstance(result, NotMade | TranslationError):
            self._plan.dropped(todo.target)
            self._calls -= 1
        elif isinstance(result, UpstreamError):
            self._plan.ended(todo.target, result)
            self._note(todo.attempt, result)
        else:
            self._plan.ended(todo.target, None)

    def _note(self, attempt: Attempt, error: UpstreamError) -> None:
        self._last = error
        if self._failed is None:
            self._failed = error
        elif self._failed is not error:
            self._failed.add_note(f"then {attempt.candidate} failed too: {error}")

    def _unavailable(self) -> UnavailableError:
        names = [a.candidate for a in self._attempts]
        return UnavailableError(names, retry_after_s=self._plan.retry_after_s(names))


@dataclass(frozen=True, slots=True)
class _Nothing:
    """No answer; `final` where nothing more should be tried."""

    final: bool


def _loop(decision: Decision, plan: Plan | None) -> _Loop:
    if not decision.attempts:
        raise TurnoutError(f"decision {decision.id} holds no attempt")
    return _Loop(decision, plan or Plain())


def run(decision: Decision, call: Callable[[Try], T], plan: Plan | None = None) -> T:
    """Drive the attempts with a blocking call, which raises `UpstreamError` where it fails."""
    flow = attempts(decision, plan)
    step = partial(next, flow)
    while True:
        try:
            todo = step()
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        try:
            if isinstance(todo, Pause):
                time.sleep(todo.seconds)
                step = partial(flow.send, None)
            else:
                step = partial(flow.send, call(todo))
        except (UpstreamError, TranslationError) as error:
            step = partial(flow.send, error)
        except BaseException:
            flow.close()
            raise


async def arun(
    decision: Decision,
    call: Callable[[Try], Awaitable[T]],
    plan: Plan | None = None,
    under_way: Target | None = None,
) -> T:
    """`run` for an asynchronous call.

    Args:
        decision: with its attempts.
        call: makes one.
        plan: see `Plan`.
        under_way: where the first call went already, of which the plan was told; `call` gives what
            comes of it.
    """
    loop = _loop(decision, plan)
    first = loop.first() if under_way is None else loop.resume(under_way)
    if first is None:
        return await _walk_on(loop.run(), call)
    result: T | UpstreamError | TranslationError
    try:
        result = await call(first)
    except (UpstreamError, TranslationError) as error:
        result = error
    except BaseException:  # the caller has left, or a bug: no one goes on
        loop.drop(first)
        raise
    if not isinstance(result, UpstreamError | TranslationError):
        loop.answered(first)
        return result
    return await _walk_on(loop.go_on(first, result), call)


async def _walk_on(flow: Generator[Step, object, object], call: Callable[[Try], Awaitable[T]]) -> T:
    step = partial(next, flow)
    while True:
        try:
            todo = step()
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        try:
            if isinstance(todo, Pause):
                await asyncio.sleep(todo.seconds)
                step = partial(flow.send, None)
            else:
                step = partial(flow.send, await call(todo))
        except (UpstreamError, TranslationError) as error:
            step = partial(flow.send, error)
        except BaseException:  # the caller has left, or a bug: no one goes on
            flow.close()
            raise
