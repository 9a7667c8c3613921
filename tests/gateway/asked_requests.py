"""Requests drawn at random in every dialect, with what each of them needs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

WORD = "tree "  # about a token and a quarter
PIXEL = "iVBORw0KGgo="


@dataclass
class Drawn:
    """A request, and what its candidate must be able to do."""

    path: str
    body: dict[str, Any]
    needs: set[str] = field(default_factory=set)
    output: int = 0
    input_tokens: int = 0
    """At least so many."""


def draw(rng: random.Random) -> Drawn:
    """One request: any mix of tools, media, schema, length and output limit."""
    path = rng.choice(["/v1/chat/completions", "/v1/responses", "/v1/messages"])
    words = int(10 ** rng.uniform(0, 4.6)) if rng.random() < 0.4 else rng.randint(1, 60)
    drawn = Drawn(path, {}, input_tokens=words)
    turns = rng.randint(0, 3)
    texts = [WORD * rng.randint(1, 20) for _ in range(turns)] + [WORD * words]
    DIALECTS[path](drawn, rng, texts)
    if rng.random() < 0.3:
        drawn.output = rng.choice([100, 1_000, 5_000, 20_000])
        drawn.body[LIMITS[path]] = drawn.output
    elif path == "/v1/messages":
        drawn.output = drawn.body["max_tokens"] = 64
    drawn.body["stream"] = rng.random() < 0.3
    return drawn


LIMITS = {
    "/v1/chat/completions": "max_completion_tokens",
    "/v1/responses": "max_output_tokens",
    "/v1/messages": "max_tokens",
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def _chat(drawn: Drawn, rng: random.Random, texts: list[str]) -> None:
    parts: list[dict[str, Any]] = [{"type": "text", "text": texts[-1]}]
    media = {
        "vision": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        "audio": {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
        "files": {"type": "file", "file": {"file_data": PIXEL, "filename": "a.pdf"}},
    }
    parts += _media(drawn, rng, media)
    messages: list[dict[str, Any]] = [
        {"role": "user" if i % 2 == 0 else "assistant", "content": text}
        for i, text in enumerate(texts[:-1])
    ]
    if rng.random() < 0.1:
        drawn.needs.add("tools")
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ]
    messages.append({"role": "user", "content": parts if len(parts) > 1 else texts[-1]})
    drawn.body = {"messages": messages}
    if rng.random() < 0.3:
        drawn.needs.add("tools")
        function = {"name": "f", "parameters": SCHEMA}
        drawn.body["tools"] = [{"type": "function", "function": function}]
    if rng.random() < 0.2:
        drawn.needs.add("json_schema")
        schema = {"name": "s", "schema": SCHEMA}
        drawn.body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _responses(drawn: Drawn, rng: random.Random, texts: list[str]) -> None:
    media = {
        "vision": {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
        "audio": {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
        "files": {"type": "input_file", "file_data": PIXEL, "filename": "a.pdf"},
    }
    parts = [{"type": "input_text", "text": texts[-1]}, *_media(drawn, rng, media)]
    items: list[dict[str, Any]] = [{"role": "user", "content": text} for text in texts[:-1]]
    if rng.random() < 0.1:
        drawn.needs.add("tools")
        items += [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "42"},
        ]
    items.append({"role": "user", "content": parts})
    plain = len(items) == 1 and len(parts) == 1 and rng.random() < 0.5
    drawn.body = {"input": texts[-1] if plain else items}
    if rng.random() < 0.3:
        drawn.needs.add("tools")
        drawn.body["tools"] = [{"type": "function", "name": "f", "parameters": SCHEMA}]
    if rng.random() < 0.2:
        drawn.needs.add("json_schema")
        form = {"type": "json_schema", "name": "s", "schema": SCHEMA}
        drawn.body["text"] = {"format": form}


def _messages(drawn: Drawn, rng: random.Random, texts: list[str]) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    media = {
        "vision": {"type": "image", "source": source},
        "files": {"type": "document", "source": {**source, "media_type": "application/pdf"}},
    }
    parts = [{"type": "text", "text": texts[-1]}, *_media(drawn, rng, media)]
    messages: list[dict[str, Any]] = [
        {"role": "user" if i % 2 == 0 else "assistant", "content": text}
        for i, text in enumerate(texts[:-1])
    ]
    if rng.random() < 0.1:
        drawn.needs.add("tools")
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "42"}]},
        ]  # fmt: skip
    messages.append({"role": "user", "content": parts})
    drawn.body = {"messages": messages}
    if rng.random() < 0.3:
        drawn.needs.add("tools")
        drawn.body["tools"] = [{"name": "f", "input_schema": SCHEMA}]
    if rng.random() < 0.2:
        drawn.needs.add("json_schema")
        form = {"type": "json_schema", "schema": SCHEMA}
        drawn.body["output_config"] = {"format": form}


def _media(
    drawn: Drawn, rng: random.Random, media: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    found = [name for name in media if rng.random() < 0.12]
    drawn.needs.update(found)
    return [media[name] for name in found]


DIALECTS = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _responses,
    "/v1/messages": _messages,
}
