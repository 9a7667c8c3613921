"""Anthropic's Messages requests → `Query`: read little, refuse only what no upstream could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.errors import RequestError
from turnout.types import Capability, Query, estimate_tokens
from turnout.wire.conversation import GO_ON_NOTE, Step, by_harness, standing
from turnout.wire.efforts import effort_of_thinking
from turnout.wire.reading import (
    FILE_TOKENS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    OBJECT,
    Kind,
    content_parts,
    cut,
    json_tokens,
    kind,
    objects,
    output_limit,
    parts_of,
)

_MEDIA: Mapping[str, tuple[Capability, int]] = {
    "image": ("vision", IMAGE_TOKENS),
    "document": ("files", FILE_TOKENS),
}
_EXAMPLE = 'give a list of messages, such as [{"role": "user", "content": "Hello"}]'
_PART = '{"type": "text", "text": "Hello"}'


def read_query(body: Mapping[str, Any]) -> Query:
    """Read what routers and policies need of a Messages request.

    Args:
        body: the parsed JSON of `POST /v1/messages`; unknown fields and blocks are left alone.

    Returns:
        A query whose text is the task, that of the latest user message that asks for something beside
        tool results; `turns` counts the user messages that are more than tool results.

    Raises:
        RequestError: there are no messages, or one is not a message. The text of a message never
            appears in the error.
    """
    messages = _messages(body)
    notes: list[str] = []
    stands = standing(step for message in reversed(messages) for step in _steps(message))
    text = cut(stands.task, "the text", notes)
    if not text:
        notes.append("no user text in the request: routed as empty text")
    if stands.ends == "go_on":
        notes.append(GO_ON_NOTE)
    return Query(
        text=text,
        system=cut(_system(body, messages), "the system text", notes),
        turns=sum(m["role"] == "user" and not _only_results(m) for m in messages),
        input_tokens=input_tokens(body),
        max_output_tokens=output_limit(body, "max_tokens"),
        needs=frozenset(_needs(body, messages)),
        forced_tool=_forces_tool(body.get("tool_choice")),
        effort=effort_of_thinking(body),
        conversation=stands.conversation(
            messages=len(messages),
            answered=any(m["role"] == "assistant" for m in messages),
            signed=any(m["role"] == "assistant" and _signed(m) for m in messages),
        ),
        notes=tuple(notes),
    )


def input_tokens(body: Mapping[str, Any]) -> int:
    """Estimated input tokens of a request, with system text, history, tools and media.

    Raises:
        RequestError: as `read_query`.
    """
    tokens = json_tokens([body.get("tools"), _text(body.get("system"))])
    for message in _messages(body):
        tokens += MESSAGE_TOKENS + _content_tokens(message.get("content"))
    return tokens


def _messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    messages = objects(body, "messages", _EXAMPLE)
    for i, message in enumerate(messages):
        field = f"messages[{i}]"
        if not isinstance(message, OBJECT):
            raise RequestError(field, kind(message), "give an object with role and content")
        if not isinstance(message.get("role"), str):
            given = kind(message["role"]) if "role" in message else Kind("a missing field")
            raise RequestError(f"{field}.role", given, "give one of user, assistant, system")
        content_parts(f"{field}.content", message.get("content"), _PART)
    return messages


def first_user_text(body: Mapping[str, Any]) -> str:
    """The text by which the conversation of a request that was read begins; empty without one."""
    for message in body["messages"]:
        if message["role"] == "user" and (text := _user_text(message.get("content"))):
            return text
    return ""


def _steps(message: Mapping[str, Any]) -> Iterator[Step]:
    """What a message says, the latest first: a user's may hold results and a text behind them."""
    content = message.get("content")
    if message["role"] == "assistant":
        yield Step("answer", calls=sum(p.get("type") == "tool_use" for p in parts_of(content)))
    elif message["role"] == "user":
        results = [p for p in parts_of(content) if p.get("type") == "tool_result"]
        text = _user_text(content)
        if text or not results:
            yield Step("user", text)
        for result in reversed(results):
            yield Step("result", failed=result.get("is_error") is True)


def _user_text(content: Any) -> str:
    """The text of a user's content without what a harness put in."""
    if isinstance(content, str):
        return "" if by_harness(content) else content
    texts = (part.get("text") for part in parts_of(content) if part.get("type") == "text")
    return "\n".join(t for t in texts if isinstance(t, str) and t and not by_harness(t))


def _signed(message: Mapping[str, Any]) -> bool:
    """Whether an answer holds thinking that only its maker can read back."""
    return any(
        part.get("type") == "redacted_thinking"
        or (part.get("type") == "thinking" and bool(part.get("signature")))
        for part in parts_of(message.get("content"))
    )


def _text(content: Any) -> str:
    """The text of a content: its string, or its text blocks joined by newlines."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in parts_of(content) if part.get("type") == "text")
    return "\n".join(t for t in texts if isinstance(t, str) and t)


def _system(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    later = (_text(m.get("content")) for m in messages if m["role"] == "system")
    return "\n".join(filter(None, (_text(body.get("system")), *later)))


def _only_results(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return (
        bool(content)
        and isinstance(content, list)
        and all(isinstance(p, OBJECT) and p.get("type") == "tool_result" for p in content)
    )


def _blocks(content: Any) -> Iterator[Mapping[str, Any]]:
    """The blocks of a content and those inside its tool results, which do not nest."""
    for part in parts_of(content):
        yield part
        if part.get("type") == "tool_result":
            inner = part.get("content")
            yield {"type": "text", "text": inner} if isinstance(inner, str) else {}
            yield from parts_of(inner)


def _content_tokens(content: Any) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    tokens = 0
    for part in _blocks(content):
        form = part.get("type")
        if isinstance(form, str) and form in _MEDIA:
            tokens += _MEDIA[form][1]
        else:
            tokens += json_tokens([part.get(n) for n in ("text", "thinking", "name", "input")])
    return tokens


def _needs(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> Iterator[Capability]:
    choice = body.get("tool_choice")
    off = isinstance(choice, OBJECT) and choice.get("type") == "none"
    if body.get("tools") and not off:
        yield "tools"
    config = body.get("output_config")
    form = config.get("format") if isinstance(config, OBJECT) else None
    if isinstance(form, OBJECT) and form.get("type") == "json_schema":
        yield "json_schema"
    for message in messages:
        yield from _media(message.get("content"))


def _media(content: Any) -> Iterator[Capability]:
    for part in _blocks(content):
        form = part.get("type")
        if isinstance(form, str) and form in _MEDIA:
            yield _MEDIA[form][0]
        elif form in ("tool_use", "tool_result"):
            yield "tools"  # a model without tools cannot read what they said either


def _forces_tool(choice: Any) -> bool:
    return isinstance(choice, OBJECT) and choice.get("type") in ("any", "tool")
