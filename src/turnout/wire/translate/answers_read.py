"""Whole replies of each dialect → `Answer`. Lenient: what is odd is named, what is absent is empty."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from turnout.errors import ReplyError
from turnout.wire.dialects import Dialect
from turnout.wire.reading import OBJECT
from turnout.wire.translate.neutral import Answer, Finish, Refusal, Text, Thinking, ToolCall
from turnout.wire.usage import read_usage, service_of

Said: TypeAlias = Text | Refusal | Thinking | ToolCall

_CHAT_FINISH: Mapping[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_STOP_REASONS: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_INCOMPLETE: Mapping[str, Finish] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


def chat_finish(reason: Any) -> Finish:
    """The neutral name of a `finish_reason`; one that nobody knows is a plain end."""
    return _CHAT_FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def messages_finish(reason: Any) -> Finish:
    """The neutral name of a `stop_reason`."""
    return _STOP_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"


def responses_finish(response: Mapping[str, Any], called: bool) -> Finish:
    """The neutral name of how a Responses reply ended."""
    if response.get("status") != "incomplete":
        return "tool_calls" if called else "stop"
    reason = mapping(response.get("incomplete_details")).get("reason")
    return _INCOMPLETE.get(reason, "length") if isinstance(reason, str) else "length"


def mapping(value: Any) -> Mapping[str, Any]:
    """A value if it is an object, else an empty one."""
    return value if isinstance(value, OBJECT) else {}


def text(value: Any) -> str:
    """A value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def created(value: Any) -> int | None:
    """Unix seconds, where they are a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 0 <= value < 1 << 53 else None


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The reasoning text of a chat message or delta, under the names that providers give it."""
    return text(message.get("reasoning_content")) or text(message.get("reasoning"))


def read_chat_answer(body: Mapping[str, Any]) -> Answer:
    """Read a chat completion; of several choices the first.

    Raises:
        ReplyError: it has no choice with a message.
    """
    choices = body.get("choices")
    first = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    if not isinstance(first.get("message"), Mapping):
        raise ReplyError("the upstream's answer is not a chat completion: no choices")
    message = first["message"]
    odd = ("annotations", "audio", "function_call")
    dropped = [f"message.{name}" for name in odd if message.get(name)]
    if first.get("logprobs"):
        dropped.append("logprobs")
    if isinstance(choices, list) and len(choices) > 1:
        dropped.append("choices after the first")
    reading = read_usage("chat", body.get("usage"))
    return Answer(
        id=text(body.get("id")),
        model=text(body.get("model")),
        parts=tuple(_chat_parts(message)),
        finish=chat_finish(first.get("finish_reason")),
        created=created(body.get("created")),
        usage=reading.usage,
        usage_problems=reading.problems,
        tier=text(body.get("service_tier")) or None,
        dropped=tuple(dropped),
    )


def _chat_parts(message: Mapping[str, Any]) -> Iterator[Said]:
    if thought := reasoning_of(message):
        yield Thinking(text=thought)
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(text(mapping(part).get("text")) for part in content)
    if said := text(content):
        yield Text(text=said)
    if refusal := text(message.get("refusal")):
        yield Refusal(text=refusal)
    calls = message.get("tool_calls")
    for i, item in enumerate(calls if isinstance(calls, list) else ()):
        call = mapping(item)
        custom = call.get("type") == "custom"
        inner = mapping(call.get("custom" if custom else "function"))
        yield ToolCall(
            id=text(call.get("id")) or f"call_{i}",
            name=text(inner.get("name")),
            arguments=text(inner.get("input" if custom else "arguments")),
            custom=custom,
        )


