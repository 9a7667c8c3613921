from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from turnout.providers.fake import Fault, completion, create_fake_app, example, stream_chunks
from turnout.wire.sse import read_events

ASK: dict[str, Any] = {"model": "a", "messages": [{"role": "user", "content": "Two  words"}]}


def test_an_answer_says_that_it_is_simulated() -> None:
    answer = completion(ASK)
    text = answer["choices"][0]["message"]["content"]
    assert text == "[simulated answer of a] You said: Two words"
    assert answer["usage"]["total_tokens"] == sum(
        answer["usage"][part] for part in ("prompt_tokens", "completion_tokens")
    )
    assert completion(ASK) == answer


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_says_the_same(usage: bool) -> None:
    body = {**ASK, "stream": True, "stream_options": {"include_usage": usage}}
    *events, done = read_events(b"".join(stream_chunks(body)))
    chunks = [json.loads(event) for event in events]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert said == completion(ASK)["choices"][0]["message"]["content"]
    assert done == "[DONE]"
    assert (chunks[-1].get("usage") == completion(ASK)["usage"]) is usage


def test_the_forced_tool_is_called() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("one", "two")]
    choice = {"type": "function", "function": {"name": "two"}}
    message = completion({**ASK, "tools": tools, "tool_choice": choice})["choices"][0]["message"]
    assert message["tool_calls"][0]["function"] == {"name": "two", "arguments": "{}"}
    assert completion({**ASK, "tools": tools, "tool_choice": "none"})["choices"][0]["message"][
        "content"
    ]


def test_an_example_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "s": {"type": "string"},
            "n": {"type": "number"},
            "l": {"type": "array"},
            "e": {"enum": ["x", "y"]},
            "o": {"properties": {"b": {"type": "boolean"}}},
        },
    }
    assert example(schema) == {"s": "[simulated]", "n": 0.0, "l": [], "e": "x", "o": {"b": False}}


def test_models_and_unknown_models() -> None:
    with TestClient(create_fake_app(["a", "b"])) as http:
        assert [m["id"] for m in http.get("/v1/models").json()["data"]] == ["a", "b"]
        reply = http.post("/v1/chat/completions", json={**ASK, "model": "c"})
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"


def test_a_scripted_fault_happens_once_and_requests_are_remembered() -> None:
    upstream = create_fake_app(["a"], [Fault(status=503, body=b"no", headers={"retry-after": "1"})])
    with TestClient(upstream) as http:
        reply = http.post("/v1/chat/completions", json=ASK)
        assert (reply.status_code, reply.content, reply.headers["retry-after"]) == (503, b"no", "1")
        assert http.post("/v1/chat/completions", json=ASK).status_code == 200
    assert [seen.json for seen in upstream.seen] == [ASK, ASK]
