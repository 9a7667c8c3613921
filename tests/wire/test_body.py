from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.errors import RequestError
from turnout.wire.body import read_body

words = st.text(alphabet='ab"\\ \n\t\x00é\U0001f600', max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
finite = values.filter(lambda v: "Infinity" not in json.dumps(v))


@given(
    fields=st.dictionaries(words, finite, max_size=4),
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
)
@settings(deadline=None)
def test_one_value_is_replaced_and_all_else_kept(
    fields: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    fields["model"] = "auto"
    raw = json.dumps(fields, indent=indent, ensure_ascii=ascii_only).encode()
    body = read_body(raw)
    assert body.fields == fields
    changed = body.with_field("model", "cheap")
    assert json.loads(changed) == {**fields, "model": "cheap"}
    assert read_body(changed).with_field("model", "auto") == raw


def test_numbers_spacing_and_escapes_stay_as_sent() -> None:
    raw = b' {"a":1.0, "b" :1E400,\n"model"\t: "x" ,"c":"\\u00e9\xc3\xa9\\/"}\n'
    assert read_body(raw).with_field("model", "y") == raw.replace(b'"x"', b'"y"')


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"  \n", "an empty body"),
        (b"[]", "a list"),
        (b'"x"', "a string"),
        (b"3", "a number"),
        (b"true", "a boolean"),
        (b"NaN", "NaN"),
        (b'{"a": [-Infinity]}', "-Infinity"),
        (b'{"a": 1, "a": 2}', "the name 'a'"),
        (b'{"a": {"b": 1, "b": 2}}', "the name 'b'"),
        (b'\xef\xbb\xbf{"a": 1}', "the JSON at line 1, column 1"),
        (b'{"a": 1,}', "the JSON at line 1, column 9"),
        (b'{"a" 1}', "the JSON at line 1, column 6"),
        (b'{"a": 1 "b": 2}', "the JSON at line 1, column 9"),
        (b'{"a": 1} x', "the JSON at line 1, column 9"),
        (b'{"a": ', "the JSON at line 1, column 7"),
        (b'{"a', "the JSON at line 1, column 2"),
        (b"{'a': 1}", "the JSON at line 1, column 2"),
        (b'{"a": "\x01"}', "the JSON at line 1, column 8"),
        (b'{"a": "\xed\xa0\x80"}', "the byte at 7"),
        (b'{"a": ' + b"[" * 100_000, "its nesting"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number"),
    ],
)
def test_what_is_not_a_json_object_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_body(raw)
    assert str(caught.value).startswith(f"body: {message} is not usable: ")


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:1aeE.\\u-', max_size=20).map(str.encode))
@settings(deadline=None)
def test_reading_gives_what_json_gives_or_an_error(raw: bytes) -> None:
    try:
        body = read_body(raw)
    except RequestError:
        return
    assert body.fields == json.loads(raw)


def test_fields_are_replaced_and_added_and_the_rest_stays() -> None:
    raw = b' { "n": 1.0e0, "model" : "x","reasoning_effort": null, "b": [1, 2] }\n'
    sent = read_body(raw).with_fields(
        {"model": "longer-name", "reasoning_effort": "high", "max_completion_tokens": 50}
    )
    assert sent == (
        b' {"max_completion_tokens": 50,  "n": 1.0e0, "model" : "longer-name",'
        b'"reasoning_effort": "high", "b": [1, 2] }\n'
    )
    assert read_body(b"{}").with_fields({"a": 1}) == b'{"a": 1}'
    assert read_body(raw).with_fields({"model": "x"}) == raw


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (rb'{"a": "\ud83d"}', "a"),
        (rb'{"a": [0, {"b": "x\uDE00"}]}', "a[1].b"),
        (rb'{"a": "\ude00\ud83d"}', "a"),
        (rb'{"a": {"\uD83D": 1}}', "a.(a field)"),
        (rb'{"\ud83d": 1}', "(a field)"),
        (rb'{"messages": [{"content": "\ud83d\ude00 \ud83d!"}]}', "messages[0].content"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_by_its_place(raw: bytes, field: str) -> None:
    with pytest.raises(RequestError, match="a lone surrogate") as caught:
        read_body(raw)
    assert caught.value.field == field


def test_pairs_and_what_only_looks_like_a_surrogate_pass_untouched() -> None:
    raw = rb'{"model": "x", "a": "\ud83d\uDE00", "b": "\\ud83d", "c": "\ud7ff \ue000"}'
    body = read_body(raw)
    assert body.fields["a"] == "\U0001f600"
    assert body.with_field("model", "y") == raw.replace(b'"x"', b'"y"')