def read_responses_answer(body: Mapping[str, Any]) -> Answer:
    """Read a Responses reply.

    Raises:
        ReplyError: it has no output, or it failed.
    """
    output = body.get("output")
    if body.get("status") == "failed" or not isinstance(output, list):
        said = text(mapping(body.get("error")).get("message"))
        raise ReplyError(said or "the upstream's answer is not a response: no output")
    parts: list[Said] = []
    dropped: list[str] = []
    for item in output:
        parts.extend(response_item(mapping(item), dropped))
    reading = read_usage("responses", body.get("usage"))
    return Answer(
        id=text(body.get("id")),
        model=text(body.get("model")),
        parts=tuple(parts),
        finish=responses_finish(body, any(isinstance(p, ToolCall) for p in parts)),
        created=created(body.get("created_at")),
        usage=reading.usage,
        usage_problems=reading.problems,
        tier=text(body.get("service_tier")) or None,
        dropped=tuple(dict.fromkeys(dropped)),
    )


def response_item(item: Mapping[str, Any], dropped: list[str]) -> Iterator[Said]:
    """The parts of one output item; one that no other dialect has is named in `dropped`."""
    form = text(item.get("type"))
    if form == "message":
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            yield from _response_part(mapping(part), dropped)
    elif form in ("function_call", "custom_tool_call"):
        custom = form == "custom_tool_call"
        yield ToolCall(
            id=text(item.get("call_id")) or text(item.get("id")),
            name=text(item.get("name")),
            arguments=text(item.get("input" if custom else "arguments")),
            custom=custom,
        )
    elif form == "reasoning":
        yield Thinking(
            text=_reasoning_text(item),
            signature=text(item.get("encrypted_content")) or None,
            origin="openai",
            id=text(item.get("id")) or None,
        )
    else:
        dropped.append(f"output {form or 'item'}")


def _response_part(part: Mapping[str, Any], dropped: list[str]) -> Iterator[Said]:
    if part.get("type") == "refusal":
        yield Refusal(text=text(part.get("refusal")))
    else:
        yield Text(text=text(part.get("text")))
        dropped.extend(name for name in ("annotations", "logprobs") if part.get(name))


def _reasoning_text(item: Mapping[str, Any]) -> str:
    texts: list[str] = []
    for name in ("summary", "content"):
        parts = item.get(name)
        found = [text(mapping(p).get("text")) for p in parts] if isinstance(parts, list) else []
        texts.extend(t for t in found if t)
    return "\n\n".join(texts)


def read_messages_answer(body: Mapping[str, Any]) -> Answer:
    """Read a Messages reply.

    Raises:
        ReplyError: it has no content.
    """
    content = body.get("content")
    if not isinstance(content, list):
        raise ReplyError("the upstream's answer is not a message: no content")
    parts: list[Said] = []
    dropped: list[str] = []
    for item in content:
        parts.extend(_block(mapping(item), dropped))
    why = text(mapping(body.get("stop_details")).get("explanation"))
    if body.get("stop_reason") == "refusal" and why:
        parts.append(Refusal(text=why))
    reading = read_usage("messages", body.get("usage"))
    return Answer(
        id=text(body.get("id")),
        model=text(body.get("model")),
        parts=tuple(parts),
        finish=messages_finish(body.get("stop_reason")),
        stop_sequence=text(body.get("stop_sequence")) or None,
        usage=reading.usage,
        usage_problems=reading.problems,
        tier=service_of("messages", body) or None,
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _block(item: Mapping[str, Any], dropped: list[str]) -> Iterator[Said]:
    form = text(item.get("type"))
    if form == "text":
        yield Text(text=text(item.get("text")))
        if item.get("citations"):
            dropped.append("citations")
    elif form == "tool_use":
        yield ToolCall(
            id=text(item.get("id")),
            name=text(item.get("name")),
            arguments=json.dumps(mapping(item.get("input")), ensure_ascii=False),
        )
    elif form == "thinking":
        signature = text(item.get("signature")) or None
        yield Thinking(text=text(item.get("thinking")), signature=signature, origin="anthropic")
    elif form == "redacted_thinking":
        data = text(item.get("data"))
        yield Thinking(signature=data, origin="anthropic", redacted=True)
    else:
        dropped.append(f"content {form or 'block'}")


READERS: Mapping[Dialect, Callable[[Mapping[str, Any]], Answer]] = {
    "chat": read_chat_answer,
    "responses": read_responses_answer,
    "messages": read_messages_answer,
}
