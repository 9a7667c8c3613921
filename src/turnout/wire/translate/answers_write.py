"""`Answer` → a whole reply of each dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from turnout.types import BYTES_PER_TOKEN, Usage
from turnout.wire.dialects import Dialect
from turnout.wire.translate.blocks import call_input, is_whole
from turnout.wire.translate.ids import item_id, reply_id
from turnout.wire.translate.neutral import Answer, Finish, Refusal, Text, Thinking, ToolCall
from turnout.wire.translate.reasoning import encrypted_for_openai, signature_for_anthropic
from turnout.wire.usage import write_usage

if TYPE_CHECKING:
    from turnout.wire.translate.replies import Client

REPEATED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "top_p",
    "truncation",
    "user",
)
"""Fields of a Responses request that its reply repeats."""

STOP_REASONS: Mapping[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
INCOMPLETE: Mapping[Finish, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_TIERS = {"standard": "default", "priority": "priority"}


def openai_tier(tier: str | None) -> str | None:
    """A service tier by OpenAI's name."""
    return None if tier is None else _TIERS.get(tier, tier)


def usage_or_estimate(usage: Usage | None, client: Client, output_bytes: int) -> Usage:
    """The upstream's usage, or our estimate where it gives none and the API must say one."""
    if usage is not None:
        return usage
    output = -(-output_bytes // BYTES_PER_TOKEN)
    return Usage(input_tokens=client.input_tokens, output_tokens=output)


def write_chat_answer(answer: Answer, client: Client) -> dict[str, Any]:
    """A chat completion. Reasoning stands in `reasoning_content`, as providers came to name it."""
    said = "".join(p.text for p in answer.parts if isinstance(p, Text))
    refusal = "".join(p.text for p in answer.parts if isinstance(p, Refusal))
    thought = "\n\n".join(p.text for p in answer.parts if isinstance(p, Thinking) and p.text)
    calls = [chat_call(p) for p in answer.parts if isinstance(p, ToolCall)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": said or (None if calls or refusal else ""),
        "refusal": refusal or None,
    }
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    body: dict[str, Any] = {
        "id": reply_id(answer.id, "chat"),
        "object": "chat.completion",
        "created": client.now if answer.created is None else answer.created,
        "model": client.model or answer.model,
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
        ],
    }
    if answer.usage is not None:
        body["usage"] = write_usage("chat", answer.usage)
    if (tier := openai_tier(answer.tier)) is not None:
        body["service_tier"] = tier
    return body


def chat_call(call: ToolCall) -> dict[str, Any]:
    """A tool call of a chat message."""
    form, given = ("custom", "input") if call.custom else ("function", "arguments")
    return {"id": call.id, "type": form, form: {"name": call.name, given: call.arguments}}


def write_responses_answer(answer: Answer, client: Client) -> dict[str, Any]:
    """A Responses reply. Text and refusal that follow each other are one message."""
    output: list[dict[str, Any]] = []
    done = "incomplete" if answer.finish in INCOMPLETE else "completed"
    for part in answer.parts:
        if isinstance(part, Text | Refusal):
            if not output or output[-1]["type"] != "message":
                output.append(response_message(item_id("msg", answer.id, len(output)), done))
            output[-1]["content"].append(response_part(part))
        else:
            output.append(response_item(part, answer.id, len(output)))
    reply = response_frame(answer.id, answer.model, answer.created, client)
    reply |= {"status": done, "output": output, "completed_at": client.now}
    if done == "incomplete":
        reply |= {"incomplete_details": {"reason": INCOMPLETE[answer.finish]}, "completed_at": None}
    if answer.usage is not None:
        reply["usage"] = write_usage("responses", answer.usage)
    if (tier := openai_tier(answer.tier)) is not None:
        reply["service_tier"] = tier
    return reply


def response_frame(
    given_id: str, model: str, created: int | None, client: Client
) -> dict[str, Any]:
    """A Responses reply before its output: what it repeats of the request."""
    request = client.request
    repeated = {name: request.get(name) for name in REPEATED}
    parallel = request.get("parallel_tool_calls")
    return {
        "id": reply_id(given_id, "responses"),
        "object": "response",
        "created_at": client.now if created is None else created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        **repeated,
        "metadata": repeated["metadata"] or {},
        "model": client.model or model,
        "output": [],
        "parallel_tool_calls": True if parallel is None else parallel,
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "store": False,
        "usage": None,
    }


def response_message(item: str, status: str) -> dict[str, Any]:
    """A message item without content."""
    return {"id": item, "type": "message", "role": "assistant", "status": status, "content": []}


def response_part(part: Text | Refusal) -> dict[str, Any]:
    """A part of a message item."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}


def response_item(part: Thinking | ToolCall, given_id: str, index: int) -> dict[str, Any]:
    """A reasoning item or a call."""
    if isinstance(part, Thinking):
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        found = {"id": item_id("rs", given_id, index), "type": "reasoning", "summary": summary}
        blob = encrypted_for_openai(part)
        return found if blob is None else {**found, "encrypted_content": blob}
    if part.custom:
        form, prefix, given = "custom_tool_call", "ctc", "input"
    else:
        form, prefix, given = "function_call", "fc", "arguments"
    return {
        "id": item_id(prefix, given_id, index),
        "type": form,
        "status": "completed",
        "call_id": part.id,
        "name": part.name,
        given: part.arguments,
    }


def write_messages_answer(answer: Answer, client: Client) -> dict[str, Any]:
    """A Messages reply. A call that the output limit cut off is left out.

    Raises:
        ReplyError: the arguments of a call are not a JSON object, which Anthropic's must be.
    """
    cut = answer.finish == "length"
    whole = [p for p in answer.parts if not (cut and isinstance(p, ToolCall) and not is_whole(p))]
    content = [block for part in whole if (block := answer_block(part)) is not None]
    refused = "".join(p.text for p in answer.parts if isinstance(p, Refusal))
    size = sum(len(str(block)) for block in content)
    usage = usage_or_estimate(answer.usage, client, size)
    reason, details = stop_reason(answer.finish, answer.stop_sequence, refused)
    return {
        "id": reply_id(answer.id, "messages"),
        "type": "message",
        "role": "assistant",
        "model": client.model or answer.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": details,
        "usage": write_usage("messages", usage),
    }


def stop_reason(
    finish: Finish, sequence: str | None, refused: str
) -> tuple[str, dict[str, Any] | None]:
    """Anthropic's stop reason, and its details where the model declined."""
    if refused or finish == "content_filter":
        details = {"type": "refusal", "category": None, "explanation": refused or None}
        return "refusal", details
    if finish == "stop" and sequence is not None:
        return "stop_sequence", None
    return STOP_REASONS[finish], None


def answer_block(part: Text | Refusal | Thinking | ToolCall) -> dict[str, Any] | None:
    """A content block of a Messages reply; None for an empty text."""
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, ToolCall):
        given = call_input(part)
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": given}
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.signature}
    signature = signature_for_anthropic(part)
    return {"type": "thinking", "thinking": part.text, "signature": signature}


WRITERS: Mapping[Dialect, Callable[[Answer, Client], dict[str, Any]]] = {
    "chat": write_chat_answer,
    "responses": write_responses_answer,
    "messages": write_messages_answer,
}
