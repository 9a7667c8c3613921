"""OpenAI chat requests → `Query`: read little, refuse only what no upstream could serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.errors import RequestError
from turnout.types import Capability, Query, estimate_tokens
from turnout.wire.conversation import GO_ON_NOTE, Step, by_harness, looks_failed, standing
from turnout.wire.reading import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    OBJECT,
    TEXT_CAP,
    Kind,
    content_parts,
    cut,
    effort_of,
    json_tokens,
    kind,
    objects,
    output_limit,
    parts_of,
)

_TEXT_PARTS = ("text", "input_text", "output_text")
_MEDIA: Mapping[str, tuple[Capability, int]] = {
    "image_url": ("vision", IMAGE_TOKENS),
    "input_image": ("vision", IMAGE_TOKENS),
    "image": ("vision", IMAGE_TOKENS),
    "input_audio": ("audio", AUDIO_TOKENS),
    "file": ("files", FILE_TOKENS),
    "input_file": ("files", FILE_TOKENS),
}
_BESIDE = frozenset(
    {"tools", "functions", "tool_choice", "function_call", "reasoning_effort", "response_format"}
)
"""Fields that say more than the messages do."""
_PART = '{"type": "text", "text": "Hello"}'
_EXAMPLE = 'give a list of messages, such as [{"role": "user", "content": "Hello"}]'


def query_of_prompt(prompt: str) -> Query:
    """The query of one user message, read as a chat request is: cut where it is long, and noted."""
    return read_query({"messages": [{"role": "user", "content": prompt}]})


def read_query(body: Mapping[str, Any]) -> Query:
    """Read what routers and policies need of a chat request.

    Args:
        body: the parsed JSON of `POST /v1/chat/completions`; unknown fields are left alone.

    Returns:
        A query whose text is the task, that of the latest user message that asks for something, cut
        to `TEXT_CAP` characters, with lone surrogates replaced; `notes` say where it was cut, is
        missing, or is not the latest text.

    Raises:
        RequestError: there are no messages, or one is not a message. The text of a message never
            appears in the error.
    """
    messages = _messages(body)
    if len(messages) == 1 and _is_plain(messages[0]) and says_no_more(body):
        return _plain_query(body, messages[0]["content"])
    notes: list[str] = []
    stands = standing(map(_step, reversed(messages)))
    text = cut(stands.task, "the text", notes)
    if not text:
        notes.append("no user text in the request: routed as empty text")
    if stands.ends == "go_on":
        notes.append(GO_ON_NOTE)
    roles, tokens, needs = _look(messages)
    system = ""
    if "system" in roles or "developer" in roles:
        system = "\n".join(_text(m) for m in messages if m["role"] in ("system", "developer"))
        system = cut(system, "the system text", notes)
    if "tools" in body or "functions" in body:
        tokens += json_tokens([body.get("tools"), body.get("functions")])
    return Query(
        text=text,
        system=system,
        turns=roles.count("user"),
        input_tokens=tokens,
        max_output_tokens=output_limit(body, "max_completion_tokens", "max_tokens"),
        needs=_needs(body, needs),
        forced_tool="tool_choice" in body and forces_tool(body["tool_choice"]),
        effort=effort_of(body["reasoning_effort"]) if "reasoning_effort" in body else None,
        conversation=stands.conversation(
            messages=len(messages),
            answered="assistant" in roles or "tool" in roles or "function" in roles,
        ),
        notes=tuple(notes),
    )


def says_no_more(body: Mapping[str, Any]) -> bool:
    """Whether no field of a request says more of what is asked than its messages do."""
    return _BESIDE.isdisjoint(body)


def plain_tokens(text: str) -> int:
    """Input tokens of one message of text, as `read_query` estimates them."""
    return MESSAGE_TOKENS + estimate_tokens(text)


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Whether a message is a short text of the user, and nothing else."""
    content = message.get("content")
    return (
        len(message) == 2
        and message["role"] == "user"
        and type(content) is str
        and 0 < len(content) <= TEXT_CAP
        and not by_harness(content)
    )


