"""One made-up call in every log format, in the shapes that their makers publish.

Each sample tells of the same two calls, so that one contract holds for all of them. Shapes: OpenAI's
API reference (Batch, stored completions), LiteLLM's `schema.prisma` and logging specification,
Langfuse's blob export field reference, `@helicone/export`, OTLP/JSON with OTel's GenAI conventions,
OpenInference and OpenLLMetry, MLflow's trace schema, Weave's call schema, and `llm`'s migrations.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

QUESTION, SECOND = "How tall is the made-up tower of Brindle?", "And how old is it?"
ANSWER = "It is 40 metres tall."
SYSTEM = "You answer briefly."
MODEL = "gpt-4o"
START = 1_790_000_000.0
ISO = "2026-09-21T14:13:20Z"
SPACED = "2026-09-21 14:13:20.000000"
ENDED = "2026-09-21T14:13:22Z"
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
LATER = [*MESSAGES, {"role": "assistant", "content": ANSWER}, {"role": "user", "content": SECOND}]
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 9,
    "total_tokens": 129,
    "prompt_tokens_details": {"cached_tokens": 64},
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": int(START),
    "model": MODEL,
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    ],
    "usage": USAGE,
}


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, *rows: dict[str, Any]) -> Path:
    out = io.StringIO()
    table = csv.DictWriter(out, fieldnames=list(rows[0]))
    table.writeheader()
    for row in rows:
        table.writerow(
            {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
        )
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def _batch(folder: Path) -> list[Path]:
    def asked(name: str, messages: list[Any]) -> dict[str, Any]:
        body = {"model": MODEL, "messages": messages}
        return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}

    def said(name: str) -> dict[str, Any]:
        response = {"status_code": 200, "request_id": "req", "body": COMPLETION}
        return {"id": f"batch_{name}", "custom_id": name, "response": response, "error": None}

    return [
        write_lines(folder / "in.jsonl", asked("one", MESSAGES), asked("two", LATER)),
        write_lines(folder / "out.jsonl", said("two"), said("one")),
    ]


def _stored(folder: Path) -> list[Path]:
    page = {
        "object": "list",
        "data": [
            {
                **COMPLETION,
                "id": f"chatcmpl-{i}",
                "metadata": {"session_id": "s1"},
                "messages": {"object": "list", "data": messages},
            }
            for i, messages in enumerate((MESSAGES, LATER))
        ],
        "has_more": False,
    }
    path = folder / "stored.json"
    path.write_text(json.dumps(page, indent=2), encoding="utf-8")
    return [path]


def _spend_row(i: int, messages: Any) -> dict[str, Any]:
    return {
        "request_id": f"chatcmpl-{i}",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 0.0025,
        "total_tokens": 129,
        "prompt_tokens": 120,
        "completion_tokens": 9,
        "startTime": ISO,
        "endTime": ENDED,
        "completionStartTime": ISO,
        "model": MODEL,
        "model_group": "smart",
        "api_base": "https://api.openai.com",
        "metadata": {"usage_object": USAGE},
        "cache_hit": "None",
        "request_tags": [],
        "messages": messages,
        "response": COMPLETION,
        "session_id": "s1",
        "status": "success",
    }


def _spend(folder: Path) -> list[Path]:
    rows = [_spend_row(i, m) for i, m in enumerate((MESSAGES, LATER))]
    return [write_lines(folder / "spend.jsonl", *rows)]


def _spend_csv(folder: Path) -> list[Path]:
    rows = [_spend_row(i, m) for i, m in enumerate((MESSAGES, LATER))]
    return [write_csv(folder / "spend.csv", *rows)]


def _payload(folder: Path) -> list[Path]:
    rows = [
        {
            "id": f"chatcmpl-{i}",
            "trace_id": "s1",
            "call_type": "completion",
            "response_cost": 0.0025,
            "status": "success",
            "total_tokens": 129,
            "prompt_tokens": 120,
            "completion_tokens": 9,
            "startTime": START,
            "endTime": START + 2,
            "completionStartTime": START + 1,
            "model": MODEL,
            "metadata": {"usage_object": USAGE},
            "cache_hit": False,
            "messages": m,
            "response": COMPLETION,
            "model_parameters": {},
        }
        for i, m in enumerate((MESSAGES, LATER))
    ]
    return [write_lines(folder / "payload.jsonl", *rows)]


def _observation(i: int, messages: Any) -> dict[str, Any]:
    return {
        "id": f"obs-{i}",
        "trace_id": "t1",
        "project_id": "p",
        "environment": "production",
        "type": "GENERATION",
        "parent_observation_id": "",
        "start_time": SPACED,
        "end_time": "2026-09-21 14:13:22.000000",
        "name": "answer",
        "metadata": {},
        "level": "DEFAULT",
        "input": json.dumps(messages),
        "output": json.dumps({"role": "assistant", "content": ANSWER}),
        "provided_model_name": MODEL,
        "model_parameters": "{}",
        "usage_details": {"input": 56, "input_cached_tokens": 64, "output": 9, "total": 129},
        "cost_details": {"input": 0.002, "output": 0.0005},
        "total_cost": 0.0025,
        "latency": 2.0,
    }


def _langfuse(folder: Path) -> list[Path]:
    both = [
        {**_observation(i, m), "session_id": "s1", "user_id": "u", "trace_name": "chat"}
        for i, m in enumerate((MESSAGES, LATER))
    ]
    step = {**both[0], "id": "step", "type": "SPAN", "provided_model_name": ""}
    return [write_lines(folder / "observations_v2.jsonl", *both, step)]


def _langfuse_legacy(folder: Path) -> list[Path]:
    trace = {
        "id": "t1",
        "timestamp": SPACED,
        "name": "chat",
        "session_id": "s1",
        "user_id": "u",
        "bookmarked": False,
    }
    score = {"id": "sc", "trace_id": "t1", "observation_id": "obs-0", "data_type": "NUMERIC"}
    rows = [_observation(i, m) for i, m in enumerate((MESSAGES, LATER))]
    return [
        write_lines(folder / "observations.jsonl", *rows),
        write_lines(folder / "traces.jsonl", trace),
        write_lines(folder / "scores.jsonl", {**score, "name": "rating", "value": 0.5}),
    ]


def _helicone_row(i: int, messages: Any) -> dict[str, Any]:
    return {
        "response_id": f"r{i}",
        "response_created_at": ENDED,
        "response_status": 200,
        "request_created_at": ISO,
        "request_body": {"model": MODEL, "messages": messages},
        "request_properties": {"Helicone-Session-Id": "s1"},
        "request_user_id": "u",
        "model": MODEL,
        "prompt_tokens": 120,
        "completion_tokens": 9,
        "latency": 2000,
        "cost": 0.0025,
    }


def _helicone(folder: Path) -> list[Path]:
    rows = [
        {**_helicone_row(i, m), "response_body": COMPLETION, "prompt_cache_read_tokens": 64}
        for i, m in enumerate((MESSAGES, LATER))
    ]
    return [write_lines(folder / "helicone.jsonl", *rows)]


def _helicone_array(folder: Path) -> list[Path]:
    rows = [{**_helicone_row(i, m)} for i, m in enumerate((MESSAGES, LATER))]
    path = folder / "helicone.json"
    path.write_text("[\n" + ",\n".join(json.dumps(r, indent=2) for r in rows) + "\n]\n")
    return [path]


def _helicone_csv(folder: Path) -> list[Path]:
    rows = [_helicone_row(i, m) for i, m in enumerate((MESSAGES, LATER))]
    return [write_csv(folder / "helicone.csv", *rows)]


def _otlp_value(value: Any) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}  # 64-bit integers are strings in OTLP/JSON
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _otlp(path: Path, *spans: dict[str, Any]) -> list[Path]:
    made = [
        {
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": f"eee19b7ec3c1b17{i}",
            "name": "chat gpt-4o",
            "kind": 3,
            "startTimeUnixNano": str(int(START) * 10**9),
            "endTimeUnixNano": str((int(START) + 2) * 10**9),
            "attributes": [{"key": k, "value": _otlp_value(v)} for k, v in said.items()],
            "status": {},
        }
        for i, said in enumerate(spans)
    ]
    resource = {"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": made}]}
    return [write_lines(path, {"resourceSpans": [resource]})]


def _genai(folder: Path) -> list[Path]:
    def parts(messages: list[Any]) -> str:
        return json.dumps(
            [
                {"role": m["role"], "parts": [{"type": "text", "content": m["content"]}]}
                for m in messages
                if m["role"] != "system"
            ]
        )

    said = [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}]}]
    spans = [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": MODEL,
            "gen_ai.response.model": MODEL,
            "gen_ai.conversation.id": "s1",
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
            "gen_ai.input.messages": parts(m),
            "gen_ai.output.messages": json.dumps(said),
            "gen_ai.usage.input_tokens": 120,
            "gen_ai.usage.cache_read.input_tokens": 64,
            "gen_ai.usage.output_tokens": 9,
        }
        for m in (MESSAGES, LATER)
    ]
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "clock"}
    return _otlp(folder / "genai.jsonl", *spans, tool)


def _openinference(folder: Path) -> list[Path]:
    spans = []
    for messages in (MESSAGES, LATER):
        said: dict[str, Any] = {
            "openinference.span.kind": "LLM",
            "llm.model_name": MODEL,
            "session.id": "s1",
            "llm.token_count.prompt": 120,
            "llm.token_count.completion": 9,
            "llm.token_count.prompt_details.cache_read": 64,
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": ANSWER,
        }
        for i, m in enumerate(messages):
            said[f"llm.input_messages.{i}.message.role"] = m["role"]
            said[f"llm.input_messages.{i}.message.content"] = m["content"]
        spans.append(said)
    return _otlp(folder / "openinference.jsonl", *spans)


def _openllmetry(folder: Path) -> list[Path]:
    spans = []
    for messages in (MESSAGES, LATER):
        said: dict[str, Any] = {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": MODEL,
            "session.id": "s1",
            "gen_ai.usage.prompt_tokens": 120,
            "gen_ai.usage.completion_tokens": 9,
            "gen_ai.usage.cache_read_input_tokens": 64,
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": ANSWER,
        }
        for i, m in enumerate(messages):
            said[f"gen_ai.prompt.{i}.role"] = m["role"]
            said[f"gen_ai.prompt.{i}.content"] = m["content"]
        spans.append(said)
    return _otlp(folder / "openllmetry.jsonl", *spans)


def _chat(folder: Path) -> list[Path]:
    rows = [
        {
            "id": f"c{i}",
            "timestamp": ISO,
            "session_id": "s1",
            "model": MODEL,
            "messages": m,
            "response": ANSWER,
            "input_tokens": 120,
            "cached_tokens": 64,
            "output_tokens": 9,
            "cost_usd": 0.0025,
            "latency_ms": 2000,
            "score": 0.5,
            "propensity": 0.25,
            "decision_id": f"dec_{i}",
        }
        for i, m in enumerate((MESSAGES, LATER))
    ]
    return [write_lines(folder / "chat.jsonl", *rows)]


def _csv_prompts(folder: Path) -> list[Path]:
    rows = [
        {"question": QUESTION, "model": MODEL, "input_tokens": 120, "output_tokens": 9},
        {"question": SECOND, "model": MODEL, "input_tokens": 120, "output_tokens": 9},
    ]
    return [write_csv(folder / "prompts.csv", *rows)]


def _llm_cli(folder: Path) -> list[Path]:
    """Both generations of tables, as `llm` 0.36 migrates an older database."""
    path = folder / "logs.db"
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            create table responses (id text primary key, model text, prompt text, system text,
              prompt_json text, options_json text, response text, response_json text,
              conversation_id text, duration_ms integer, datetime_utc text, input_tokens integer,
              output_tokens integer, token_details text);
            create table messages (hash text primary key, parent_hash text, role text);
            create table parts (id integer primary key, message_hash text, position integer,
              type text, text text);
            create table turns (id text primary key, thread_id text, parent_message_hash text,
              tip_message_hash text, model text, resolved_model text, input_tokens integer,
              output_tokens integer, token_details text, duration_ms integer, datetime_utc text);
            """
        )
        details = json.dumps({"prompt_tokens_details": {"cached_tokens": 64}})
        old = ("r0", MODEL, QUESTION, SYSTEM, None, None, ANSWER, None, "s1", 2000, ISO, 120, 9)
        db.execute("insert into responses values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", (*old, details))
        last = None
        for i, m in enumerate([*LATER, {"role": "assistant", "content": ANSWER}]):
            db.execute("insert into messages values (?,?,?)", (f"h{i}", last, m["role"]))
            db.execute("insert into parts values (?,?,0,'text',?)", (i, f"h{i}", m["content"]))
            last = f"h{i}"
        turn = ("t1", "s1", "h3", "h4", "4o", MODEL, 120, 9, details, 2000, ISO)
        db.execute("insert into turns values (?,?,?,?,?,?,?,?,?,?,?)", turn)
    db.close()
    return [path]


