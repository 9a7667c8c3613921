"""Whole replies in the other dialects, read by the client's own SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from judges import anthropic_client, openai_client, reply_type, replying

from turnout.errors import ReplyError
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.translate import Client, Target, translate_reply, translate_request

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_764_000_000,
    "model": "gpt-6-astra",
    "service_tier": "default",
    "choices": [
        {
            "index": 0,
            "logprobs": None,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "refusal": None,
                "annotations": [],
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'},
                    }
                ],
            },
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}
RESPONSES: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_764_000_000,
    "status": "completed",
    "model": "gpt-6-astra",
    "output": [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "enc",
        },
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"a":1}',
        },
    ],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    },
}
MESSAGES: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 4},
}
REPLIES: dict[Dialect, dict[str, Any]] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "messages": MESSAGES,
}


def client(dialect: Dialect, **changes: Any) -> Client:
    return Client(dialect=dialect, now=1_764_000_100, **changes)


def body_of(source: Dialect, target: Dialect, **changes: Any) -> dict[str, Any]:
    given = json.dumps({**REPLIES[source], **changes}).encode()
    return translate_reply(given, source, client(target)).body


def read_by_sdk(dialect: Dialect, body: dict[str, Any]) -> tuple[Any, ...]:
    """Thought, text, calls, finish and tokens, as the dialect's own SDK reads them."""
    raw = json.dumps(body).encode()
    if dialect == "chat":
        chat = openai_client(replying(raw)).chat.completions.create(model="m", messages=[])
        message = chat.choices[0].message
        calls = [
            (c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls
        ]
        tokens = (chat.usage.prompt_tokens, chat.usage.completion_tokens)
        thought = message.reasoning_content
        return thought, message.content, calls, chat.choices[0].finish_reason, tokens
    if dialect == "responses":
        response = openai_client(replying(raw)).responses.create(model="m", input="x")
        thought = next(i for i in response.output if i.type == "reasoning").summary[0].text
        calls = [
            (i.call_id, i.name, json.loads(i.arguments))
            for i in response.output
            if i.type == "function_call"
        ]
        tokens = (response.usage.input_tokens, response.usage.output_tokens)
        return thought, response.output_text, calls, response.status, tokens
    message = anthropic_client(replying(raw)).messages.create(model="m", max_tokens=9, messages=[])
    blocks = {block.type: block for block in message.content}
    use = blocks["tool_use"]
    tokens = (message.usage.input_tokens, message.usage.output_tokens)
    text, thought = blocks["text"].text, blocks["thinking"].thinking
    return thought, text, [(use.id, use.name, use.input)], message.stop_reason, tokens


FINISHES = {"chat": "tool_calls", "responses": "completed", "messages": "tool_use"}


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_the_sdk_of_the_client_reads_the_whole_answer(source: Dialect, target: Dialect) -> None:
    found = read_by_sdk(target, body_of(source, target))
    calls = [("call_1", "f", {"a": 1})]
    assert found == ("Hm.", "Let me look.", calls, FINISHES[target], (9, 4))


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_a_reply_is_of_the_sdks_own_type(source: Dialect, target: Dialect) -> None:
    adapter = reply_type(target)
    adapter.validate_python(body_of(source, target))
    request = {
        "model": "m",
        "input": "x",
        "tools": [],
        "temperature": 0.5,
        "reasoning": {"effort": "low"},
    }
    raw = json.dumps(REPLIES[source]).encode()
    adapter.validate_python(translate_reply(raw, source, client(target, request=request)).body)


def chat_finish(reason: str, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "x", **message}
    return {"choices": [{"index": 0, "finish_reason": reason, "message": said}]}


@pytest.mark.parametrize(
    ("source", "changes", "target", "expected"),
    [
        ("chat", chat_finish("stop"), "messages", {"stop_reason": "end_turn"}),
        ("chat", chat_finish("length"), "messages", {"stop_reason": "max_tokens"}),
        ("chat", chat_finish("content_filter"), "messages", {"stop_reason": "refusal"}),
        ("chat", chat_finish("unheard_of"), "messages", {"stop_reason": "end_turn"}),
        (
            "chat",
            chat_finish("stop", content=None, refusal="No."),
            "messages",
            {"stop_reason": "refusal"},
        ),
        (
            "chat",
            chat_finish("length"),
            "responses",
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        ),
        (
            "chat",
            chat_finish("content_filter"),
            "responses",
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        ),
        (
            "messages",
            {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            "responses",
            {"status": "completed"},
        ),
        (
            "messages",
            {"stop_reason": "model_context_window_exceeded"},
            "responses",
            {"status": "incomplete"},
        ),
    ],
)
def test_finishes(
    source: Dialect, changes: dict[str, Any], target: Dialect, expected: dict[str, Any]
) -> None:
    body = body_of(source, target, **changes)
    assert {name: body[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        (None, "stop"),
    ],
)
def test_anthropics_reasons_in_chat(reason: str | None, finish: str) -> None:
    assert body_of("messages", "chat", stop_reason=reason)["choices"][0]["finish_reason"] == finish


def test_a_refusal_keeps_its_words() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "I will not."}
    refused = {"content": [], "stop_reason": "refusal", "stop_details": details}
    message = body_of("messages", "chat", **refused)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "I will not."}
    part = body_of("messages", "responses", **refused)["output"][0]["content"][0]
    assert part == {"type": "refusal", "refusal": "I will not."}
    back = body_of("chat", "messages", **chat_finish("stop", content=None, refusal="No."))
    assert back["content"][0]["text"] == "No."
    assert back["stop_details"]["explanation"] == "No."