def _plain_query(body: Mapping[str, Any], text: str) -> Query:
    """What `read_query` finds in one plain message, at a third of its time."""
    return Query(
        text=cut(text, "the text", []),
        input_tokens=plain_tokens(text),
        max_output_tokens=output_limit(body, "max_completion_tokens", "max_tokens"),
    )


def forces_tool(choice: Any) -> bool:
    """Whether a `tool_choice` of either OpenAI API leaves the model no answer but a call."""
    if isinstance(choice, OBJECT):
        inner = choice.get("allowed_tools")
        mode = (inner if isinstance(inner, OBJECT) else choice).get("mode")
        if choice.get("type") == "allowed_tools":
            choice = mode
        else:
            return True
    return bool(choice == "required")


def _messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    messages = objects(body, "messages", _EXAMPLE)
    for i, message in enumerate(messages):
        plain = type(message) is dict and type(message.get("role")) is str
        if not plain or type(message.get("content")) is not str:
            _check_message(f"messages[{i}]", message)
    return messages


def _check_message(field: str, message: Any) -> None:
    if not isinstance(message, OBJECT):
        raise RequestError(field, kind(message), "give an object with role and content")
    if not isinstance(message.get("role"), str):
        given = kind(message["role"]) if "role" in message else Kind("a missing field")
        raise RequestError(
            f"{field}.role", given, "give one of system, developer, user, assistant, tool"
        )
    content_parts(f"{field}.content", message.get("content"), _PART)


def first_user_text(body: Mapping[str, Any]) -> str:
    """The text by which the conversation of a request that was read begins; empty without one."""
    for message in body["messages"]:
        if message["role"] == "user" and (text := _user_text(message)):
            return text
    return ""


def _step(message: Mapping[str, Any]) -> Step:
    role = message["role"]
    if role == "user":
        return Step("user", _user_text(message))
    if role == "assistant":
        calls = message.get("tool_calls")
        made = len(calls) if isinstance(calls, list) else int(bool(message.get("function_call")))
        return Step("answer", calls=made)
    if role in ("tool", "function"):
        return Step("result", failed=looks_failed(_text(message)))
    return Step("other")


def _user_text(message: Mapping[str, Any]) -> str:
    """The text of a user's message without what a harness put in."""
    content = message.get("content")
    if isinstance(content, str):
        return "" if by_harness(content) else content
    return "\n".join(t for p in content or () if (t := _part_text(p)) and not by_harness(t))


def _text(message: Mapping[str, Any]) -> str:
    """The text of a message: its string, or its text parts joined by newlines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, map(_part_text, content or ())))


def _part_text(part: str | Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if part.get("type") in _TEXT_PARTS else None
    return text if isinstance(text, str) else ""


def _media(part: Mapping[str, Any]) -> tuple[Capability, int] | None:
    form = part.get("type")
    return _MEDIA.get(form) if isinstance(form, str) else None


def _look(messages: Sequence[Mapping[str, Any]]) -> tuple[list[str], int, set[Capability]]:
    """The messages' roles, their input tokens, and what they need of a model."""
    roles: list[str] = []
    tokens = 0
    needs: set[Capability] = set()
    for message in messages:
        role, content, calls = message["role"], message.get("content"), message.get("tool_calls")
        roles.append(role)
        tokens += MESSAGE_TOKENS + estimate_tokens(_text(message))
        if type(content) is not str:
            for part in parts_of(content):
                if found := _media(part):
                    needs.add(found[0])
                    tokens += found[1]
        if calls is not None:
            tokens += json_tokens(calls)
        if calls or role in ("tool", "function"):
            needs.add("tools")  # a model without tools cannot read what they said either
    return roles, tokens, needs


def _needs(body: Mapping[str, Any], found: set[Capability]) -> frozenset[Capability]:
    """What a request needs of a model, with what its messages do."""
    if body.get("tools") and body.get("tool_choice") != "none":
        found.add("tools")
    if body.get("functions") and body.get("function_call") != "none":
        found.add("tools")
    form = body.get("response_format")
    if isinstance(form, OBJECT) and form.get("type") == "json_schema":
        found.add("json_schema")
    return frozenset(found)