def _mlflow(folder: Path) -> list[Path]:
    def span(i: int, kind: str, messages: list[Any]) -> dict[str, Any]:
        said = {
            "mlflow.spanType": kind,
            "mlflow.spanInputs": {"model": MODEL, "messages": messages},
            "mlflow.spanOutputs": COMPLETION,
            "mlflow.chat.tokenUsage": {
                "input_tokens": 120,
                "output_tokens": 9,
                "cache_read_input_tokens": 64,
            },
        }
        return {
            "trace_id": "dHI=",
            "span_id": f"span{i}",
            "parent_span_id": None,
            "name": "Completions",
            "start_time_unix_nano": int(START) * 10**9,
            "end_time_unix_nano": (int(START) + 2) * 10**9,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {k: json.dumps(v) for k, v in said.items()},
        }

    spans = [span(0, "CHAT_MODEL", MESSAGES), span(1, "CHAT_MODEL", LATER), span(2, "TOOL", [])]
    info = {"trace_id": "tr-1", "trace_metadata": {"mlflow.trace.session": "s1"}, "state": "OK"}
    return [write_lines(folder / "mlflow.jsonl", {"info": info, "data": {"spans": spans}})]


def _weave(folder: Path) -> list[Path]:
    rows = [
        {
            "id": f"w{i}",
            "project_id": "team/project",
            "op_name": "weave:///team/project/op/openai.chat.completions.create:abc",
            "trace_id": "t",
            "thread_id": "s1",
            "parent_id": None,
            "started_at": ISO,
            "ended_at": ENDED,
            "inputs": {"model": MODEL, "messages": m},
            "output": COMPLETION,
            "exception": None,
            "attributes": {},
            "summary": {
                "usage": {MODEL: {"requests": 1, **USAGE}},
                "weave": {
                    "costs": {
                        MODEL: {
                            "prompt_tokens_total_cost": 0.002,
                            "completion_tokens_total_cost": 0.0005,
                        }
                    }
                },
            },
        }
        for i, m in enumerate((MESSAGES, LATER))
    ]
    step = {**rows[0], "id": "x", "op_name": "my_step", "inputs": {"x": 1}}
    return [write_lines(folder / "weave.jsonl", *rows, step)]


