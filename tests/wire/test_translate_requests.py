"""What maps to what, what is left out with a note, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.errors import RequestError, TranslationError
from turnout.wire.dialects import Dialect
from turnout.wire.translate import Target, Translated, translate_request

SECRET = "the prompt that must not be shown"
USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BASES: dict[Dialect, dict[str, Any]] = {
    "chat": {"model": "auto", "messages": [USER]},
    "responses": {"model": "auto", "input": [USER]},
    "messages": {"model": "auto", "max_tokens": 100, "messages": [USER]},
}


def to(
    source: Dialect, target: Dialect, rules: dict[str, Any] | None = None, **body: Any
) -> Translated:
    given = {**BASES[source], **body}
    return translate_request(given, source, Target(dialect=target, model="m", **(rules or {})))


@pytest.mark.parametrize(
    ("source", "given", "target", "expected"),
    [
        # tool choice
        (
            "chat",
            {"tools": [TOOL], "tool_choice": "required"},
            "messages",
            {"tool_choice": {"type": "any"}},
        ),
        (
            "chat",
            {"tools": [TOOL], "tool_choice": "none"},
            "messages",
            {"tool_choice": {"type": "none"}},
        ),
        (
            "chat",
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "messages",
            {"tool_choice": {"type": "tool", "name": "f"}},
        ),
        (
            "chat",
            {"tools": [TOOL], "parallel_tool_calls": False},
            "messages",
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        (
            "responses",
            {"tool_choice": {"type": "function", "name": "f"}},
            "chat",
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            "messages",
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
            "responses",
            {"tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
        ),
        # limits, stops, users
        ("chat", {"max_tokens": 7}, "messages", {"max_tokens": 7}),
        ("chat", {"max_tokens": 7, "max_completion_tokens": 9}, "messages", {"max_tokens": 9}),
        ("messages", {}, "chat", {"max_completion_tokens": 100}),
        ("messages", {}, "responses", {"max_output_tokens": 100}),
        ("chat", {"stop": "END"}, "messages", {"stop_sequences": ["END"]}),
        ("messages", {"stop_sequences": ["a", "b"]}, "chat", {"stop": ["a", "b"]}),
        ("chat", {"user": "u"}, "messages", {"metadata": {"user_id": "u"}}),
        (
            "chat",
            {"user": "u", "safety_identifier": "s"},
            "messages",
            {"metadata": {"user_id": "s"}},
        ),
        ("messages", {"metadata": {"user_id": "u"}}, "chat", {"user": "u"}),
        ("chat", {"service_tier": "default"}, "messages", {"service_tier": "standard_only"}),
        ("messages", {"service_tier": "standard_only"}, "responses", {"service_tier": "default"}),
        # structured output
        (
            "chat",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
                }
            },
            "responses",
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "schema": {"type": "object"},
                        "strict": True,
                    }
                }
            },
        ),
        (
            "responses",
            {
                "text": {
                    "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
                }
            },
            "messages",
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        (
            "responses",
            {"text": {"format": {"type": "json_object"}}},
            "chat",
            {"response_format": {"type": "json_object"}},
        ),
        # effort and thinking
        ("chat", {"reasoning_effort": "high"}, "responses", {"reasoning": {"effort": "high"}}),
        (
            "chat",
            {"reasoning_effort": "max"},
            "messages",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        ),
        ("chat", {"reasoning_effort": "none"}, "messages", {"thinking": {"type": "disabled"}}),
        (
            "messages",
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            "chat",
            {"reasoning_effort": "low"},
        ),
        (
            "messages",
            {"thinking": {"type": "enabled", "budget_tokens": 8192}},
            "chat",
            {"reasoning_effort": "medium"},
        ),
        (
            "messages",
            {"thinking": {"type": "enabled", "budget_tokens": 60000}},
            "chat",
            {"reasoning_effort": "high"},
        ),
        ("messages", {"thinking": {"type": "disabled"}}, "chat", {"reasoning_effort": "none"}),
        (
            "messages",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "xhigh"},
            },
            "responses",
            {
                "reasoning": {"effort": "xhigh", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
            },
        ),
        # streams and state
        (
            "responses",
            {"stream": True},
            "chat",
            {"stream": True, "stream_options": {"include_usage": True}},
        ),
        ("chat", {}, "responses", {"store": False}),
        (
            "chat",
            {"store": True, "metadata": {"a": "b"}},
            "responses",
            {"store": True, "metadata": {"a": "b"}},
        ),
        ("chat", {"verbosity": "low"}, "responses", {"text": {"verbosity": "low"}}),
        ("chat", {"prompt_cache_key": "k"}, "responses", {"prompt_cache_key": "k"}),
        ("chat", {"prompt_cache_key": "k"}, "messages", {"cache_control": {"type": "ephemeral"}}),
    ],
)
def test_fields(
    source: Dialect, given: dict[str, Any], target: Dialect, expected: dict[str, Any]
) -> None:
    body = to(source, target, **given).body
    assert {name: body.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("source", "given", "target", "notes"),
    [
        ("chat", {"metadata": {"a": "b"}}, "messages", ["metadata"]),
        ("chat", {"store": True}, "messages", ["store"]),
        ("chat", {"store": False}, "messages", []),
        (
            "chat",
            {"seed": 3, "prediction": {"type": "content", "content": "x"}},
            "messages",
            ["seed", "prediction"],
        ),
        ("chat", {"seed": 3}, "responses", ["seed"]),
        ("chat", {"verbosity": "low"}, "messages", ["verbosity"]),
        ("chat", {"verbosity": "medium"}, "messages", []),
        (
            "chat",
            {"stream_options": {"include_obfuscation": False}},
            "messages",
            ["stream_options.include_obfuscation"],
        ),
        ("chat", {"temperature": 0.5, "reasoning_effort": "low"}, "messages", ["temperature"]),
        ("chat", {"reasoning_effort": "minimal"}, "messages", ["reasoning effort"]),
        (
            "responses",
            {"include": ["web_search_call.results"], "max_tool_calls": 3},
            "chat",
            ["max_tool_calls", "include"],
        ),
        ("responses", {"reasoning": {"summary": "auto"}}, "chat", ["reasoning summary"]),
        ("messages", {"cache_control": {"type": "ephemeral"}}, "chat", ["cache_control"]),
        ("messages", {"metadata": {"user_id": "u" * 65}}, "chat", ["metadata.user_id"]),
        (
            "messages",
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            "chat",
            ["output_config.format"],
        ),
        (
            "chat",
            {
                "n": 1,
                "frequency_penalty": 0,
                "logprobs": False,
                "logit_bias": {},
                "modalities": ["text"],
            },
            "messages",
            [],
        ),
        (
            "responses",
            {"background": False, "truncation": "disabled", "metadata": {}},
            "messages",
            [],
        ),
    ],
)
def test_what_is_left_out_is_noted(
    source: Dialect, given: dict[str, Any], target: Dialect, notes: list[str]
) -> None:
    found = to(source, target, **given).notes
    assert sorted(note.partition(": ")[0] for note in found) == sorted(notes)
    assert all(note.isascii() for note in found)


def system(role: str, text: str = "S") -> dict[str, str]:
    return {"role": role, "content": text}


IMAGE_RESULT = {
    "type": "tool_result",
    "tool_use_id": "t",
    "content": [{"type": "image", "source": {"type": "url", "url": "https://a.test/x.png"}}],
}


@pytest.mark.parametrize(
    ("source", "given", "target", "field"),
    [
        ("chat", {"n": 2}, "messages", "n"),
        ("chat", {"logprobs": True}, "responses", "logprobs"),
        ("chat", {"frequency_penalty": 0.5}, "messages", "frequency_penalty"),
        ("chat", {"logit_bias": {"1": 5}}, "responses", "logit_bias"),
        ("chat", {"stop": ["x"]}, "responses", "stop"),
        ("chat", {"temperature": 1.5}, "messages", "temperature"),
        ("chat", {"functions": [{"name": "f"}]}, "messages", "functions"),
        ("chat", {"audio": {"voice": "alloy", "format": "mp3"}}, "messages", "audio"),
        ("chat", {"modalities": ["text", "audio"]}, "responses", "modalities"),
        (
            "chat",
            {"web_search_options": {"search_context_size": "low"}},
            "messages",
            "web_search_options",
        ),
        ("chat", {"moderation": {"model": "x"}}, "messages", "moderation"),
        ("chat", {"service_tier": "flex"}, "messages", "service_tier"),
        ("chat", {"response_format": {"type": "json_object"}}, "messages", "response_format.type"),
        (
            "chat",
            {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
            "messages",
            "tools[0].type",
        ),
        ("chat", {"tools": [{"type": "web_search"}]}, "messages", "tools[0].type"),
        ("chat", {"a_new_field": 1}, "messages", "a_new_field"),
        ("chat", {"messages": [{**USER, "new": 1}]}, "messages", "messages[0].new"),
        (
            "chat",
            {"messages": [USER, {"role": "assistant", "content": "Sure"}]},
            "messages",
            "messages[1].role",
        ),
        ("chat", {"messages": [system("function"), USER]}, "messages", "messages[0].role"),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}
                        ],
                    }
                ]
            },
            "messages",
            "messages[0]",
        ),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}
                        ],
                    }
                ]
            },
            "responses",
            "messages[0]",
        ),
        (
            "chat",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}
                ]
            },
            "messages",
            "messages[0]",
        ),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}
                        ],
                    }
                ]
            },
            "messages",
            "messages[0]",
        ),
        ("responses", {"previous_response_id": "resp_1"}, "chat", "previous_response_id"),
        ("responses", {"conversation": "conv_1"}, "messages", "conversation"),
        ("responses", {"prompt": {"id": "p"}}, "chat", "prompt"),
        ("responses", {"background": True}, "chat", "background"),
        ("responses", {"truncation": "auto"}, "chat", "truncation"),
        ("responses", {"include": ["message.output_text.logprobs"]}, "chat", "include"),
        ("responses", {"reasoning": {"mode": "pro"}}, "chat", "reasoning.mode"),
        ("responses", {"tools": [{"type": "web_search"}]}, "chat", "tools[0].type"),
        (
            "responses",
            {"tools": [{"type": "mcp", "server_label": "x"}]},
            "messages",
            "tools[0].type",
        ),
        ("responses", {"input": [{"type": "item_reference", "id": "x"}]}, "chat", "input[0].type"),
        ("responses", {"input": [{"id": "msg_1"}]}, "messages", "input[0].id"),
        (
            "responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "chat",
            "input[0]",
        ),
        (
            "responses",
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_file", "file_url": "https://a.test/a.pdf"}],
                    }
                ]
            },
            "chat",
            "input[0]",
        ),
        ("messages", {"top_k": 5}, "chat", "top_k"),
        ("messages", {"speed": "fast"}, "chat", "speed"),
        ("messages", {"container": "c"}, "chat", "container"),
        ("messages", {"inference_geo": "eu"}, "responses", "inference_geo"),
        ("messages", {"mcp_servers": [{"url": "x"}]}, "chat", "mcp_servers"),
        (
            "messages",
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "chat",
            "tools[0].type",
        ),
        (
            "messages",
            {"tools": [{"name": "f", "input_schema": {}, "input_examples": [{"a": 1}]}]},
            "chat",
            "tools[0].input_examples",
        ),
        (
            "messages",
            {"messages": [USER, {"role": "assistant", "content": "I"}]},
            "chat",
            "messages[1].role",
        ),
        (
            "messages",
            {"messages": [USER, {"role": "user", "content": [IMAGE_RESULT]}]},
            "chat",
            "messages[1]",
        ),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "search_result", "title": "t"}]}]},
            "chat",
            "messages[0].content[0].type",
        ),
        (
            "messages",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "citations": {"enabled": True},
                                "source": {"type": "text", "data": "x"},
                            }
                        ],
                    }
                ]
            },
            "chat",
            "messages[0].content[0].citations.enabled",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(
    source: Dialect, given: dict[str, Any], target: Dialect, field: str
) -> None:
    with pytest.raises(TranslationError) as caught:
        to(source, target, **given)
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("source", "given", "field"),
    [
        ("chat", {"messages": [{"role": "user", "content": {"x": SECRET}}]}, "messages[0].content"),
        ("chat", {"messages": [SECRET]}, "messages[0]"),
        ("chat", {"temperature": SECRET}, "temperature"),
        ("chat", {"tool_choice": SECRET}, "tool_choice"),
        ("chat", {SECRET: 1}, "(a field)"),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": SECRET}}],
                    },
                    USER,
                ]
            },
            "messages[0]",
        ),
        ("responses", {"input": {"x": SECRET}}, "input"),
        ("messages", {"system": {"x": SECRET}}, "system"),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": ["x"], "t": SECRET}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
def test_errors_name_the_field_and_never_the_text(
    source: Dialect, given: dict[str, Any], field: str
) -> None:
    target: Dialect = "messages" if source == "chat" else "chat"
    with pytest.raises(RequestError) as caught:
        to(source, target, **given)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)


def test_a_candidates_longest_output_stands_in_for_a_limit() -> None:
    assert to("chat", "messages", {"max_output_tokens": 64_000}).body["max_tokens"] == 64_000
    assert to("chat", "messages").body["max_tokens"] == 4_096


@pytest.mark.parametrize(
    ("effort", "limit", "budget"),
    [
        ("minimal", 10_000, 1_024),
        ("low", 10_000, 2_048),
        ("medium", 100_000, 8_192),
        ("high", 100_000, 24_576),
        ("high", 8_000, 4_000),
        ("max", 128_000, 49_152),
        ("low", 2_000, None),
    ],
)
def test_older_models_think_by_a_budget(effort: str, limit: int, budget: int | None) -> None:
    found = to(
        "chat", "messages", {"thinking": "budget"}, reasoning_effort=effort, max_tokens=limit
    )
    thinking = found.body.get("thinking", {})
    assert thinking.get("budget_tokens") == budget
    assert "output_config" not in found.body
    assert bool(found.notes) == (budget in (None, 4_000))


def test_a_model_that_does_not_reason_is_not_asked_to() -> None:
    for target in ("chat", "responses", "messages"):
        found = to("chat", target, {"thinking": "none"}, reasoning_effort="high")
        assert not {"reasoning_effort", "reasoning", "thinking", "output_config"} & set(found.body)
        assert found.notes == ("reasoning effort: left out: m does not reason",)


def test_older_chat_servers_are_told_the_limit_by_its_older_name() -> None:
    body = to("messages", "chat", {"older_limit": True}).body
    assert body["max_tokens"] == 100
    assert "max_completion_tokens" not in body


def test_a_model_without_sampling_is_given_none() -> None:
    found = to("chat", "responses", {"sampling": False}, temperature=0.1, top_p=0.5)
    assert not {"temperature", "top_p"} & set(found.body)
    assert len(found.notes) == 2


def test_budgets_wait_for_a_loop_whose_thinking_is_not_anthropics() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    loop = [
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    rules = {"thinking": "budget"}
    inside = to("chat", "messages", rules, reasoning_effort="low", messages=loop)
    assert "thinking" not in inside.body
    assert inside.notes == (
        "reasoning effort: left out: this tool loop began without signed thinking",
    )
    after = [*loop, {"role": "assistant", "content": "1"}, USER]
    assert "thinking" in to("chat", "messages", rules, reasoning_effort="low", messages=after).body


def test_system_and_developer_text_leads_and_later_ones_stay_where_they_can() -> None:
    messages = [
        system("system", "A"),
        system("developer", "B"),
        USER,
        system("developer", "C"),
        {"role": "assistant", "content": "x"},
        system("system", "D"),
        USER,
    ]
    found = to("chat", "messages", messages=messages)
    assert [b["text"] for b in found.body["system"]] == ["A", "B", "D"]
    assert [m["role"] for m in found.body["messages"]] == ["user", "system", "assistant", "user"]
    older = to("chat", "messages", {"late_system": False}, messages=messages)
    assert [b["text"] for b in older.body["system"]] == ["A", "B", "C", "D"]
    assert [m["role"] for m in older.body["messages"]] == ["user", "assistant", "user"]
    assert to("chat", "responses", messages=messages).body["instructions"] == "A"


def test_results_of_tools_are_said_together_and_ids_meet() -> None:
    odd = "functions.get:0"
    calls = [
        {"id": i, "type": "function", "function": {"name": "f", "arguments": ""}}
        for i in ("a", odd)
    ]
    results = [{"role": "tool", "tool_call_id": i, "content": i} for i in ("a", odd)]
    body = to(
        "chat",
        "messages",
        messages=[USER, {"role": "assistant", "tool_calls": calls}, *results, USER],
    ).body
    _, said, heard = body["messages"]
    made = [b["id"] for b in said["content"]]
    assert [b.get("tool_use_id") for b in heard["content"]] == [*made, None]
    assert made[0] == "a"
    assert made[1].startswith("functions_get_0_")
    assert [b["input"] for b in said["content"]] == [{}, {}]


def test_failed_results_keep_their_flag_where_there_is_one() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": "no such file",
        "is_error": True,
    }
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    messages = [
        USER,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    same = to("messages", "messages", messages=messages)
    assert same.body["messages"][2]["content"][0]["is_error"] is True
    other = to("messages", "responses", messages=messages)
    assert other.body["input"][-1] == {
        "type": "function_call_output",
        "call_id": "t",
        "output": "no such file",
    }
    assert other.notes == ("tool_result.is_error: left out: its text says so",)


def test_pictures_in_results_reach_responses() -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    messages = [
        USER,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [IMAGE_RESULT]},
    ]
    output = to("messages", "responses", messages=messages).body["input"][-1]["output"]
    assert output == [
        {"type": "input_image", "detail": "auto", "image_url": "https://a.test/x.png"}
    ]


def test_documents() -> None:
    block = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "text", "media_type": "text/plain", "data": "né"},
    }
    content = to("messages", "chat", messages=[{"role": "user", "content": [block]}]).body[
        "messages"
    ][0]["content"]
    assert [part["text"] for part in content] == ["C", "T\n\nné"]
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0="}}
    body = to("chat", "messages", messages=[{"role": "user", "content": [pdf]}]).body
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert body["messages"][0]["content"] == [
        {"type": "document", "source": source, "title": "a.pdf"}
    ]


def test_cache_marks_are_translated_and_at_most_four() -> None:
    def text(i: int, ttl: str) -> dict[str, Any]:
        point = {"mode": "explicit", "ttl": ttl}
        return {"type": "text", "text": str(i), "prompt_cache_breakpoint": point}

    parts = [text(i, "12h" if i == 4 else "30m") for i in range(6)]
    found = to("chat", "messages", messages=[{"role": "user", "content": parts}])
    marks = [b.get("cache_control") for b in found.body["messages"][0]["content"]]
    short = {"type": "ephemeral"}
    assert marks == [None, None, short, short, {"type": "ephemeral", "ttl": "1h"}, short]
    assert len(found.notes) == 1
    same = to("chat", "responses", messages=[{"role": "user", "content": parts[:1]}])
    assert same.body["input"][0]["content"][0]["prompt_cache_breakpoint"]["ttl"] == "30m"


def test_allowed_tools_narrow_the_list_for_anthropic() -> None:
    both = [TOOL, {"type": "function", "function": {"name": "g"}}]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = to("chat", "messages", tools=both, tool_choice=choice).body
    assert [t["name"] for t in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}
    flat = to("chat", "responses", tools=both, tool_choice=choice).body["tool_choice"]
    assert flat == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "g"}],
    }


def test_custom_tools_go_between_openais_dialects() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}
    tool = {"type": "custom", "custom": {"name": "c", "format": grammar}}
    call = {"id": "k", "type": "custom", "custom": {"name": "c", "input": "x"}}
    messages = [
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "k", "content": "y"},
    ]
    there = to("chat", "responses", tools=[tool], messages=messages).body
    assert there["tools"][0]["format"] == {
        "type": "grammar",
        "syntax": "lark",
        "definition": "start: /x/",
    }
    assert [i["type"] for i in there["input"][1:]] == [
        "custom_tool_call",
        "custom_tool_call_output",
    ]
    back = translate_request(there, "responses", Target(dialect="chat", model="m")).body
    assert back["tools"] == [tool]
    assert back["messages"][1]["tool_calls"] == [call]


def test_reasoning_goes_home_and_nowhere_else() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    said = [signed, {"type": "redacted_thinking", "data": "zz"}, {"type": "text", "text": "x"}]
    messages = [USER, {"role": "assistant", "content": said}, USER]
    for target in ("chat", "responses"):
        found = to("messages", target, messages=messages)
        assert "sig" not in str(found.body)
        assert found.notes == ("reasoning: left out: only its maker can read it back",)
    kept = to("messages", "messages", messages=messages).body["messages"][1]["content"]
    assert kept[:2] == said[:2]


def test_a_long_user_id_is_hashed_alike() -> None:
    first, second = (
        to("messages", "chat", metadata={"user_id": "u" * 65}).body["user"] for _ in "ab"
    )
    assert first == second
    assert len(first) == 64


def test_schemas_that_openai_can_enforce_are_enforced() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    found = to(
        "messages", "chat", output_config={"format": {"type": "json_schema", "schema": closed}}
    )
    assert found.body["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": closed,
        "strict": True,
    }
    assert found.notes == ()


def test_who_is_owed_usage() -> None:
    assert not to("chat", "messages", stream=True).include_usage
    assert to("chat", "messages", stream=True, stream_options={"include_usage": True}).include_usage
    assert to("messages", "chat", stream=True).include_usage
