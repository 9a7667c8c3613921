"""Requests that RouteLLM's server fails, row by row (its 0.2.0 on PyPI)."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from gateway_fakes import CLIENT_KEY, PROVIDER_KEY, Deployment

from turnout.providers.fake import Fault
from turnout.wire.sse import read_events

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ASK: Any = [{"role": "user", "content": "Hello"}]


def chat(http: httpx2.Client, **body: Any) -> httpx2.Response:
    return http.post("/v1/chat/completions", json={"model": "auto", "messages": ASK, **body})


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {
            "messages": [
                *ASK,
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **TOOL}]},
                {"role": "tool", "tool_call_id": "c", "content": "12"},
            ]
        },
    ],
)
def test_tools_and_schemas_are_served(
    http: httpx2.Client, gateway: Deployment, body: dict[str, Any]
) -> None:
    reply = chat(http, **body)
    assert reply.status_code == 200
    for name, value in body.items():
        assert gateway.upstream.seen[0].json[name] == value


def test_auto_and_a_candidates_own_name_are_served(http: httpx2.Client) -> None:
    assert chat(http, model="auto").headers["x-turnout-router"] == "length"
    by_name = chat(http, model="strong")
    assert by_name.json()["model"] == "strong-model"
    assert by_name.headers["x-turnout-router"] == "none"
    assert by_name.headers["x-turnout-reason"] == "asked_for_by_name: asked for by name"


def test_an_unknown_model_is_a_404_that_lists_what_exists(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=r"router-length-0\.5.*strong") as caught:
        client.chat.completions.create(model="gpt-4", messages=ASK)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("messages", [[], "text"])
def test_impossible_messages_are_a_400(http: httpx2.Client, messages: Any) -> None:
    reply = chat(http, messages=messages)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "messages"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (400, openai.BadRequestError),
    ],
)
def test_upstream_errors_arrive_unchanged(
    client: openai.OpenAI, gateway: Deployment, status: int, error: type[openai.APIStatusError]
) -> None:
    body = b'{"error": {"message": "as it was",  "type": "x", "code": "c", "extra": 1}}'
    headers = {"retry-after": "7", "x-ratelimit-remaining-requests": "0", "x-request-id": "up-1",
               "content-type": "application/json", "set-cookie": "a=b"}  # fmt: skip
    gateway.upstream.script.append(Fault(status=status, body=body, headers=headers))
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="auto", messages=ASK)
    response = caught.value.response
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert response.headers["x-request-id"] == "up-1"
    assert response.headers["x-turnout-model"] == "cheap"
    assert "set-cookie" not in response.headers
    assert len(gateway.upstream.seen) == 1, "the gateway does not retry on its own"


def test_an_error_in_mid_stream_reaches_the_client(
    client: openai.OpenAI, gateway: Deployment
) -> None:
    gateway.upstream.script.append(Fault(error_after=2))
    stream = client.chat.completions.create(model="auto", messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="an error in mid-stream"):
        list(stream)


def test_a_broken_stream_ends_with_an_error_event(http: httpx2.Client, gateway: Deployment) -> None:
    gateway.upstream.script.append(Fault(cut_after=2))
    reply = chat(http, stream=True)
    assert reply.status_code == 200
    *chunks, last = read_events(reply.content)
    assert len(chunks) == 2
    assert json.loads(last)["error"]["code"] == "upstream_error"
    assert b"[DONE]" not in reply.content


def test_every_field_reaches_the_upstream_byte_for_byte(
    http: httpx2.Client, gateway: Deployment
) -> None:
    sent = (
        b'{ "max_completion_tokens":5, "model" : "auto","reasoning_effort":"minimal",\n'
        b'"stream_options":{"include_usage":true},"stream":true, "metadata":{"a":"b"},'
        b'"new_field":[1.0,1e-7,"\xc3\xa9 \\u00e9"],"messages":[{"role":"user","content":"x"}]}'
    )
    http.post("/v1/chat/completions", content=sent)
    assert gateway.upstream.seen[0].body == sent.replace(b'"auto"', b'"cheap-model"')


def test_no_default_is_added(http: httpx2.Client, gateway: Deployment) -> None:
    chat(http)
    assert gateway.upstream.seen[0].json == {"model": "cheap-model", "messages": ASK}


def test_the_clients_key_stays_here_and_the_providers_key_goes_up(
    client: openai.OpenAI, gateway: Deployment
) -> None:
    client.chat.completions.create(
        model="auto", messages=ASK, extra_headers={"x-api-key": CLIENT_KEY, "cookie": CLIENT_KEY}
    )
    headers = gateway.upstream.seen[0].headers
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert CLIENT_KEY not in str(headers)


def test_image_parts_go_to_a_model_that_sees(http: httpx2.Client) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    reply = chat(http, messages=[{"role": "user", "content": parts}])
    assert reply.status_code == 200
    assert reply.headers["x-turnout-model"] == "strong"
    assert reply.headers["x-turnout-reason"].startswith("only_candidate: ")


def test_replies_say_what_was_decided_and_why(http: httpx2.Client) -> None:
    headers = chat(http).headers
    assert headers["x-turnout-decision-id"].startswith("dec_")
    assert headers["x-turnout-model"] == "cheap"
    assert headers["x-turnout-router"] == "length"
    assert headers["x-turnout-score"] == "0.0500"
    assert headers["x-turnout-reason"].startswith("win_rate_below_threshold: strong wins over")
    assert headers["x-turnout-cost-usd"] == "0.00006288"
    assert "x-turnout-fallback" not in headers


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_models_are_listed(http: httpx2.Client, path: str) -> None:
    ids = [model["id"] for model in http.get(path).json()["data"]]
    assert ids[0] == "auto"
    assert {"router-length-0.5", "router-broken-0.25", "strong", "cheap"} <= set(ids)


@pytest.mark.parametrize("path", ["/nothing", "/v1/images/generations", "/v1/completions"])
def test_paths_that_are_not_served_say_so_in_openais_form(http: httpx2.Client, path: str) -> None:
    reply = http.post(path, json={})
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_found"
    assert "x-request-id" in reply.headers
