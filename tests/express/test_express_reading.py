"""What is found without reading a request again is what reading it finds."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.access.worst import Asked, Costs
from turnout.errors import RequestError
from turnout.gateway.express.heads import Head, head_of
from turnout.types import Candidate, Price, Query
from turnout.wire import chat
from turnout.wire.body import read_body
from turnout.wire.one_message import frame_of, take_apart
from turnout.wire.session import by_first_text, session_key

TEXTS = st.text(max_size=60) | st.sampled_from([
    "", " ", '"messages":[{"role":"user","content":"x"}]', "<system-reminder>x</system-reminder>",
    "\\", '"', "\\u0041", "a" * 20_001, "b" * 20_000, "\x00", "\x7f\x80\u2028", "🙂", "\\\"}]",
])  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
NAMES = st.sampled_from([
    "model", "max_tokens", "stream", "user", "tools", "n", "metadata", "messages", "prediction",
    "prompt_cache_key", "turnout", "ü",
])  # fmt: skip
BESIDE = st.lists(st.tuples(NAMES, VALUES | st.dictionaries(TEXTS, VALUES, max_size=2)), max_size=4)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant"]), "content": TEXTS},
        optional={"name": TEXTS},
    ),
    min_size=1,
    max_size=2,
)
SYSTEMS = st.sampled_from(["system", "developer"])
SPACES = st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", " :\t")])


@st.composite
def bodies(draw: Any) -> str:
    """Requests, most of them of one message, some with a name given twice or what looks like one."""
    comma, colon = draw(SPACES)

    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=draw(st.booleans()), separators=(comma, colon))

    message = draw(st.fixed_dictionaries({"role": st.just("user"), "content": TEXTS}))
    system = draw(st.fixed_dictionaries({"role": SYSTEMS, "content": TEXTS}))
    messages = draw(st.just([message]) | st.just([system, message]) | MESSAGES)
    fields = [(name, written(value)) for name, value in draw(BESIDE)]
    place = draw(st.integers(0, len(fields)))
    fields.insert(place, ("messages", written(messages)))
    if draw(st.booleans()):
        fields.append(("extra", written({"messages": draw(MESSAGES)})))
    inner = comma.join(f"{json.dumps(name)}{colon}{value}" for name, value in fields)
    return draw(st.sampled_from(["{%s}", " {%s}\n", "{%s}x", "\ufeff{%s}", "[%s]", "{%s"])) % inner


@given(bodies())
def test_what_is_taken_apart_is_what_the_reader_finds(given_body: str) -> None:
    try:
        given_body.encode()
    except UnicodeEncodeError:
        return
    said = take_apart(given_body)
    if said is None:
        return
    assert said.before + said.written + said.after == given_body
    try:
        frame = frame_of(said)
    except RequestError:
        with pytest.raises(RequestError):
            read_body(given_body.encode())
        return
    if frame is None:
        return
    body = read_body(given_body.encode())
    query = chat.read_query(body.fields)
    rest = {name: value for name, value in body.fields.items() if name != "messages"}
    *before, last = body.fields["messages"]
    assert last == {"role": "user", "content": said.text}
    assert frame.body.fields["messages"][:-1] == before
    assert {n: v for n, v in frame.body.fields.items() if n != "messages"} == rest
    assert query.input_tokens == chat.plain_tokens(said.text) + frame.tokens
    assert query == replace(frame.query, text=said.text, input_tokens=query.input_tokens)
    values = {"model": "m", "max_tokens": 5}
    start, end = frame.around(values)
    assert start + said.written.encode() + end == body.with_fields(values)
    key = session_key("chat", body, {}, scope="k")
    if not rest.get("prompt_cache_key") or not isinstance(rest["prompt_cache_key"], str):
        assert by_first_text("k", frame.query.system)(said.text) == key.id


@pytest.mark.parametrize(
    "text",
    ["plain", "a\nb\t\"c\" \\ /", "ü 你好 🙂", "x" * 20_000, "\x7f\u2028"],
)  # fmt: skip
@pytest.mark.parametrize("ascii_only", [False, True])
def test_plain_requests_are_taken_apart(text: str, ascii_only: bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "user": "u"}
    written = json.dumps(body, ensure_ascii=ascii_only)
    said = take_apart(written)
    if "\\u" in written:
        assert said is None
        return
    assert said is not None
    assert frame_of(said) is not None
    assert said.text == text


@pytest.mark.parametrize(
    "body",
    [
        '{"metadata":{"messages":[{"role":"user","content":"a"}]},"messages":[]}',
        '{"messages":[{"role":"user","content":"a"}],"m":{"messages":[{"role":"user","content":"b"}]},'
        '"messages":[]}',
        '{"messages":[{"role":"user","content":"a"}],"tools":[]}',
        '{"messages":[{"role":"user","content":"a"}],"response_format":null}',
        '{"messages":[{"role":"user","content":"a"}]}{}',
        '\ufeff{"messages":[{"role":"user","content":"a"}]}',
        '{"messages":[{"role":"user","content":"a"}],"x":NaN}',
        '{"messages":[{"role":"user","content":"a"}],"x":"\\ud800"}',
        '[{"messages":[{"role":"user","content":"a"}]}]',
        '{"x":"\\"messages\\":[{\\"role\\":\\"user\\",\\"content\\":\\"a\\"}]"}',
    ],
)
def test_what_only_looks_like_one_message_is_none(body: str) -> None:
    said = take_apart(body)
    if said is None:
        return
    frame = "refused"
    with contextlib.suppress(RequestError):
        frame = str(frame_of(said))
    assert frame in ("refused", "None")


@given(
    st.integers(0, 10**6),
    st.none() | st.integers(1, 10**6),
    st.integers(1, 5),
    st.none() | st.integers(1, 10**6),
    st.none() | st.integers(1, 10**6),
    st.none() | st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_a_rule_gives_the_most_that_a_request_costs(
    tokens: int,
    limit: int | None,
    copies: int,
    window: int | None,
    longest: int | None,
    arm: int | None,
    rate_in: int,
    rate_out: int,
) -> None:
    candidate = Candidate(
        name="c",
        price=Price(input_picousd=rate_in, output_picousd=rate_out),
        context_tokens=window,
        max_output_tokens=longest,
        arm_output_tokens=arm,
    )
    costs = Costs([candidate], 4096)
    query = Query(text="x", input_tokens=tokens, max_output_tokens=limit)
    asked = Asked.of(query, {"n": copies}, 10)
    rules = costs.rules(Asked.of(Query(text="y", max_output_tokens=limit), {"n": copies}, 0))
    assert rules is not None
    assert {n: r.most_picousd(tokens) for n, r in rules.items()} == costs.most_picousd(asked)


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nContent-Length: 12\r\na: b\r\n\r\n"


def read_head(data: bytes = HEAD, **changes: Any) -> Head | None:
    headers: list[tuple[bytes, bytes]] = []

    class Told:
        def on_header(self, name: bytes, value: bytes) -> None:
            headers.append((name.lower(), value))

    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(Told()).feed_data(data)
    known: dict[str, Any] = {
        "method": b"POST", "url": b"/v1/chat/completions", "version": "1.1", "headers": headers,
    }  # fmt: skip
    return head_of(data, **{**known, **changes})


@given(st.integers(0, 10**10), st.binary(max_size=8))
def test_a_head_is_known_by_all_but_its_length(size: int, more: bytes) -> None:
    head = read_head()
    assert head is not None
    data = HEAD.replace(b"12", b"%d" % size) + more
    at = data.index(b"\r\n\r\n") + 4
    assert head.body_at(data) == ((at, size) if 0 < size <= 65536 else None)
    for cut in range(len(data) - len(more)):
        assert head.body_at(data[:cut]) is None


@pytest.mark.parametrize(
    "digits", [b"", b"+5", b"-5", b"5 ", b" 5", b"5,5", b"0x5", b"5_0", b"\xb2"]
)
def test_a_length_is_digits(digits: bytes) -> None:
    head = read_head()
    assert head is not None
    assert head.body_at(HEAD.replace(b"12", digits)) is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"a: b", b"content-length: 12"),
        HEAD.replace(b"a: b", b"content-length: 13"),
        HEAD.replace(b"a: b", b"transfer-encoding: chunked"),
        HEAD.replace(b"a: b", b"Expect: 100-continue"),
        HEAD.replace(b"a: b", b"connection: close"),
        HEAD.replace(b"a: b", b"connection: keep-alive, upgrade"),
        HEAD.replace(b"a: b", b"x-turnout-router: mf"),
        HEAD.replace(b"a: b", b"idempotency-key: 1"),
        HEAD.replace(b"a: b", b"origin: http://x"),
        HEAD.replace(b"a: b", b"session-id: 1"),
        HEAD.replace(b"a: b", b"traceparent: 00"),
        HEAD.replace(b"a: b", b"a: b\r\n c"),
        HEAD.replace(b"a: b", b"host: y"),
        b"\r\n" + HEAD,
        HEAD.replace(b"Content-Length: 12\r\n", b"a: content-length: 12\r\n"),
        HEAD.replace(b"Content-Length: 12", b"Content-Length:\t12"),
    ],
)
def test_heads_that_are_not_plain_are_for_the_application(data: bytes) -> None:
    assert read_head(data) is None


def test_heads_of_other_requests_are_for_the_application() -> None:
    assert read_head() is not None
    for changes in ({"method": b"GET"}, {"url": b"/v1/models"}, {"version": "1.0"}):
        assert read_head(**changes) is None
