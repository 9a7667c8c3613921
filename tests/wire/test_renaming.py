from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.wire.dialects import Dialect
from turnout.wire.renaming import renamed_lines, renamed_reply, with_first_field

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
WRAPS: dict[Dialect, Any] = {
    "chat": lambda inner: inner,
    "responses": lambda inner: {"type": "response.created", "response": inner},
    "messages": lambda inner: {"type": "message_start", "message": inner},
}


@given(
    fields=st.dictionaries(st.text(max_size=6), JSON, max_size=5), indent=st.sampled_from([None, 2])
)
def test_only_the_model_of_a_reply_changes(fields: dict[str, Any], indent: int | None) -> None:
    fields = {**fields, "model": "gpt-x", "last": {"model": "inner", "text": '"model": "quoted"'}}
    before = json.dumps(fields, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    after = renamed_reply(before, "auto")
    assert (
        after == before.replace(b'"gpt-x"', b'"auto"', 1)
        or b'"gpt-x"' in json.dumps({k: v for k, v in fields.items() if k != "model"}).encode()
    )
    assert json.loads(after.decode("utf-8", "surrogatepass")) == {**fields, "model": "auto"}


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_only_the_model_of_an_event_changes(dialect: Dialect, end: bytes) -> None:
    inner = {"id": "1", "model": "gpt-x", "text": 'a "model":"gpt-x" é'}
    event = json.dumps(WRAPS[dialect](inner), ensure_ascii=False, separators=(",", ":")).encode()
    other = b'data: {"delta": {"text": "gpt-x \\"model\\": \\"gpt-x\\""}}'
    lines = end.join(
        [b": comment", b"event: x", b"data: " + event, b"", other, b"", b"data: [DONE]", b""]
    )
    after = renamed_lines(lines, dialect, "my-route")
    assert after == lines.replace(b'"model":"gpt-x"', b'"model":"my-route"', 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b'["model"]', b'{"model"', b'{"model": 3}', b'{"a": {"model": "x"}}', b'"model"',
     b'{"model": "\xff', b'{"a": ' + b"[" * 100_000 + b'"model"'],
)  # fmt: skip
def test_what_names_no_model_stays(content: bytes) -> None:
    assert renamed_reply(content, "auto") == content
    lines = b"data: " + content + b"\n\n"
    assert renamed_lines(lines, "chat", "auto") == lines


def test_bytes_that_are_no_utf8_come_out_as_they_went_in() -> None:
    assert (
        renamed_reply(b'{"a": "\xff\xfe", "model": "m"}', "n") == b'{"a": "\xff\xfe", "model": "n"}'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a": 1}', b'{"x":[1], "a": 1}'),
        (b' \n{ "a": 1}', b' \n{"x":[1],  "a": 1}'),
        (b"{}", b'{"x":[1]}'),
        (b"[1]", b"[1]"),
        (b"", b""),
    ],
)
def test_a_field_at_the_start(before: bytes, after: bytes) -> None:
    assert with_first_field(before, "x", [1]) == after
