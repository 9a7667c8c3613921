"""Which conversation a request belongs to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.wire.body import read_body
from turnout.wire.dialects import Dialect
from turnout.wire.session import SessionKey, claude_code_session, response_session, session_key


def of(dialect: Dialect, body: dict[str, Any], **options: Any) -> SessionKey:
    headers = options.pop("headers", {})
    return session_key(dialect, read_body(json.dumps(body).encode()), headers, **options)


def request(dialect: Dialect, first: str = "Hi", more: int = 0, **body: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": first}]
    said += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}] * more
    return {"model": "auto", "input" if dialect == "responses" else "messages": said, **body}


dialects = pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])


@dialects
def test_a_conversation_is_told_by_how_it_begins(dialect: Dialect) -> None:
    begins = of(dialect, request(dialect))
    assert begins == of(dialect, request(dialect, more=3))
    assert begins.id.startswith("sess_")
    assert not begins.exact
    others = [
        of(dialect, request(dialect, first="Ho")),
        of(dialect, request(dialect, tools=[{"name": "f"}])),
        of(dialect, request(dialect), scope="key_2"),
    ]
    assert len({begins, *others}) == 4


def test_system_texts_tell_conversations_apart() -> None:
    system = [{"role": "system", "content": "Be kind"}]
    chat = request("chat")
    kind = {**chat, "messages": system + chat["messages"]}
    assert of("chat", chat) != of("chat", kind)
    assert of("messages", request("messages")) != of("messages", request("messages", system="A"))
    responses = request("responses", instructions="A")
    assert of("responses", request("responses")) != of("responses", responses)


def test_long_beginnings_are_looked_at_from_both_ends() -> None:
    long = "x" * 50_000
    assert of("chat", request("chat", first=long + "a")) != of(
        "chat", request("chat", first=long + "b")
    )
    assert of("chat", request("chat", first="a" + long)) != of(
        "chat", request("chat", first="b" + long)
    )
    assert of("chat", request("chat", first=long)) != of("chat", request("chat", first=long + long))


@dialects
def test_the_header_says_it_by_itself(dialect: Dialect) -> None:
    headers = {"x-turnout-session": "one"}
    key = of(dialect, request(dialect), headers=headers)
    assert key.exact
    assert key == of(dialect, request(dialect, first="Something else"), headers=headers)
    assert key != of(dialect, request(dialect), headers={"x-turnout-session": "two"})
    assert key != of(dialect, request(dialect), headers=headers, scope="another key")
    assert "one" not in key.id


@dialects
@pytest.mark.parametrize("name", ["x-claude-code-session-id", "session-id", "session_id"])
def test_a_clients_session_holds_several_conversations(dialect: Dialect, name: str) -> None:
    one, two = {name: "one"}, {name: "two"}
    key = of(dialect, request(dialect), headers=one)
    # Its tools may change as it goes on; a sub-agent begins otherwise.
    assert key == of(dialect, request(dialect, more=2, tools=[{"name": "g"}]), headers=one)
    assert key != of(dialect, request(dialect, first="Give it a title"), headers=one)
    assert key != of(dialect, request(dialect), headers=two)


def test_a_cache_key_is_a_clients_session() -> None:
    for dialect in ("chat", "responses"):
        key = of(dialect, request(dialect, prompt_cache_key="k"))
        assert key == of(dialect, request(dialect, prompt_cache_key="k", tools=[{}]))
        assert key != of(dialect, request(dialect, prompt_cache_key="l"))


def test_claude_codes_session_stands_in_its_user() -> None:
    old = "user_0af3_account__session_57a1-48c3"
    new = json.dumps({"device_id": "d", "account_uuid": "", "session_id": "57a1-48c3"})
    assert claude_code_session(old) == claude_code_session(new) == "57a1-48c3"
    for other in ("user-7", "{", "[1]", '{"session_id": 3}', "{" * 9999):
        assert claude_code_session(other) is None
    keys = {of("messages", request("messages", metadata={"user_id": u})) for u in (old, new)}
    assert len(keys) == 1
    assert of("messages", request("messages", metadata={"user_id": "me"})) == of(
        "messages", request("messages")
    )


def test_what_a_provider_keeps_is_known_by_its_id() -> None:
    known = {response_session("a", "resp_1"): "sess_of_it"}
    body = {"model": "auto", "input": "x", "previous_response_id": "resp_1"}
    found = of("responses", body, scope="a", made_by=known.get)
    assert found == SessionKey("sess_of_it", True)
    other = of("responses", body, scope="b", made_by=known.get)
    assert other.id == response_session("b", "resp_1") != found.id  # another's: not known to it
    assert of("responses", body).exact  # not known here, and still itself
    kept = {"model": "auto", "input": "x", "conversation": {"id": "conv_1"}}
    assert of("responses", kept) == of("responses", {**kept, "conversation": "conv_1"})
    assert of("responses", kept) != of("responses", {**kept, "conversation": "conv_2"})


@pytest.mark.parametrize("odd", [3, None, [], {}, {"id": 3}])
def test_odd_values_say_nothing(odd: Any) -> None:
    plain = request("responses")
    body = {**plain, "conversation": odd, "previous_response_id": odd, "prompt_cache_key": odd}
    assert not of("responses", body).exact
    assert not of("messages", request("messages", metadata=odd)).exact
