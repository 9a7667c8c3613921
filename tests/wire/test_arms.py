from __future__ import annotations

from typing import Any

import pytest

from turnout.pricing import expected_cost_picousd
from turnout.types import Candidate, Price, Query, split_arm
from turnout.wire.arms import arm_fields


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("o3-mini@high", ("o3-mini", "high")),
        ("o3-mini", ("o3-mini", None)),
        ("llama@together", ("llama@together", None)),
        ("a@b@low", ("a@b", "low")),
        ("@high", ("@high", None)),
    ],
)
def test_a_name_is_a_model_and_an_effort(name: str, parts: tuple[str, str | None]) -> None:
    assert split_arm(name) == parts


def test_what_is_given_beats_what_the_name_says() -> None:
    candidate = Candidate(name="o3-mini@high", effort="low", upstream_model="o3-mini-2025-01-31")
    assert (candidate.model, candidate.arm_effort) == ("o3-mini-2025-01-31", "low")


@pytest.mark.parametrize(
    ("request_says", "sent"),
    [
        ({}, {"reasoning_effort": "high", "max_completion_tokens": 500}),
        ({"reasoning_effort": None}, {"reasoning_effort": "high", "max_completion_tokens": 500}),
        ({"reasoning_effort": "low"}, {"max_completion_tokens": 500}),
        ({"reasoning": {"effort": "low"}}, {"max_completion_tokens": 500}),
        ({"max_tokens": 9}, {"reasoning_effort": "high"}),
        ({"max_completion_tokens": 9, "reasoning_effort": "low"}, {}),
    ],
)
def test_a_request_that_sets_its_own_keeps_it(
    request_says: dict[str, Any], sent: dict[str, Any]
) -> None:
    candidate = Candidate(name="o3-mini@high", arm_output_tokens=500)
    assert arm_fields(candidate, request_says) == sent
    assert arm_fields(Candidate(name="gpt-4o"), request_says) == {}


def test_an_arms_limit_bounds_its_expected_cost_unless_the_request_has_its_own() -> None:
    price = Price(input_picousd=0, output_picousd=1)
    arms = [
        Candidate(name="m", price=price),
        Candidate(name="n", price=price, arm_output_tokens=50),
    ]
    queries = [Query.of("hello"), Query.of("hello", max_output_tokens=100)]
    assert expected_cost_picousd(queries, arms).tolist() == [[256, 50], [100, 100]]