SAMPLES: dict[str, tuple[Callable[[Path], list[Path]], frozenset[str]]] = {
    # What each of them cannot tell, of the fields that the contract looks at.
    "openai-batch": (_batch, frozenset({"session", "cost_usd", "latency_ms", "answer"})),
    "openai-stored": (_stored, frozenset({"cost_usd", "latency_ms"})),
    "litellm-spend": (_spend, frozenset()),
    "litellm-spend csv": (_spend_csv, frozenset()),
    "litellm-payload": (_payload, frozenset()),
    "langfuse": (_langfuse, frozenset()),
    "langfuse-legacy": (_langfuse_legacy, frozenset()),
    "helicone": (_helicone, frozenset()),
    "helicone array": (_helicone_array, frozenset({"cached_tokens", "answer"})),
    "helicone csv": (_helicone_csv, frozenset({"cached_tokens", "answer"})),
    "otel-genai": (_genai, frozenset({"cost_usd"})),
    "openinference": (_openinference, frozenset({"cost_usd"})),
    "openllmetry": (_openllmetry, frozenset({"cost_usd"})),
    "chat": (_chat, frozenset()),
    "chat csv": (
        _csv_prompts,
        frozenset("system turns session time cached_tokens cost_usd latency_ms answer".split()),
    ),
    "llm-cli": (_llm_cli, frozenset({"cost_usd"})),
    "mlflow": (_mlflow, frozenset({"cost_usd"})),
    "weave": (_weave, frozenset()),
}
"""Name → how to write it, and what it does not tell."""
