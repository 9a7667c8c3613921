"""OpenAI's Responses requests → `Query`: read little, refuse only what no upstream could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.errors import RequestError
from turnout.types import Capability, Query, estimate_tokens
from turnout.wire.chat import forces_tool
from turnout.wire.conversation import GO_ON_NOTE, Step, by_harness, looks_failed, standing
from turnout.wire.reading import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    OBJECT,
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

_TEXT_PARTS = ("input_text", "output_text", "text")
_MEDIA: Mapping[str, tuple[Capability, int]] = {
    "input_image": ("vision", IMAGE_TOKENS),
    "input_audio": ("audio", AUDIO_TOKENS),
    "input_file": ("files", FILE_TOKENS),
}
_EXAMPLE = 'give a text, or a list of items, such as [{"role": "user", "content": "Hello"}]'
_PART = '{"type": "input_text", "text": "Hello"}'
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""Fields by which the input stands with the provider, so that it may be absent here."""
KEPT_BY_ID = ("previous_response_id", "conversation")
"""Those of a conversation: only the provider that keeps it can go on with it."""
_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call")
_RESULTS = tuple(f"{call}_output" for call in _CALLS)
_ANSWERS = (*_CALLS, *_RESULTS, "reasoning")


def read_query(body: Mapping[str, Any]) -> Query:
    """Read what routers and policies need of a Responses request.

    Args:
        body: the parsed JSON of `POST /v1/responses`; unknown fields and items are left alone.

    Returns:
        A query whose text is the task, that of the latest user message that asks for something. What a
        provider keeps (`previous_response_id`, `conversation`, `prompt`) is not read, and `notes` say
        so.

    Raises:
        RequestError: there is no input. The text of an item never appears in the error.
    """
    items = _items(body)
    notes: list[str] = []
    elsewhere = any(body.get(name) is not None for name in KEPT_BY_ID)
    stands = standing(map(_step, reversed(items)), elsewhere=elsewhere)
    text = cut(stands.task, "the text", notes)
    if not text:
        notes.append("no user text in the request: routed as empty text")
    if stands.ends == "go_on" and not elsewhere:
        notes.append(GO_ON_NOTE)
    kept = [name for name in _ELSEWHERE if body.get(name) is not None]
    notes.extend(f"{name}: what the provider keeps was not read" for name in kept)
    return Query(
        text=text,
        system=cut(_system(body, items), "the system text", notes),
        turns=sum(_role(item) == "user" for item in items),
        input_tokens=_input_tokens(body, items),
        max_output_tokens=output_limit(body, "max_output_tokens"),
        needs=frozenset(_needs(body, items)),
        forced_tool=forces_tool(body.get("tool_choice")),
        effort=_effort(body),
        conversation=stands.conversation(
            messages=len(items),
            answered=any(_role(i) == "assistant" or i.get("type") in _ANSWERS for i in items),
            signed=any(i.get("type") == "reasoning" and i.get("encrypted_content") for i in items),
            elsewhere=elsewhere,
        ),
        notes=tuple(notes),
    )


def _items(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The input as a list of items; a text is one user message."""
    given = body.get("input")
    if given is None and any(body.get(name) for name in _ELSEWHERE):
        return ()
    if isinstance(given, str):
        if not given:
            raise RequestError("input", Kind("an empty text"), _EXAMPLE)
        return ({"role": "user", "content": given},)
    items = objects(body, "input", _EXAMPLE)
    for i, item in enumerate(items):
        if not isinstance(item, OBJECT):
            raise RequestError(f"input[{i}]", kind(item), "give an item with a type or a role")
        if not isinstance(item.get("role"), str) or not isinstance(item.get("type", ""), str):
            _check_form(f"input[{i}]", item)
        content_parts(f"input[{i}].content", item.get("content"), _PART)
    return items


def _check_form(field: str, item: Mapping[str, Any]) -> None:
    """An item without a role is of another type, or stands for one that the provider keeps."""
    form, role = item.get("type"), item.get("role")
    if form is not None and not isinstance(form, str):
        raise RequestError(f"{field}.type", kind(form), "give a type, such as message")
    kept = form is None and isinstance(item.get("id"), str)
    if form in (None, "message") and not kept and not isinstance(role, str):
        given = kind(role) if "role" in item else Kind("a missing field")
        raise RequestError(f"{field}.role", given, "give one of system, developer, user, assistant")


def _role(item: Mapping[str, Any]) -> str:
    """The role of a message; other items have none."""
    role = item.get("role")
    return role if item.get("type") in (None, "message") and isinstance(role, str) else ""


def first_user_text(body: Mapping[str, Any]) -> str:
    """The text by which the conversation of a request that was read begins; empty without one."""
    for item in _items(body):
        if _role(item) == "user" and (text := _user_text(item.get("content"))):
            return text
    return ""


def _step(item: Mapping[str, Any]) -> Step:
    role, form = _role(item), item.get("type")
    if role == "user":
        return Step("user", _user_text(item.get("content")))
    if form in _CALLS:
        return Step("answer", calls=1)
    if form in _RESULTS:
        output = item.get("output")
        failed = item.get("status") in ("failed", "incomplete")
        return Step("result", failed=failed or looks_failed(_text(output)))
    return Step("other")


def _user_text(content: Any) -> str:
    """The text of a user's content without what a harness put in."""
    if isinstance(content, str):
        return "" if by_harness(content) else content
    texts = (p.get("text") for p in parts_of(content) if p.get("type") in _TEXT_PARTS)
    return "\n".join(t for t in texts if isinstance(t, str) and t and not by_harness(t))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = (p.get("text") for p in parts_of(content) if p.get("type") in _TEXT_PARTS)
    return "\n".join(t for t in texts if isinstance(t, str) and t)


def _system(body: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> str:
    first = body.get("instructions")
    texts = [first if isinstance(first, str) else ""]
    texts += [_text(i.get("content")) for i in items if _role(i) in ("system", "developer")]
    return "\n".join(filter(None, texts))


def _input_tokens(body: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> int:
    tokens = json_tokens([body.get("tools"), body.get("instructions")])
    for item in items:
        tokens += MESSAGE_TOKENS + estimate_tokens(_text(item.get("content")))
        tokens += json_tokens([item.get("arguments"), item.get("input"), item.get("name")])
        output = item.get("output")
        tokens += estimate_tokens(_text(output))
        tokens += sum(found[1] for found in (*_media(item.get("content")), *_media(output)))
    return tokens


def _media(content: Any) -> Iterator[tuple[Capability, int]]:
    for part in parts_of(content):
        form = part.get("type")
        if isinstance(form, str) and form in _MEDIA:
            yield _MEDIA[form]


def _needs(body: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> Iterator[Capability]:
    if body.get("tools") and body.get("tool_choice") != "none":
        yield "tools"
    text = body.get("text")
    form = text.get("format") if isinstance(text, OBJECT) else None
    if isinstance(form, OBJECT) and form.get("type") == "json_schema":
        yield "json_schema"
    for item in items:
        if item.get("type") in ("function_call", "function_call_output"):
            yield "tools"  # a model without tools cannot read what they said either
        for content in (item.get("content"), item.get("output")):
            yield from (found[0] for found in _media(content))


def _effort(body: Mapping[str, Any]) -> str | None:
    reasoning = body.get("reasoning")
    return effort_of(reasoning.get("effort")) if isinstance(reasoning, OBJECT) else None
