"""Parts of a turn → Anthropic's content blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from turnout.errors import ReplyError, RequestError, TranslationError
from turnout.wire.reading import Kind
from turnout.wire.translate.fields import Notes
from turnout.wire.translate.media import decoded_text, tool_id
from turnout.wire.translate.neutral import (
    CacheMark,
    File,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from turnout.wire.translate.to_openai import missing

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MOST_MARKS = 4
_API = "Messages"


class BlockWriter:
    """Writes blocks.

    Args:
        notes: what is left out.
        marks: how many marks for the cache there are; of more than four, the last are set.
    """

    def __init__(self, notes: Notes, marks: int = 0) -> None:
        self._notes = notes
        self._skip = max(0, marks - _MOST_MARKS)
        if self._skip:
            notes.add("prompt_cache_breakpoint", "the last four are kept: Anthropic takes no more")

    def blocks(self, turn: Turn) -> list[dict[str, Any]]:
        """The blocks of a turn; empty texts, which Anthropic refuses, are none."""
        found = []
        for part in turn.parts:
            block = self._block(part, turn.field)
            if block is not None:
                found.append(block)
        return found

    def cache(self, mark: CacheMark | None) -> dict[str, Any]:
        """The `cache_control` of a block."""
        if mark is None:
            return {}
        if self._skip:
            self._skip -= 1
            return {}
        control = {"type": "ephemeral", "ttl": "1h"} if mark == "long" else {"type": "ephemeral"}
        return {"cache_control": control}

    def _block(self, part: Part, field: str) -> dict[str, Any] | None:
        if isinstance(part, Text):
            if not part.text:
                return None
            return {"type": "text", "text": part.text, **self.cache(part.cache)}
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text} if part.text else None
        if isinstance(part, Image):
            return self._image(part, field)
        if isinstance(part, File):
            return self._file(part, field)
        if isinstance(part, Thinking):
            return self._thinking(part)
        if isinstance(part, ToolCall):
            return self._call(part, field)
        if isinstance(part, ToolResult):
            return self._result(part, field)
        raise missing(field, "sound", _API)

    def _image(self, image: Image, field: str) -> dict[str, Any]:
        if image.detail not in (None, "auto"):
            self._notes.add("image detail", "left out: a hint without a counterpart")
        if image.file_id is not None:
            raise missing(field, "another provider's file id", _API)
        if image.url is not None:
            source = {"type": "url", "url": image.url}
        elif image.media_type not in _IMAGES:
            what = Kind("an image of another type")
            raise TranslationError(field, what, f"give one of {', '.join(_IMAGES)}")
        else:
            source = {"type": "base64", "media_type": image.media_type, "data": image.data or ""}
        return {"type": "image", "source": source, **self.cache(image.cache)}

    def _file(self, file: File, field: str) -> dict[str, Any]:
        if file.file_id is not None:
            raise missing(field, "another provider's file id", _API)
        source: dict[str, Any]
        if file.url is not None:
            source = {"type": "url", "url": file.url}
        elif file.media_type == "application/pdf":
            source = {"type": "base64", "media_type": file.media_type, "data": file.data or ""}
        elif file.media_type in ("text/plain", "text/markdown"):
            text = decoded_text(file.data or "", field)
            source = {"type": "text", "media_type": "text/plain", "data": text}
        else:
            what = Kind("a file of another type")
            raise TranslationError(field, what, "give a PDF file or plain text")
        named = {} if file.name is None else {"title": file.name}
        return {"type": "document", "source": source, **named, **self.cache(file.cache)}

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        if part.origin != "anthropic" or part.signature is None:
            self._notes.add("reasoning", "left out: only its maker can read it back")
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.signature}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}

    def _call(self, call: ToolCall, field: str) -> dict[str, Any]:
        if call.custom:
            raise missing(field, "a call of a custom tool", _API)
        block = {"type": "tool_use", "id": tool_id(call.id), "name": call.name}
        return {**block, "input": arguments(call.arguments, field), **self.cache(call.cache)}

    def _result(self, result: ToolResult, field: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": tool_id(result.call_id)}
        content = self.blocks(Turn("tool", result.parts, field))
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if result.failed:
            block["is_error"] = True
        return {**block, **self.cache(result.cache)}


def count_marks(turns: Iterable[Turn]) -> int:
    """How many marks for the cache the parts of a conversation carry."""
    parts = [part for turn in turns for part in turn.parts]
    inner = [p for part in parts if isinstance(part, ToolResult) for p in part.parts]
    return sum(getattr(part, "cache", None) is not None for part in (*parts, *inner))


def arguments(given: str, field: str) -> dict[str, Any]:
    """The arguments of a call in a request, as an object.

    Raises:
        RequestError: they are not one.
    """
    value = _object(given)
    if value is None:
        what = Kind("a tool call's arguments")
        raise RequestError(field, what, "give a JSON object, written as a string")
    return value


def call_input(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call in a reply, as an object.

    Raises:
        ReplyError: they are not one.
    """
    value = _object(call.arguments)
    if value is None:
        raise ReplyError(
            "the upstream's model wrote arguments of a tool call that are no JSON object"
        )
    return value


def is_whole(call: ToolCall) -> bool:
    """Whether the arguments of a call are a JSON object from its first brace to its last."""
    return _object(call.arguments) is not None


def _object(given: str) -> dict[str, Any] | None:
    try:
        value = json.loads(given) if given.strip() else {}
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
