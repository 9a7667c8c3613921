"""The text of a whole answer, of any dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.wire.dialects import Dialect
from turnout.wire.streams.whole import said_text


def chat(**change: Any) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Paris"},
        "finish_reason": "stop",
    }
    return json.dumps({"id": "c", "model": "m", "choices": [choice | change]}).encode()


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def messages(*blocks: dict[str, Any], reason: str = "end_turn") -> bytes:
    content = blocks or ({"type": "text", "text": "Paris"},)
    return json.dumps(
        {"id": "m", "model": "m", "role": "assistant", "content": content, "stop_reason": reason}
    ).encode()


def responses(status: str = "completed", *items: dict[str, Any]) -> bytes:
    part = {"type": "output_text", "text": "Paris", "annotations": []}
    message = {"type": "message", "id": "i", "role": "assistant", "content": [part]}
    return json.dumps(
        {"id": "r", "model": "m", "status": status, "output": [*items, message]}
    ).encode()


@pytest.mark.parametrize(
    ("dialect", "body", "text"),
    [
        ("chat", chat(), "Paris"),
        ("chat", chat(finish_reason="length"), None),
        ("chat", chat(message={"role": "assistant", "content": None, "tool_calls": [CALL]}), None),
        ("chat", chat(message={"role": "assistant", "content": " "}), None),
        ("chat", chat(message={"role": "assistant", "refusal": "No."}), None),
        ("chat", json.dumps({"choices": json.loads(chat())["choices"] * 2}).encode(), None),
        ("chat", b"not JSON", None),
        ("messages", messages(), "Paris"),
        (
            "messages",
            messages({"type": "thinking", "thinking": "Hm", "signature": "x"}, {"type": "text", "text": "A"}),
            "A",
        ),
        ("messages", messages({"type": "tool_use", "id": "t", "name": "n", "input": {}}), None),
        ("messages", messages(reason="max_tokens"), None),
        ("responses", responses(), "Paris"),
        ("responses", responses("incomplete"), None),
        (
            "responses",
            responses("completed", {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}),
            None,
        ),
    ],
)  # fmt: skip
def test_the_text_of_a_whole_body(dialect: Dialect, body: bytes, text: str | None) -> None:
    assert said_text(dialect, body, stream=False) == text


def sse(*events: dict[str, Any] | str) -> bytes:
    lines = [e if isinstance(e, str) else json.dumps(e) for e in events]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def test_the_text_of_a_stream_is_that_of_its_pieces() -> None:
    whole = sse(
        chunk(role="assistant", content="Pa"), chunk(content="ris"), chunk("stop"), "[DONE]"
    )
    assert said_text("chat", whole, stream=True) == "Paris"
    cut = sse(chunk(content="Pa"), chunk("length"), "[DONE]")
    assert said_text("chat", cut, stream=True) is None
    assert said_text("chat", sse(chunk(content="Pa")), stream=True) is None
    called = sse(chunk(content="Pa"), chunk(tool_calls=[{"index": 0, **CALL}]), chunk("tool_calls"))
    assert said_text("chat", called, stream=True) is None
    assert (
        said_text("chat", sse("no JSON", *[chunk(content="A"), chunk("stop")]), stream=True) == "A"
    )
