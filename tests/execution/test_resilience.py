"""The loop over targets with health: who is called next, on a clock that is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from turnout.errors import UnavailableError, UpstreamError
from turnout.execution.attempts import Pause, Target, Try, attempts, verdict
from turnout.execution.health import BreakerRules
from turnout.execution.resilience import Resilience, RetryRules, retry_after_s
from turnout.types import Attempt, Decision

Answer = Callable[[str], str | UpstreamError]


def error(status: int | None, body: bytes = b"", **headers: str) -> UpstreamError:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return UpstreamError("down", candidate="x", status=status, body=body, headers=given)


def decision(*names: str) -> Decision:
    tries = tuple(Attempt(candidate=name, reason="test") for name in names)
    return Decision(
        id="dec_1", router="r", policy="p", attempts=tries, code="test", reason="a test"
    )


@dataclass
class World:
    """Two candidates, the first with three targets, and a clock that pauses move on."""

    now: float = 0.0
    called: list[str] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    breaker: BreakerRules = field(default_factory=BreakerRules)
    retries: RetryRules = field(default_factory=RetryRules)

    def __post_init__(self) -> None:
        self.shared = Resilience(
            targets={
                "a": [Target("a", f"p{i}", "m") for i in range(3)],
                "b": [Target("b", "q", "m")],
            },
            windows={"a": 8000, "b": 128_000},
            clock=lambda: self.now,
            rng=random.Random(7),
            breaker=self.breaker,
            retries=self.retries,
        )

    def ask(self, answer: Answer, *names: str) -> str:
        flow = attempts(decision(*names), self.shared.plan())
        sent: object = None
        while True:
            try:
                step = flow.send(sent)
            except StopIteration as stop:
                return str(stop.value)
            if isinstance(step, Pause):
                self.paused.append(step.seconds)
                self.now += step.seconds
                sent = None
            else:
                assert isinstance(step, Try)
                self.called.append(step.target.key)
                sent = answer(step.target.key)

    @property
    def in_flight(self) -> int:
        return sum(h.in_flight for h in self.shared.health.values())


def only(*good: str, other: UpstreamError | None = None) -> Answer:
    return lambda key: key if key in good else (other or error(503))


def test_other_targets_of_a_candidate_come_before_the_next_candidate() -> None:
    world = World()
    assert world.ask(only("q/m"), "a", "b") == "q/m"
    assert sorted(world.called[:3]) == ["p0/m", "p1/m", "p2/m"]
    assert world.called[3] == "q/m"
    assert world.in_flight == 0


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_is_the_requests_fault_is_passed_on_at_once(status: int) -> None:
    world = World()
    with pytest.raises(UpstreamError) as caught:
        world.ask(only(other=error(status)), "a", "b")
    assert caught.value.status == status
    assert len(world.called) == 1
    assert all(h.failures == 0 for h in world.shared.health.values())


def test_a_window_that_is_too_small_leads_to_a_larger_one_once() -> None:
    small = error(400, b'{"error": {"code": "context_length_exceeded"}}')
    world = World()
    assert world.ask(only("q/m", other=small), "a", "b") == "q/m"
    assert len(world.called) == 2
    with pytest.raises(UpstreamError):
        world.ask(only(other=small), "b", "a")  # a is smaller
    assert world.called[2:] == ["q/m"]


def test_all_failing_is_tried_again_after_pauses_with_jitter() -> None:
    world = World(retries=RetryRules(most=2, base_s=1.0))
    with pytest.raises(UpstreamError) as caught:
        world.ask(only(), "b")
    assert world.called == ["q/m"] * 3
    assert [0 <= p <= bound for p, bound in zip(world.paused, (1.0, 2.0), strict=True)] == [
        True
    ] * 2
    assert len(caught.value.__notes__) == 2


def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not() -> None:
    world = World()
    answers = iter([error(429, retry_after="1"), "fine"])
    assert world.ask(lambda _: next(answers), "b") == "fine"
    assert world.paused[0] >= 1.0
    with pytest.raises(UpstreamError) as caught:
        world.ask(only(other=error(429, retry_after="3600")), "b")
    assert caught.value.status == 429
    with pytest.raises(UnavailableError) as out:  # it asked not to be called for an hour
        world.ask(only("q/m"), "b")
    assert 3500 < out.value.retry_after_s <= 3600


def test_a_target_with_a_refused_key_is_left_out() -> None:
    world = World()
    assert world.ask(only("q/m", other=error(401)), "a", "b") == "q/m"
    world.called.clear()
    assert world.ask(only("q/m", other=error(401)), "a", "b") == "q/m"
    assert world.called == ["q/m"]


def test_a_failing_target_is_ejected_and_probed_until_it_is_well() -> None:
    world = World()
    for _ in range(200):
        world.now += 0.05
        world.ask(lambda key: error(500) if key == "p0/m" else key, "a", "b")
    assert world.called.count("p0/m") <= 10
    world.now += 400.0
    world.called.clear()
    for _ in range(50):
        world.now += 1.0
        world.ask(lambda key: key, "a")
    assert world.called.count("p0/m") > 5


def test_half_of_the_calls_of_one_target_failing_is_noticed() -> None:
    world, rng = World(), random.Random(1)
    failed = 0
    for _ in range(2000):
        world.now += 0.01
        flaky = rng.random() < 0.5
        try:
            world.ask(lambda key, bad=flaky: error(500) if bad and key == "p0/m" else key, "a")
        except UpstreamError:
            failed += 1
    assert failed <= 2
    assert world.called.count("p0/m") < 300


def test_a_storm_is_not_fed() -> None:
    world = World(breaker=BreakerRules(consecutive=10**9, least=10**9))
    requests = 2000
    for _ in range(requests):
        world.now += 0.005
        with pytest.raises(UpstreamError):
            world.ask(only(), "a", "b")
    assert len(world.called) <= 1.2 * requests + 10


def test_where_no_target_is_fit_one_request_probes_and_the_others_are_refused_at_once() -> None:
    world = World()
    for _ in range(50):
        with pytest.raises((UpstreamError, UnavailableError)):
            world.ask(only(), "a", "b")
    world.called.clear()
    flows = [attempts(decision("a", "b"), world.shared.plan()) for _ in range(20)]
    steps = [_step(flow) for flow in flows]
    probes = [step.target.key for step in steps if isinstance(step, Try)]
    refused = [step for step in steps if isinstance(step, UnavailableError)]
    assert 1 <= len(probes) <= 4
    assert len(set(probes)) == len(probes)
    assert len(refused) == 20 - len(probes)
    assert refused[0].retry_after_s > 0


def _step(flow: object) -> object:
    try:
        return next(flow)  # type: ignore[call-overload]
    except UnavailableError as refused:
        return refused


def test_a_request_that_is_given_up_leaves_nothing_in_flight() -> None:
    world = World()
    flow = attempts(decision("a"), world.shared.plan())
    next(flow)
    assert world.in_flight == 1
    flow.close()
    assert world.in_flight == 0


def test_load_goes_to_the_quicker_target() -> None:
    world = World()
    for _ in range(600):
        flow = attempts(decision("a"), world.shared.plan())
        step = next(flow)
        assert isinstance(step, Try)
        world.called.append(step.target.key)
        world.now += 1.0 if step.target.key == "p0/m" else 0.1
        with pytest.raises(StopIteration):
            flow.send("fine")
    assert world.called.count("p0/m") < 0.2 * 600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after_ms": "250", "retry_after": "1"}, 0.25),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "inf"}, None),
        ({}, None),
    ],
)
def test_what_retry_after_says(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(error(429, **headers)) == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [(None, "next"), (401, "next"), (408, "next"), (429, "next"), (500, "next"), (529, "next"),
     (400, "final"), (404, "final"), (422, "final"), (302, "final")],
)  # fmt: skip
def test_what_a_failure_says_of_trying_elsewhere(status: int | None, kind: str) -> None:
    assert verdict(error(status)) == kind
