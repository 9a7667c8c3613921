"""Details by which two questions of much the same meaning ask for different answers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.gateway.kept.semantic.details import details_of, difference, overlap


def between(one: str, other: str) -> str:
    found = difference(details_of(one), details_of(other))
    assert bool(found) == bool(difference(details_of(other), details_of(one)))  # either way
    return found


DIFFERENT = [
    ("what is 2+2", "what is 2+3", "numbers"),
    ("what is 2+2", "what is 2-2", "numbers"),
    ("what is 2.5 times 4", "what is 25 times 4", "numbers"),
    ("what is seven times six", "what is seven times nine", "numbers"),
    ("what is the root of -4", "what is the root of 4", "numbers"),
    ("drive from 5 to 7", "drive from 7 to 5", "numbers"),
    ("Does x<y hold?", "Does x>y hold?", "numbers"),
    ("when is $5 off", "when is 5% off", "numbers"),
    ("is aspirin safe for cats", "is aspirin not safe for cats", "negation"),
    ("is it safe", "isn't it safe", "negation"),
    ("show users with a car", "show users without a car", "negation"),
    ("everything except cheese", "everything with cheese", "negation"),
    ("turn on the lights", "turn off the lights", "opposites"),
    ("how do i enable backups here", "how do i disable backups here", "opposites"),
    ("the largest city of texas", "the smallest city of texas", "opposites"),
    ("weather in paris", "weather in paris tomorrow", "opposites"),
    ("My name is Bob, what is my balance?", "My name is Ann, what is my balance?", "names"),
    ("Translate from French to English", "Translate from English to French", "names"),
    ("who owns bob@example.com", "who owns ann@example.com", "names"),
    ("what does parse_url do", "what does parse_uri do", "names"),
    ('what does "ta" mean', 'what does "to" mean', "names"),
    ("what does `a.b` do", "what does `a.c` do", "code"),
    ("explain ```x = 1```", "explain ```x = 2```", "code"),
    ("when was bach born", "where was bach born", "question"),
    ("how old is this tree", "how tall is this tree", "question"),
    ("capital of france", "capital of spain", "one word"),
    ("convert usd to eur", "please convert eur to usd", "order"),
    ("how do i convert usd into the euro", "how can i convert the euro to usd", "order"),
    ("does alice love bob", "does bob love alice", "order"),
    ("is a dog bigger than a cat", "is a cat bigger than a dog", "order"),
    ("中国的首都是哪里", "法国的首都是哪里", "script"),
    ("口座を開設する方法", "口座を解約する方法", "script"),
    ("ยกเลิกคำสั่งซื้อ", "ยืนยันคำสั่งซื้อ", "script"),
    ("how to boil an egg", "how to poach an egg", "one word"),
]


@pytest.mark.parametrize(("one", "other", "why"), DIFFERENT)
def test_what_differs_is_seen(one: str, other: str, why: str) -> None:
    assert between(one, other) == why


SAME = [
    ("What is the capital of France?", "Which city is France's capital?"),
    ("how do i reset my password", "How can I reset my password, please?"),
    ("what is two plus two", "what is 2 plus 2"),
    ("Who wrote Hamlet?", "who wrote hamlet"),
    ("how do i reset my password", "password reset, how do i do it"),
    ("tell me about cats and dogs", "about dogs and cats please"),
    ("中国的首都是哪里", " 中国的首都是哪里\n"),
    ("it costs 1,000 euros", "it costs 1000 euros"),
    ("i can't log in", "I can\u2019t log in!"),
    ("what does `a.b` do", "Tell me what `a.b` does"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_another_way_to_say_it_is_no_difference(one: str, other: str) -> None:
    assert between(one, other) == ""


@given(st.text(max_size=200))
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert between(text, text) == ""
    assert overlap(details_of(text), details_of(text)) == 1.0


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_difference_has_no_direction(one: str, other: str) -> None:
    between(one, other)
    assert 0.0 <= overlap(details_of(one), details_of(other)) <= 1.0


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_another_number_is_another_question(one: int, other: int) -> None:
    found = between(f"how much is {one} feet in metres", f"how much is {other} feet in metres")
    assert (found == "numbers") == (one != other)


@pytest.mark.parametrize(
    "piece", ["a", "«", "“", "'", "`", "```", "1 ", "A b", "(", "- ", "a.", "Aa_ "]
)
def test_no_text_takes_long_to_read(piece: str) -> None:
    plain = ("How would I find the largest of 12 numbers in a list? " * 80)[:4_000]
    hostile = (piece * 4_000)[:4_000]

    def took_s(text: str) -> float:
        start = time.thread_time()
        between(text, text)
        return time.thread_time() - start

    assert min(took_s(hostile) for _ in range(3)) < 20 * min(took_s(plain) for _ in range(3))
