from __future__ import annotations

from typing import Any

import pytest

from turnout.pricing import expected_cost_picousd
from turnout.types import Candidate, Price, Query, split_arm
from turnout.wire.arms import arm_fields
from turnout.wire.dialects import Dialect


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


ARM = Candidate(name="m@high", arm_output_tokens=500)


@pytest.mark.parametrize(
    ("dialect", "request_says", "sent"),
    [
        ("responses", {}, {"reasoning": {"effort": "high"}, "max_output_tokens": 500}),
        (
            "responses",
            {"reasoning": {"summary": "auto"}, "max_output_tokens": 9},
            {"reasoning": {"summary": "auto", "effort": "high"}},
        ),
        ("responses", {"reasoning": {"effort": "low"}}, {"max_output_tokens": 500}),
        (
            "messages",
            {"max_tokens": 9, "output_config": {"format": {}}},
            {
                "thinking": {"type": "adaptive"},
                "output_config": {"format": {}, "effort": "high"},
            },
        ),
        ("messages", {"max_tokens": 9, "thinking": {"type": "disabled"}}, {}),
        ("messages", {"max_tokens": 9, "output_config": {"effort": "low"}}, {}),
    ],
)
def test_an_arm_in_the_other_dialects(
    dialect: Dialect, request_says: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert arm_fields(ARM, request_says, dialect) == sent


def test_efforts_that_anthropic_does_not_know() -> None:
    off = Candidate(name="m@none")
    assert arm_fields(off, {}, "messages") == {"thinking": {"type": "disabled"}}
    least = arm_fields(Candidate(name="m@minimal"), {}, "messages")
    assert least["output_config"] == {"effort": "low"}
    assert arm_fields(Candidate(name="m@max"), {}) == {"reasoning_effort": "max"}
