from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.observe.redaction import Redactor, is_card

SECRETS = [
    "sk-proj-Ab12Cd34Ef56Gh78Ij90",
    "sk-ant-api03-abcdefghijkl_mnop",
    "gsk_abcdefghijklmnop1234",
    "hf_abcdefghijklmnop1234",
    "ghp_abcdefghijklmnop1234567890",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "someone.else+tag@mail.example.co.uk",
    "4111 1111 1111 1111",
    "5500-0055-5555-5559",
    "378282246310005",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "failed for {} at 3", '{{"a": "{}", "b": 1}}', "x={},"])
def test_what_looks_like_a_secret_is_taken_out(secret: str, around: str) -> None:
    cleaned = Redactor().clean(around.format(secret))
    assert secret not in cleaned
    assert re.search(r"\[(key|e-mail|card)\]", cleaned)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("authorization: Bearer abc.def-123", "authorization: [key]"),
        ('{"x-api-key": "short1"}', '{"x-api-key": "[key]"}'),
        ("api_key=abcd&x=1", "api_key=[key]&x=1"),
        ("Bearer abcdefgh12", "[key]"),
        ("postgresql://app:hunter22@db:5432/x", "postgresql://[password]@db:5432/x"),
    ],
)
def test_named_secrets_lose_their_value_alone(text: str, kept: str) -> None:
    assert Redactor().clean(text) == kept


def test_known_secrets_go_whatever_they_look_like() -> None:
    redactor = Redactor(["plain words", "plain", "no"])
    assert redactor.clean("said plain words, no more") == "said [secret], no more"


@pytest.mark.parametrize(
    "text",
    [
        "request id=dec_0123456789abcdef0123 route=router-mf model=gpt-4.1 tokens=1234",
        "input_tokens=4111111111111112 cost_usd=0.00123456789012345",
        "2026-11-26 07:00:00,123 INFO turnout: 1795676789647 ms",
        "task-force, risk-averse, sk-y",
        "certificate sha256:0123456789abcdef",
    ],
)
def test_ordinary_lines_stay(text: str) -> None:
    assert Redactor(["provider-key-canary"]).clean(text) == text


def test_a_card_has_a_check_digit() -> None:
    assert is_card("4111111111111111")
    assert not is_card("4111111111111112")
    assert not is_card("0000000000000000")


@given(st.text(max_size=300))
@settings(max_examples=50, deadline=None)
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = Redactor().clean(text)
    assert Redactor().clean(once) == once


@pytest.mark.parametrize(
    "piece", ["a", "a@", "1 ", "a.", "Bearer ", "sk-", "://a:", "token=", "-1"]
)
def test_hostile_lines_take_no_more_than_their_length(piece: str) -> None:
    redactor, text = Redactor(["some-secret"]), piece * 50_000
    start = time.process_time()
    redactor.clean(text)
    assert time.process_time() - start < 2
