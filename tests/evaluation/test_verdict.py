from __future__ import annotations

import dataclasses

import pytest

from turnout.evaluation.intervals import Estimate
from turnout.evaluation.verdict import (
    Compared,
    judge_pair,
    judge_pool,
    more_prompts,
    prompts_needed,
)

POOL = Compared(
    router="blend",
    prompts=500,
    scale=100.0,
    best_single="big",
    best_quality=0.892,
    quality=Estimate(0.90, 0.88, 0.92),
    difference=Estimate(0.01, -0.01, 0.03),
    lift=Estimate(0.018, 0.003, 0.030),
    saves=Estimate(0.55, 0.41, 0.60),
    zero_saves=0.36,
)


def test_a_lift_above_0_pays_and_says_how_much_at_least() -> None:
    found = judge_pool(POOL)
    assert (found.outcome, found.axis, found.more_prompts) == ("pays", "dollars", None)
    assert found.sentence == (
        "Routing pays: blend answers 1.8 points better than the best mix of single models, on average "
        "over all costs; with 95% confidence at least 0.3 points. Where 95% of the quality of big is "
        "enough, it saves 55% of the cost (at least 41%); the best mix of models saves 36%. At its best "
        "setting it answers 1.0 points better than big (95% from -1.0 to +3.0)."
    )


def test_an_interval_that_holds_0_is_undecided_and_says_how_many_prompts_would_do() -> None:
    found = judge_pool(dataclasses.replace(POOL, lift=Estimate(0.01, -0.01, 0.03)))
    assert found.outcome == "cannot be told"
    # Standard error 0.0102: 500 (2.8016 x 0.0102 / 0.01)^2 = 4,085, so 3,600 more.
    assert found.more_prompts == 3600
    assert found.sentence.startswith(
        "Whether routing pays cannot be told with 500 prompts; about 3,600 more would likely do"
    )
    assert "the best single model is big (89.2)" in found.sentence


def test_a_lift_below_0_does_not_pay_and_names_the_best_model() -> None:
    found = judge_pool(
        dataclasses.replace(POOL, lift=Estimate(-0.02, -0.03, -0.01), difference=None)
    )
    assert found.outcome == "does not pay"
    assert found.sentence == (
        "Routing does not pay here: blend answers 2.0 points worse than the best mix of single models, "
        "on average over all costs; the best single model is big (89.2)."
    )


def test_without_costs_the_best_single_model_is_what_must_be_beaten() -> None:
    found = judge_pool(dataclasses.replace(POOL, lift=None, saves=None))
    assert found.axis == "quality"
    assert found.outcome == "cannot be told"
    same = judge_pool(dataclasses.replace(POOL, lift=None, saves=None, difference=None))
    assert same.outcome == "does not pay"
    assert "gives nothing above the best single model, big" in same.sentence


def test_no_number_of_prompts_is_named_where_none_would_help() -> None:
    assert prompts_needed(Estimate(-0.01, -0.03, 0.01), 500) is None
    assert prompts_needed(Estimate(0.0001, -0.03, 0.03), 500) is None
    assert prompts_needed(Estimate(0.01), 500) is None
    assert more_prompts(Estimate(0.01, 0.0099, 0.0101), 500) == 1
    tiny = judge_pool(dataclasses.replace(POOL, lift=Estimate(0.0001, -0.03, 0.03)))
    assert "too small for more labels to be worth it" in tiny.sentence
    none = judge_pool(dataclasses.replace(POOL, lift=Estimate(-0.01, -0.03, 0.01)))
    assert "no gain was seen; if there is one, it is at most 1.0 points" in none.sentence
    blank = judge_pool(dataclasses.replace(POOL, lift=Estimate(0.01)))
    assert "give no interval" in blank.sentence


@pytest.mark.parametrize(
    ("recovered", "outcome", "says"),
    [
        (Estimate(0.6, 0.55, 0.65), "pays", "with 95% confidence at least 55.0% (+1.0 points"),
        (Estimate(0.4, 0.35, 0.45), "does not pay", "at most 45.0%. The best single model is big"),
        (Estimate(0.52, 0.47, 0.57), "cannot be told", "about"),
        (Estimate(float("nan")), "does not pay", "big is no better than the cheaper model"),
    ],
)
def test_two_models_are_judged_against_a_random_mix(
    recovered: Estimate, outcome: str, says: str
) -> None:
    found = judge_pair(
        "blend",
        recovered,
        axis="calls",
        gap=0.2 if recovered.value == recovered.value else -0.1,
        prompts=1000,
        scale=100.0,
        strong="big",
        quality_strong=0.8,
    )
    assert found.outcome == outcome
    assert says in found.sentence
    assert found.sentence.startswith("By calls,") or found.sentence.startswith("By calls:")
