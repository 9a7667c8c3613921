from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import RequestError
from turnout.wire.asks import KNOBS, NOTHING, Asks, read_asks
from turnout.wire.body import read_body


def test_a_request_that_asks_for_nothing() -> None:
    assert read_asks({"authorization": "x", "x-turnout-session": "s"}, {"model": "auto"}) is NOTHING
    assert NOTHING.given() == {}
    assert NOTHING.knob is None


def test_headers_say_what_a_body_says() -> None:
    headers = {
        "x-turnout-router": "mf",
        "x-turnout-threshold": "0.3",
        "x-turnout-max-cost-usd": "2e-3",
        "x-turnout-allow": "gpt-*, small",
        "x-turnout-deny": "gpt-4",
        "x-turnout-pin": "small",
        "x-turnout-explain": "true",
        "x-turnout-decision-only": "false",
    }
    body = {
        "router": "mf",
        "threshold": 0.3,
        "max_cost_usd": 0.002,
        "allow": ["gpt-*", "small"],
        "deny": "gpt-4",
        "pin": "small",
        "explain": True,
        "decision_only": False,
    }
    assert read_asks(headers, {}) == read_asks({}, {"turnout": body})
    assert read_asks(headers, {}).given() == {
        "router": "mf",
        "threshold": 0.3,
        "max_cost_usd": 0.002,
        "allow": ["gpt-*", "small"],
        "deny": ["gpt-4"],
        "pin": "small",
        "explain": True,
    }


def test_the_body_stands_before_the_header() -> None:
    headers = {"x-turnout-threshold": "0.3", "x-turnout-deny": "a"}
    asked = read_asks(headers, {"turnout": {"strong_share": 0.2, "deny": ["b"]}})
    assert asked == Asks(strong_share=0.2, deny=("b",))
    assert read_asks(headers, {"turnout": {"threshold": None}}).threshold == 0.3


BAD: list[tuple[dict[str, str], Any, str, str]] = [
    ({}, [], "turnout", "give an object"),
    ({}, {"treshold": 0.1}, "turnout.treshold", "Did you mean 'threshold'"),
    ({"x-turnout-treshold": "1"}, None, "x-turnout-treshold", "x-turnout-threshold"),
    ({}, {"threshold": 1.5}, "turnout.threshold", "1.5 is not usable: give a number from 0 to 1"),
    ({}, {"threshold": True}, "turnout.threshold", "from 0 to 1"),
    ({}, {"threshold": "0.5"}, "turnout.threshold", "'0.5'"),
    ({"x-turnout-threshold": "nan"}, None, "x-turnout-threshold", "'nan'"),
    ({"x-turnout-threshold": "1_0"}, None, "x-turnout-threshold", "'1_0'"),
    ({"x-turnout-threshold": ""}, None, "x-turnout-threshold", "''"),
    ({"x-turnout-threshold": "."}, None, "x-turnout-threshold", "'.'"),
    ({"x-turnout-explain": "yes"}, None, "x-turnout-explain", "true or false"),
    ({}, {"explain": 1}, "turnout.explain", "true or false"),
    ({}, {"floor": 0}, "turnout.floor", "above 0"),
    ({}, {"max_cost_usd": 0}, "turnout.max_cost_usd", "such as 0.002"),
    ({}, {"max_cost_usd": 10**400}, "turnout.max_cost_usd", "such as 0.002"),
    ({"x-turnout-max-cost-usd": "1e999"}, None, "x-turnout-max-cost-usd", "such as 0.002"),
    ({}, {"allow": []}, "turnout.allow", "1 to 64"),
    ({}, {"allow": ["x"] * 65}, "turnout.allow", "1 to 64"),
    ({}, {"allow": [3]}, "turnout.allow[0]", "3"),
    ({}, {"pin": {"a": "secret"}}, "turnout.pin", "an object"),
    ({}, {"pin": "x" * 500}, "turnout.pin", "(502 characters)"),
    ({"x-turnout-deny": "a,,b"}, None, "x-turnout-deny[1]", "give a name"),
    ({}, {"threshold": 0.1, "floor": 0.9}, "turnout.threshold", "give one of"),
    (
        {"x-turnout-floor": "0.9", "x-turnout-strong-share": "0.1"},
        None,
        "x-turnout-strong-share",
        "x-turnout-floor",
    ),
]


@pytest.mark.parametrize(("headers", "given_", "field", "words"), BAD)
def test_what_makes_no_sense_is_refused_by_name(
    headers: dict[str, str], given_: Any, field: str, words: str
) -> None:
    body = {} if given_ is None else {"turnout": given_}
    with pytest.raises(RequestError) as refused:
        read_asks(headers, body)
    assert refused.value.field == field
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


@given(
    before=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4),
    after=st.dictionaries(st.text(max_size=5), st.none() | st.lists(st.integers()), max_size=4),
    space=st.sampled_from(["", " ", "\n  "]),
)
def test_a_body_without_its_field_is_as_it_was(
    before: dict[str, Any], after: dict[str, Any], space: str
) -> None:
    parts = {**before, **{k: v for k, v in after.items() if k not in before}}
    parts.pop("turnout", None)
    names = list(parts)
    place = len([n for n in names if n in before])
    pairs = [f"{json.dumps(n)}{space}:{space}{json.dumps(parts[n])}" for n in names]
    extra = f'"turnout":{space}{{"threshold": 0.5, "allow": ["}}", ","]}}'
    text = "{" + space + f"{space},{space}".join([*pairs[:place], extra, *pairs[place:]]) + "}"
    left = read_body(text.encode()).without("turnout")
    assert left.fields == parts
    assert json.loads(left.text) == parts
    assert {n: json.loads(left.text[a:b]) for n, (a, b) in left.spans.items()} == parts
    again = read_body(left.text.encode())
    assert again.spans == left.spans
    for pair in pairs:
        assert pair in left.text


def test_every_knob_is_known() -> None:
    for knob in KNOBS:
        assert read_asks({}, {"turnout": {knob: 0.5}}).knob == knob
