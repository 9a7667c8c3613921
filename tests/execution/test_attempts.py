"""One loop for every way to call: no event loop, no server, no mock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from turnout.errors import TranslationError, TurnoutError, UpstreamError
from turnout.execution import Try, arun, attempts, run
from turnout.types import Attempt, Decision


def decision(*names: str) -> Decision:
    tries = tuple(Attempt(candidate=name, reason="test") for name in names)
    return Decision(
        id="dec_1", router="r", policy="p", attempts=tries, code="test", reason="a test"
    )


def fails(candidate: str) -> UpstreamError:
    return UpstreamError(f"{candidate} is down", candidate=candidate, status=503)


def tried(step: object) -> str:
    assert isinstance(step, Try)
    return step.attempt.candidate


Drive = Callable[[Decision, Callable[[Try], str]], str]


def _arun(given: Decision, call: Callable[[Try], str]) -> str:
    async def later(todo: Try) -> str:
        await asyncio.sleep(0)
        return call(todo)

    return asyncio.run(arun(given, later))


@pytest.fixture(params=[run, _arun], ids=["run", "arun"])
def drive(request: pytest.FixtureRequest) -> Drive:
    drive: Drive = request.param
    return drive


def test_the_first_answer_ends_it() -> None:
    flow = attempts(decision("a", "b"))
    assert tried(next(flow)) == "a"
    with pytest.raises(StopIteration) as stop:
        flow.send("answer")
    assert stop.value.value == "answer"


def test_after_an_error_the_next_is_tried() -> None:
    flow = attempts(decision("a", "b"))
    assert tried(next(flow)) == "a"
    assert tried(flow.send(fails("a"))) == "b"
    with pytest.raises(StopIteration) as stop:
        flow.send("answer of b")
    assert stop.value.value == "answer of b"


def test_an_answer_of_nothing_is_an_answer() -> None:
    flow = attempts(decision("a", "b"))
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(None)


def scripted(**outcomes: str | Exception) -> tuple[Callable[[Try], str], list[str]]:
    called: list[str] = []

    def call(todo: Try) -> str:
        called.append(todo.attempt.candidate)
        outcome = outcomes[todo.attempt.candidate]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call, called


def test_only_what_is_needed_is_called(drive: Drive) -> None:
    call, called = scripted(a="from a", b="from b")
    assert drive(decision("a", "b"), call) == "from a"
    assert called == ["a"]


def test_a_fallback_serves_after_a_failure(drive: Drive) -> None:
    call, called = scripted(a=fails("a"), b="from b")
    assert drive(decision("a", "b"), call) == "from b"
    assert called == ["a", "b"]


def test_the_error_of_a_single_attempt_is_raised_unchanged(drive: Drive) -> None:
    error = fails("a")
    call, _ = scripted(a=error)
    with pytest.raises(UpstreamError) as caught:
        drive(decision("a"), call)
    assert caught.value is error
    assert not hasattr(error, "__notes__")


def test_of_several_failures_the_first_is_raised_and_the_others_are_noted(drive: Drive) -> None:
    call, called = scripted(a=fails("a"), b=fails("b"), c=fails("c"))
    with pytest.raises(UpstreamError, match="a is down") as caught:
        drive(decision("a", "b", "c"), call)
    assert called == ["a", "b", "c"]
    assert caught.value.__notes__ == [
        "then b failed too: b is down",
        "then c failed too: c is down",
    ]


def test_an_error_that_is_no_upstreams_is_not_retried(drive: Drive) -> None:
    call, called = scripted(a=ValueError("a bug"), b="from b")
    with pytest.raises(ValueError, match="a bug"):
        drive(decision("a", "b"), call)
    assert called == ["a"]


def test_a_decision_without_attempts_is_an_error(drive: Drive) -> None:
    call, _ = scripted()
    with pytest.raises(TurnoutError, match="dec_1 holds no attempt"):
        drive(decision(), call)


def test_a_call_that_stops_its_own_iteration_is_not_taken_for_an_answer() -> None:
    with pytest.raises((StopIteration, RuntimeError)):
        run(decision("a"), lambda _: next(iter(())))


def test_a_candidate_whose_api_cannot_say_it_is_passed_over(drive: Drive) -> None:
    unsaid = TranslationError("n", 2, "ask for one")
    call, called = scripted(a=unsaid, b="from b")
    assert drive(decision("a", "b"), call) == "from b"
    assert called == ["a", "b"]
    call, _ = scripted(a=unsaid, b=TranslationError("x", 1, "leave it out"))
    with pytest.raises(TranslationError) as caught:
        drive(decision("a", "b"), call)
    assert caught.value is unsaid
