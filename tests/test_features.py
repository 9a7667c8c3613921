from __future__ import annotations

import math
import re
from math import log1p

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnout.features import CORE, FEATURES, core_vector, feature_vector, features, language

any_text = st.text(st.characters(codec=None), max_size=400)  # lone surrogates too


@given(any_text)
@example("")
@example("\0")
@example("\ud83d" * 50)
@example("A. \nB. \nC. ")
@example("1) one\n2) two\nAnswer:")
@example("Answer:")
@example("9" * 5_000)
@example("(" * 3_000)
@example("a " * 500_000)
def test_any_text_has_one_finite_number_for_each_feature(text: str) -> None:
    found = feature_vector(text)
    assert len(found) == len(FEATURES)
    assert all(math.isfinite(value) for value in found)


@given(any_text)
def test_the_same_text_has_the_same_features(text: str) -> None:
    assert feature_vector(text) == feature_vector(text)


_PIECES = st.sampled_from(
    ["a", "Bc", " ", "  ", "'", "don't", "rock'n'roll", "I", "Mr", " The", "\n", "\n\n", "1", "2.5", "3,000.",
     ".", "? ", "!)", '"', "(x", "[", "None", "none", "def", "é", "İ",
     "ß", "\u017f", "\uff0c", "Ünder", "\x0b", "\x1c"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map("".join))
@example("A Mr Smith met a Mrs Jones, We left")
def test_quick_ways_count_what_plain_ones_do(text: str) -> None:
    found = features(text)
    words = re.findall(
        r"[A-Za-z\u00c0-\u024f\u0370-\u1fff\u3040-\uffef]+(?:['\u2019][A-Za-z]+)?", text
    )
    numbers = re.findall(r"\d+(?:[.,]\d+)*", text)
    stops = re.findall(r"[.!?\u3002\uff01\uff1f](?=\s|\Z|[\"')\]])|\n\n", text.rstrip(" \n\t.!?"))
    proper = re.findall(r"[a-z0-9,;'\")] (?!I\b)[A-Z][a-z]", text)
    assert found["log_words"] == log1p(len(words))
    assert found["log_numbers"] == log1p(len(numbers))
    assert found["decimals"] == log1p(sum("." in x for x in numbers))
    assert found["log_sentences"] == log1p(1 + len(stops))
    assert found["proper_nouns"] == len(proper) * (1 / (len(words) + 1))
    assert found["digit_share"] == sum(map(text.count, "0123456789")) * (1 / (len(text) + 1))
    calls = re.findall(r"(?<=\w)[(\[](?=\S)", text)
    assert found["code"] == log1p(len(calls) + sum(w in ("def", "None") for w in words))
    assert found["brackets"] == sum(map(text.count, "()[]{}")) * (1 / (len(text) + 1))
    assert found["negation"] == log1p(sum(w.lower() in ("none", "don't") for w in words))
    coded = sum(w in ("None", "def") for w in words)
    coded += len(re.findall(r"[(\[](?<=\w.)(?=\S)", text))
    assert found["code"] == log1p(coded)


@given(any_text | st.lists(_PIECES, max_size=30).map("".join))
@example("Find x if 3.5% of $x$ is not 7,5.\nA. 1\nB. none\nC. If \\frac12\nAnswer:")
@example("\u0663 + \u0664 \u00d7 2\u3002 Each")
@example("why? " * 3_000)
def test_features_made_alone_are_those_made_among_all(text: str) -> None:
    found = features(text)
    assert core_vector(text) == tuple(found[name] for name in CORE)


def test_features_have_distinct_names() -> None:
    assert tuple(name for name in FEATURES if name in CORE) == CORE
    assert len(set(FEATURES)) == len(FEATURES)
    assert tuple(features("How many are 3 and 4?")) == FEATURES


@pytest.mark.parametrize(
    ("feature", "more", "less"),
    [
        ("log_chars", "a longer sentence than the other", "short"),
        ("code", "def f(x):\n    return {x: 1};", "Tell me a story about a dog."),
        ("math_share", "x + y = 3 * z - 4 / w", "Tell me a story about a dog."),
        ("latex", r"$\frac{a}{b}$", "Tell me a story about a dog."),
    ],
)
def test_features_that_rules_read_point_the_right_way(feature: str, more: str, less: str) -> None:
    assert features(more)[feature] > features(less)[feature]


def test_the_length_counts_all_of_a_long_text() -> None:
    assert features("word " * 100_000)["log_chars"] > features("word " * 10_000)["log_chars"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("What is the capital of the country where you were born?", "en"),
        ("Quelle est la capitale du pays dans lequel vous êtes né ?", "fr"),
        ("ما هي عاصمة البلد الذي ولدت فيه وكم عدد سكانها؟", "ar"),
        ("你出生的国家的首都是什么,请用中文详细地回答这个问题。", "zh"),
    ],
)
def test_languages_are_told_apart(text: str, code: str) -> None:
    assert language(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "AAAAAAAAAAAAAMw",
        "",
        "Hi",
        "1234567890 " * 20,
        "for (i = 0; i < n; i++) { total[i] += values[i]; }",
    ],
)
def test_a_short_text_and_code_have_no_language(text: str) -> None:
    assert language(text) == "unknown"


@given(any_text)
@example("\ud83d this has a lone surrogate and some words")
def test_any_text_has_a_language_or_is_unknown(text: str) -> None:
    code = language(text)
    assert code == "unknown" or (len(code) in (2, 3) and code.isalpha() and code != "zxx")
