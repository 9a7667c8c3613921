"""Attempts in order until an answer is accepted: one loop without I/O, for sync and async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TypeVar

from turnout.errors import TurnoutError, UpstreamError
from turnout.types import Attempt, Decision

T = TypeVar("T")


def attempts(decision: Decision) -> Generator[Attempt, T | UpstreamError, T]:
    """Yield each attempt, receive its answer or error, return the first accepted answer.

    A decision of one attempt raises its own error unchanged; of several, the first error is raised
    when none was accepted, with the later ones noted on it.

    Raises:
        UpstreamError: no attempt was accepted.
    """
    failed: UpstreamError | None = None
    for attempt in decision.attempts:
        result = yield attempt
        if not isinstance(result, UpstreamError):
            return result
        if failed is None:
            failed = result
        else:
            failed.add_note(f"then {attempt.candidate} failed too: {result}")
    if failed is None:
        raise TurnoutError(f"decision {decision.id} holds no attempt")
    raise failed


def run(decision: Decision, call: Callable[[Attempt], T]) -> T:
    """Drive the attempts with a blocking call, which raises `UpstreamError` where it fails."""
    flow: Generator[Attempt, T | UpstreamError, T] = attempts(decision)
    step = partial(next, flow)
    while True:
        try:
            attempt = step()
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        try:
            step = partial(flow.send, call(attempt))
        except UpstreamError as error:
            step = partial(flow.send, error)


async def arun(decision: Decision, call: Callable[[Attempt], Awaitable[T]]) -> T:
    """`run` for an asynchronous call."""
    flow: Generator[Attempt, T | UpstreamError, T] = attempts(decision)
    step = partial(next, flow)
    while True:
        try:
            attempt = step()
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        try:
            step = partial(flow.send, await call(attempt))
        except UpstreamError as error:
            step = partial(flow.send, error)