def test_reasoning_comes_back_to_its_maker() -> None:
    for source, target in (("messages", "responses"), ("responses", "messages")):
        said = body_of(source, target)
        user = {"role": "user", "content": "x"}
        if target == "messages":
            history: dict[str, Any] = {
                "max_tokens": 9,
                "messages": [user, {"role": "assistant", "content": said["content"][:2]}, user],
            }
        else:
            history = {"input": [user, *said["output"][:2], user]}
        sent = translate_request(
            {"model": "m", **history}, target, Target(dialect=source, model="m")
        )
        assert sent.notes == ()
        if source == "responses":
            item = sent.body["input"][1]
            assert (item["id"], item["encrypted_content"]) == ("rs_1", "enc")
            assert item["summary"] == [{"type": "summary_text", "text": "Hm."}]
        else:
            block = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
            assert sent.body["messages"][1]["content"][0] == block


def test_a_responses_reply_repeats_its_request() -> None:
    request = {
        "model": "auto",
        "instructions": "Be brief",
        "tools": [{"type": "function", "name": "f"}],
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "metadata": {"a": "b"},
    }
    given = json.dumps(CHAT).encode()
    body = translate_reply(given, "chat", client("responses", request=request, model="auto")).body
    assert {name: body[name] for name in request} == request


def test_usage_and_names_are_told_beside_the_body() -> None:
    found = translate_reply(json.dumps(MESSAGES).encode(), "messages", client("chat", model="auto"))
    assert found.usage is not None
    assert found.usage.total_tokens == 13
    assert found.model == "claude-opus-5-5"
    assert found.body["model"] == "auto"
    assert found.dropped == ()


def test_what_a_client_cannot_be_given_is_named() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    cited = {"type": "text", "text": "x", "citations": [{"type": "char_location"}]}
    given = json.dumps({**MESSAGES, "content": [search, cited]}).encode()
    found = translate_reply(given, "messages", client("chat"))
    assert found.dropped == ("content server_tool_use", "citations")
    assert found.body["choices"][0]["message"]["content"] == "x"


def test_of_several_choices_the_first_is_given() -> None:
    given = json.dumps({**CHAT, "choices": [*CHAT["choices"], *CHAT["choices"]]}).encode()
    assert translate_reply(given, "chat", client("messages")).dropped == (
        "choices after the first",
    )


def test_missing_usage_is_none_and_estimated_only_where_one_must_be_said() -> None:
    given = json.dumps({**CHAT, "usage": None}).encode()
    found = translate_reply(given, "chat", client("messages", input_tokens=50))
    assert found.usage is None
    assert found.body["usage"]["input_tokens"] == 50
    assert found.body["usage"]["output_tokens"] > 0
    assert translate_reply(given, "chat", client("responses")).body["usage"] is None


def test_a_call_cut_by_the_output_limit_is_left_out_for_anthropic() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    body = body_of("chat", "messages", **chat_finish("length", tool_calls=[call]))
    assert [block["type"] for block in body["content"]] == ["text"]
    with pytest.raises(ReplyError, match="no JSON object"):
        body_of("chat", "messages", **chat_finish("tool_calls", tool_calls=[call]))


@pytest.mark.parametrize("source", DIALECTS)
@pytest.mark.parametrize(
    "page", [b"", b"<html>Sign in</html>", b"[]", b"{}", b'{"choices": []}', b"\xff", b"[" * 99_999]
)
def test_what_is_no_reply_is_an_upstream_failure(source: Dialect, page: bytes) -> None:
    with pytest.raises(ReplyError) as caught:
        translate_reply(page, source, client("chat"))
    assert "html" not in str(caught.value)


def test_a_failed_response_is_an_upstream_failure() -> None:
    with pytest.raises(ReplyError, match="went wrong"):
        body_of("responses", "chat", status="failed", error={"message": "it went wrong"})
