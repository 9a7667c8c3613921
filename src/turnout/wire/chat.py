"""OpenAI chat requests → `Query`: read little, refuse only what no upstream could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.errors import RequestError
from turnout.types import Capability, Query, estimate_tokens

TEXT_CAP = 20_000
"""Characters of a text that routers read; of a longer one, head and tail are kept."""

IMAGE_TOKENS = 765
"""Input tokens of an image: OpenAI's figure for one of 1024 x 1024 in high detail."""

AUDIO_TOKENS = 600
"""Input tokens of an audio clip: about a minute at OpenAI's ten tokens a second."""

FILE_TOKENS = 1_500
"""Input tokens of a file: about three pages of text."""

MESSAGE_TOKENS = 4
"""Tokens around each message (role and separators) in OpenAI's chat format."""

_MOST_OUTPUT_TOKENS = 1_000_000_000
_TEXT_PARTS = ("text", "input_text", "output_text")
_MEDIA: Mapping[str, tuple[Capability, int]] = {
    "image_url": ("vision", IMAGE_TOKENS),
    "input_image": ("vision", IMAGE_TOKENS),
    "image": ("vision", IMAGE_TOKENS),
    "input_audio": ("audio", AUDIO_TOKENS),
    "file": ("files", FILE_TOKENS),
    "input_file": ("files", FILE_TOKENS),
}
_EXAMPLE = 'give a list of messages, such as [{"role": "user", "content": "Hello"}]'


class Kind(str):
    """A JSON type's name, shown in place of a value that must not be repeated in an error."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def kind(value: object) -> Kind:
    """What a JSON value is, in words."""
    if value is None:
        return Kind("null")
    if isinstance(value, bool):
        return Kind("a boolean")
    if isinstance(value, int | float):
        return Kind("a number")
    if isinstance(value, str):
        return Kind("a string")
    if isinstance(value, Mapping):
        return Kind("an object")
    return Kind("a list")


def query_of_prompt(prompt: str) -> Query:
    """The query of one user message, read as a chat request is: cut where it is long, and noted."""
    return read_query({"messages": [{"role": "user", "content": prompt}]})


def read_query(body: Mapping[str, Any]) -> Query:
    """Read what routers and policies need of a chat request.

    Args:
        body: the parsed JSON of `POST /v1/chat/completions`; unknown fields are left alone.

    Returns:
        A query whose text is that of the latest user message that has any, cut to `TEXT_CAP`
        characters, with lone surrogates replaced; `notes` say where it was cut or is missing.

    Raises:
        RequestError: there are no messages, or one is not a message. The text of a message never
            appears in the error.
    """
    messages = _messages(body)
    notes: list[str] = []
    text = _cut(_latest_user_text(messages), "the text", notes)
    if not text:
        notes.append("no user text in the request: routed as empty text")
    system = "\n".join(_text(m) for m in messages if m["role"] in ("system", "developer"))
    tools = [body.get("tools"), body.get("functions")]
    return Query(
        text=text,
        system=_cut(system, "the system text", notes),
        turns=sum(m["role"] == "user" for m in messages),
        input_tokens=sum(map(_message_tokens, messages)) + _json_tokens(tools),
        max_output_tokens=_max_output_tokens(body),
        needs=frozenset(_needs(body, messages)),
        notes=tuple(notes),
    )


def _messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if "messages" not in body:
        raise RequestError("messages", Kind("a missing field"), _EXAMPLE)
    messages = body["messages"]
    if not isinstance(messages, list):
        raise RequestError("messages", kind(messages), _EXAMPLE)
    if not messages:
        raise RequestError("messages", Kind("an empty list"), _EXAMPLE)
    for i, message in enumerate(messages):
        _check_message(f"messages[{i}]", message)
    return messages


def _check_message(field: str, message: Any) -> None:
    if not isinstance(message, Mapping):
        raise RequestError(field, kind(message), "give an object with role and content")
    if not isinstance(message.get("role"), str):
        given = kind(message["role"]) if "role" in message else Kind("a missing field")
        raise RequestError(
            f"{field}.role", given, "give one of system, developer, user, assistant, tool"
        )
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise RequestError(
            f"{field}.content", kind(content), "give a string, a list of content parts or null"
        )
    for i, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, str | Mapping):
            raise RequestError(
                f"{field}.content[{i}]",
                kind(part),
                'give a content part, such as {"type": "text", "text": "Hello"}',
            )


def _latest_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user" and (text := _text(message)):
            return text
    return ""


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


def _cut(text: str, what: str, notes: list[str]) -> str:
    """Head and tail of a text longer than the cap, free of lone surrogates."""
    if len(text) > TEXT_CAP:
        notes.append(f"{what} was cut for routing from {len(text)} to {TEXT_CAP} characters")
        half = TEXT_CAP // 2
        text = text[:half] + text[-half:]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _parts(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, list):
        yield from (part for part in content if isinstance(part, Mapping))


def _media(part: Mapping[str, Any]) -> tuple[Capability, int] | None:
    form = part.get("type")
    return _MEDIA.get(form) if isinstance(form, str) else None


def _message_tokens(message: Mapping[str, Any]) -> int:
    tokens = MESSAGE_TOKENS + estimate_tokens(_text(message))
    tokens += sum(found[1] for part in _parts(message) if (found := _media(part)))
    return tokens + _json_tokens(message.get("tool_calls"))


def _json_tokens(value: Any) -> int:
    """Estimated tokens of any JSON value, whatever its depth."""
    tokens, left = 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            tokens += estimate_tokens(item)
        elif isinstance(item, Mapping):
            left.extend(item.keys())
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
        elif item is not None:
            tokens += 1
    return tokens


def _max_output_tokens(body: Mapping[str, Any]) -> int | None:
    """What the caller allows; a value that makes no sense is the upstream's to refuse."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return min(value, _MOST_OUTPUT_TOKENS)
    return None


def _needs(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> Iterator[Capability]:
    if body.get("tools") and body.get("tool_choice") != "none":
        yield "tools"
    if body.get("functions") and body.get("function_call") != "none":
        yield "tools"
    form = body.get("response_format")
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        yield "json_schema"
    for message in messages:
        for part in _parts(message):
            if found := _media(part):
                yield found[0]
