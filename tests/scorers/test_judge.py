"""A judge over a real socket: its grades, and a cap that holds whatever the endpoint does."""

from __future__ import annotations

from typing import Any

import pytest

from json_fakes import Answer, endpoint, text_answer
from turnout.errors import CapReachedError, InputError, RouterError
from turnout.providers.posting import JsonEndpoint
from turnout.scorers.base import Answered
from turnout.scorers.judge import JudgeScorer, grade
from turnout.types import PICO, Price

PRICE = Price.per_million(10, 30)
ASKED = Answered(prompt="What is 2+2?", answer="4", reference="4")


def reply(text: Any, usage: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    return found if usage is None else {**found, "usage": usage}


def judge(url: str, cap_usd: float = 1.0) -> JudgeScorer:
    there = JsonEndpoint("the judge", url, api_key=None, timeout_s=5.0, connections=1)
    return JudgeScorer(there, "judge-1", price=PRICE, cap_usd=cap_usd)


@pytest.mark.parametrize(
    ("text", "score"),
    [("8", 0.8), ("10", 1.0), ("Grade: 0.", 0.0), ("7 or 8", None), ("eleven", None), (None, None)],
)
def test_a_grade_is_one_number_over_ten(text: Any, score: float | None) -> None:
    assert grade(reply(text)) == score


def test_it_pays_what_the_usage_says_and_grades_what_was_sent() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 1}
    with endpoint(lambda _: reply("9", usage)) as (url, seen):
        scorer = judge(url)
        assert scorer.score(ASKED) == 0.9
    assert scorer.spent_picousd == PRICE.cost_picousd(input_tokens=100, output_tokens=1)
    [body] = seen.bodies
    assert body["model"] == "judge-1"
    assert "<answer>\n4\n</answer>" in body["messages"][1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: reply("9"),
        lambda _: reply("9", {"prompt_tokens": -5, "completion_tokens": None}),
        text_answer("gone", 500),
    ],
)
def test_the_cap_holds_whatever_the_endpoint_says(answer: Answer) -> None:
    """Without a usage, or with a senseless one, the most that a call can cost counts as spent."""
    with endpoint(answer) as (url, seen):
        scorer = judge(url, cap_usd=0.02)
        for _ in range(100):
            try:
                scorer.score(ASKED)
            except RouterError:
                continue
            except CapReachedError:
                break
    assert 0 < len(seen.bodies) < 20
    assert scorer.spent_usd <= 0.02
    assert len(seen.bodies) == scorer.calls


def test_an_endpoint_that_bills_beyond_its_limits_is_called_no_more() -> None:
    usage = {"prompt_tokens": 10**6, "completion_tokens": 10**6}
    with endpoint(lambda _: reply("9", usage)) as (url, seen):
        scorer = judge(url, cap_usd=0.02)
        assert scorer.score(ASKED) == 0.9
        with pytest.raises(CapReachedError, match=r"40\.0000 USD are spent"):
            scorer.score(ASKED)
    assert len(seen.bodies) == 1


def test_a_cap_below_one_call_calls_nothing() -> None:
    with endpoint(lambda _: reply("9")) as (url, seen), pytest.raises(CapReachedError):
        judge(url, cap_usd=1 / PICO).score(ASKED)
    assert not seen.bodies


def test_a_cap_must_be_a_number_above_zero() -> None:
    with pytest.raises(InputError, match="cap_usd"):
        judge("http://127.0.0.1:9/v1", cap_usd=0)
