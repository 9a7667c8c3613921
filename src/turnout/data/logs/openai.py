"""OpenAI's own shapes: batches, stored completions, and plain chat JSONL in the same form."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.data.logs.call import LogCall, Unusable
from turnout.data.logs.fields import Fields, Row, finish, first, own_marks, part, text
from turnout.data.logs.joins import Joins, is_batch_output

_CHAT_URLS = ("/chat/completions", "/responses", "/messages", "/completions")


def is_batch_input(row: Row) -> bool:
    """A line of a Batch input file."""
    return "custom_id" in row and isinstance(row.get("body"), dict)


def read_batch_input(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """The request, with the tokens of its output where that is among the files."""
    if "url" in row and not text(row["url"]).endswith(_CHAT_URLS):
        yield Unusable("not_chat")
        return
    name = text(row["custom_id"])
    lost = name in joins.ambiguous
    said = {} if lost else joins.outputs.get(name, {})
    if said.get("failed"):
        yield Unusable("failed")
        return
    yield finish(
        Fields(
            format="openai-batch",
            body=row["body"],
            id=name,
            start=said.get("time"),
            model=said.get("model"),
            input_tokens=said.get("input"),
            cached_tokens=said.get("cached"),
            output_tokens=said.get("output"),
            cost_usd=said.get("cost_usd"),
            doubts=("ambiguous_output",) if lost else (),
        )
    )


def read_batch_output(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """An output among other records: it has no prompt of its own."""
    del row, joins
    yield Unusable("lone_output")


def is_stored_completion(row: Row) -> bool:
    """A completion as `GET /v1/chat/completions` lists it."""
    return row.get("object") == "chat.completion" and "choices" in row


def read_stored_completion(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """The completion; its messages come from the `/messages` list beside it."""
    del joins
    stored = row.get("messages")
    messages = part(stored, "data") if isinstance(stored, dict) else stored
    yield finish(
        Fields(
            format="openai-stored",
            body={"messages": messages, "tools": row.get("tools")},
            response=row,
            id=row.get("id"),
            start=row.get("created"),
            session=part(row, "metadata", "session_id"),
            **own_marks(row),
        )
    )


def is_chat(row: Row) -> bool:
    """A row with messages, or a request (and answer) in OpenAI's or Anthropic's form."""
    request = first(row.get("request"), row.get("body"))
    return any(
        name in place
        for place in (row, request if isinstance(request, dict) else {})
        for name in ("messages", "prompt", "conversation", "conversations", "input")
    )


def read_chat(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """A plain row: messages or prompt, and what else has an obvious name."""
    del joins
    request = first(row.get("request"), row.get("body"))
    body = request if isinstance(request, dict) else row
    said = first(row.get("conversation"), row.get("conversations"))
    if isinstance(said, list):
        body = {"messages": [_share_gpt(m) for m in said]}
    if row.get("status") in ("failure", "error") or row.get("error"):
        yield Unusable("failed")
        return
    response = first(
        row.get("response"), row.get("completion"), row.get("output"), row.get("answer")
    )
    yield finish(
        Fields(
            format="chat",
            body=body,
            response=response
            if isinstance(response, dict) and "usage" in response
            else {
                "content": response if isinstance(response, str) else None,
                "choices": part(response, "choices"),
                "usage": row.get("usage"),
            },
            id=first(row.get("id"), row.get("request_id"), row.get("call_id")),
            start=first(*(row.get(n) for n in _STARTS)),
            end=first(*(row.get(n) for n in ("end_time", "endTime", "ended_at"))),
            latency_ms=row.get("latency_ms"),
            session=first(
                *(row.get(n) for n in ("session_id", "conversation_id", "thread_id", "session"))
            ),
            model=first(row.get("model"), part(response, "model")),
            input_tokens=first(row.get("input_tokens"), row.get("prompt_tokens")),
            cached_tokens=row.get("cached_tokens"),
            output_tokens=first(row.get("output_tokens"), row.get("completion_tokens")),
            cost_usd=first(row.get("cost_usd"), row.get("cost"), row.get("spend")),
            **own_marks(row),
        )
    )


_STARTS = ("time", "timestamp", "created_at", "start_time", "startTime", "created", "datetime")


def _share_gpt(message: object) -> object:
    """ShareGPT's `from` and `value` as role and content."""
    if isinstance(message, dict) and "from" in message and "value" in message:
        role = {"gpt": "assistant", "human": "user"}.get(text(message["from"]), message["from"])
        return {"role": role, "content": message["value"]}
    return message


__all__ = [
    "is_batch_input",
    "is_batch_output",
    "is_chat",
    "is_stored_completion",
    "read_batch_input",
    "read_batch_output",
    "read_chat",
    "read_stored_completion",
]
