"""Breakers, cooling, load and the budget of further calls, on a clock that is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.execution.health import BreakerRules, Health, RetryBudget


def fail(health: Health, now: float, times: int = 1) -> None:
    for _ in range(times):
        health.began(now)
        health.failed(now)


def succeed(health: Health, now: float, latency_s: float = 0.1) -> None:
    health.began(now)
    health.succeeded(now, latency_s)


def test_failures_in_a_row_open_the_breaker() -> None:
    health = Health(BreakerRules(consecutive=3, open_s=5))
    fail(health, 0.0, 2)
    assert health.fit(0.0)
    fail(health, 1.0)
    assert (health.state, health.fit(5.9), health.fit(6.0)) == ("open", False, True)


def test_a_success_in_between_starts_the_count_again() -> None:
    health = Health(BreakerRules(consecutive=3, least=100))
    for now in range(20):
        fail(health, float(now), 2)
        succeed(health, float(now))
    assert health.state == "closed"


def test_half_of_ten_calls_in_ten_seconds_open_it_too() -> None:
    health = Health(BreakerRules(consecutive=100, share=0.5, least=10, window_s=10))
    for i in range(5):
        succeed(health, i * 0.1)
        fail(health, i * 0.1)
    assert health.state == "open"


def test_old_failures_are_forgotten() -> None:
    health = Health(BreakerRules(consecutive=100, share=0.5, least=10, window_s=10))
    fail(health, 0.0, 9)
    succeed(health, 20.0)
    fail(health, 20.0)
    assert health.state == "closed"


def test_one_probe_at_a_time_decides() -> None:
    health = Health(BreakerRules(consecutive=1, open_s=5))
    fail(health, 0.0)
    health.began(5.0)
    assert (health.state, health.fit(5.0)) == ("half_open", False)
    health.succeeded(5.1, 0.1)
    assert (health.state, health.fit(5.1), health.in_flight) == ("closed", True, 0)


def test_each_failed_probe_doubles_the_time_out_up_to_a_bound() -> None:
    health = Health(BreakerRules(consecutive=1, open_s=5, longest_open_s=30))
    now, outs = 0.0, []
    fail(health, now)
    for _ in range(5):
        outs.append(health.out_until - now)
        now = health.out_until
        fail(health, now)
    assert outs == [5, 10, 20, 30, 30]


def test_a_probe_that_is_given_up_lets_another_in() -> None:
    health = Health(BreakerRules(consecutive=1, open_s=5))
    fail(health, 0.0)
    health.began(5.0)
    health.dropped()
    assert health.fit(5.0)
    assert health.in_flight == 0


def test_a_limit_is_no_failure_and_is_respected() -> None:
    health = Health(BreakerRules(consecutive=1))
    health.began(0.0)
    health.limited(0.0, 7.0)
    assert (health.state, health.fit(6.9), health.fit(7.0)) == ("closed", False, True)
    health.began(7.0)
    health.limited(7.0, 1e12)
    assert health.fit_at(7.0) == 7.0 + BreakerRules().longest_cooling_s


def test_a_refused_key_stays_out_long() -> None:
    health = Health()
    health.began(0.0)
    health.refused_key(0.0)
    assert health.fit_at(1.0) == BreakerRules().bad_key_s


def test_load_counts_what_is_in_flight_and_the_slowest_lately() -> None:
    quick, slow = Health(), Health()
    succeed(quick, 0.0, 0.1)
    succeed(slow, 0.0, 1.0)
    succeed(slow, 0.1, 0.1)
    assert slow.load(0.1) > 5 * quick.load(0.1)
    before = quick.load(0.1)
    quick.began(0.1)
    assert quick.load(0.1) == 2 * before
    assert slow.load(100.0) < 0.1  # long ago counts for little


@given(
    st.lists(st.integers(0, 4), max_size=400),
    st.floats(0.01, 1.0),
    st.integers(0, 20),
    st.integers(0, 400),
)
def test_further_calls_never_exceed_the_share_once_the_loan_is_paid(
    asked: list[int], share: float, reserve: int, reload_at: int
) -> None:
    """However often each request asks for more, and wherever another budget goes on with this one."""
    budget = RetryBudget(share=share, reserve=reserve)
    taken = 0
    for n, times in enumerate(asked, start=1):
        if n == reload_at:
            old, budget = budget, RetryBudget(share=share, reserve=reserve)
            budget.take_over(old)
        budget.first_call()
        taken += sum(budget.take() for _ in range(times))
        assert taken <= max(reserve, share * n) + 1e-9
        if n * share >= reserve:
            assert n + taken <= (1 + share) * n + 1e-9


@given(st.integers(0, 1000), st.integers(1, 1000), st.floats(0.01, 1.0))
def test_what_was_saved_up_is_bounded(quiet: int, stormy: int, share: float) -> None:
    budget = RetryBudget(share=share)
    for _ in range(quiet):
        budget.first_call()
    taken = 0
    for _ in range(stormy):
        budget.first_call()
        while budget.take():
            taken += 1
    assert taken <= budget.most + share * stormy + 1e-9


@pytest.mark.parametrize("n", [100, 200, 12_000])
def test_a_storm_gets_all_of_its_share_and_no_more(n: int) -> None:
    """At 1.2 calls a request from the hundredth on, which pays the last of the loan."""
    budget = RetryBudget()
    taken = 0
    for _ in range(n):
        budget.first_call()
        while budget.take():
            taken += 1
    assert n // 5 - 1 <= taken <= n // 5


def test_no_share_is_no_further_call() -> None:
    budget, generous = RetryBudget(share=0), RetryBudget(share=1)
    budget.first_call()
    assert not budget.take()
    budget.take_over(generous)
    assert not budget.take()
