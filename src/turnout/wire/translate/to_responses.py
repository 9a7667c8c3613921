"""`Ask` → a Responses request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnout.errors import TranslationError
from turnout.wire.reading import Kind
from turnout.wire.translate.fields import Notes
from turnout.wire.translate.ids import item_id
from turnout.wire.translate.media import data_url, tool_id, url_of_image
from turnout.wire.translate.neutral import (
    Ask,
    File,
    Image,
    OutputFormat,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from turnout.wire.translate.target import Target
from turnout.wire.translate.to_openai import (
    cache_point,
    choice,
    common,
    effort,
    missing,
    schema_of,
)


def write_responses(
    ask: Ask, target: Target, notes: Notes, *, native_cache: bool
) -> dict[str, Any]:
    """A Responses request; `native_cache` where the ask came from OpenAI's other dialect.

    Nothing is stored with the provider unless the client asks for it, as in the other two APIs.

    Raises:
        TranslationError: names what Responses cannot say.
    """
    if ask.stop:
        raise TranslationError("stop", Kind("a list"), "leave it out: Responses has no stop")
    writer = _Writer(notes, native_cache, _custom_calls(ask))
    body = {"store": False, **common(ask, target, notes)}
    first, rest = _instructions(ask)
    if first is not None:
        body["instructions"] = first
    body["input"] = [item for turn in rest for item in writer.turn(turn)]
    if ask.tools:
        body["tools"] = [writer.tool(tool) for tool in ask.tools]
    if ask.choice is not None:
        body["tool_choice"] = choice(ask.choice, nested=False)
    if ask.max_output_tokens is not None:
        body["max_output_tokens"] = ask.max_output_tokens
    body |= _reasoning(ask, target, notes) | _text(ask)
    if ask.stream:
        body["stream"] = True
    return body


def _instructions(ask: Ask) -> tuple[str | None, tuple[Turn, ...]]:
    """The system texts at the start, which are the instructions, and the other turns."""
    texts: list[str] = []
    for i, turn in enumerate(ask.turns):
        plain = [p.text for p in turn.parts if isinstance(p, Text) and p.cache is None]
        if turn.role != "system" or len(plain) != len(turn.parts):
            return "\n\n".join(texts) or None, ask.turns[i:]
        texts.extend(plain)
    return "\n\n".join(texts) or None, ()


def _reasoning(ask: Ask, target: Target, notes: Notes) -> dict[str, Any]:
    asked = effort(ask, target, notes)
    inner: dict[str, Any] = {} if asked is None else {"effort": asked}
    if ask.show_thinking and target.thinking != "none":
        inner["summary"] = "auto"
    found: dict[str, Any] = {"reasoning": inner} if inner else {}
    if asked not in (None, "none") and target.reasoning_blobs:
        found["include"] = ["reasoning.encrypted_content"]
    return found


def _text(ask: Ask) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    if ask.verbosity is not None:
        inner["verbosity"] = ask.verbosity
    if ask.output is not None:
        inner["format"] = _output(ask.output)
    return {"text": inner} if inner else {}


def _output(form: OutputFormat) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    found: dict[str, Any] = {
        "type": "json_schema",
        "name": form.name or "answer",
        "schema": form.schema,
    }
    if form.description is not None:
        found["description"] = form.description
    if form.strict is not None:
        found["strict"] = form.strict
    return found


def _custom_calls(ask: Ask) -> frozenset[str]:
    """The ids of calls of custom tools, whose results are items of another type."""
    parts = (part for turn in ask.turns for part in turn.parts)
    return frozenset(p.id for p in parts if isinstance(p, ToolCall) and p.custom)


class _Writer:
    """Writes turns as items; it keeps the notes and whether cache marks are OpenAI's own."""

    def __init__(self, notes: Notes, native_cache: bool, custom_calls: frozenset[str]) -> None:
        self._notes, self._native, self._custom = notes, native_cache, custom_calls

    def turn(self, turn: Turn) -> Iterator[dict[str, Any]]:
        if turn.role == "assistant":
            yield from self._assistant(turn)
        elif turn.role == "tool":
            for part in turn.parts:
                if isinstance(part, ToolResult):
                    yield self._result(part, turn.field)
        else:
            content = [self._part(part, turn.field) for part in turn.parts]
            yield {"type": "message", "role": turn.role, "content": content}

    def _assistant(self, turn: Turn) -> Iterator[dict[str, Any]]:
        """Messages, calls and reasoning in the order in which they were said."""
        for i, part in enumerate(turn.parts):
            if isinstance(part, Text):
                # As a plain string: a list of parts needs an id, which only the provider can give.
                cache_point(part.cache, False, self._notes)
                yield {"type": "message", "role": "assistant", "content": part.text}
            elif isinstance(part, Refusal):
                yield {
                    "id": item_id("msg", turn.field, i),
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "refusal", "refusal": part.text}],
                }
            else:
                yield from self._item(part, turn.field)

    def _item(self, part: Part, field: str) -> Iterator[dict[str, Any]]:
        if isinstance(part, ToolCall):
            yield self._call(part)
        elif not isinstance(part, Thinking):
            raise missing(field, "an image or a file said by the model", "Responses")
        elif part.origin == "openai" and part.signature is not None:
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            item = {"type": "reasoning", "summary": summary, "encrypted_content": part.signature}
            yield {**item, "id": part.id or item_id("rs", field, 0)}
        else:
            self._notes.add("reasoning", "left out: only its maker can read it back")

    def _call(self, call: ToolCall) -> dict[str, Any]:
        form, given = (
            ("custom_tool_call", "input") if call.custom else ("function_call", "arguments")
        )
        cache_point(call.cache, False, self._notes)
        ids = {"call_id": tool_id(call.id), "name": call.name}
        return {"type": form, **ids, given: call.arguments}

    def _result(self, result: ToolResult, field: str) -> dict[str, Any]:
        if result.failed:
            self._notes.add("tool_result.is_error", "left out: its text says so")
        custom = result.custom or result.call_id in self._custom
        form = "custom_tool_call_output" if custom else "function_call_output"
        parts = [self._part(part, field) for part in result.parts]
        plain = all(p["type"] == "input_text" and len(p) == 2 for p in parts) and len(parts) <= 1
        output = "".join(p["text"] for p in parts) if plain else parts
        return {"type": form, "call_id": tool_id(result.call_id), "output": output}

    def _part(self, part: Part, field: str) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "input_text", "text": part.text, **self._cache(part)}
        if isinstance(part, Image):
            return {**self._image(part, field), **self._cache(part)}
        if isinstance(part, File):
            return {**self._file(part, field), **self._cache(part)}
        raise missing(field, "sound, or this part in this role", "Responses")

    def _cache(self, part: Text | Image | File) -> dict[str, Any]:
        return cache_point(part.cache, self._native, self._notes)

    def _image(self, image: Image, field: str) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "input_image", "detail": image.detail or "auto"}
        if image.file_id is not None:
            if not self._native:
                raise missing(field, "another provider's file id", "Responses")
            return {**found, "file_id": image.file_id}
        return {**found, "image_url": url_of_image(image)}

    def _file(self, file: File, field: str) -> dict[str, Any]:
        if file.file_id is not None:
            if not self._native:
                raise missing(field, "another provider's file id", "Responses")
            return {"type": "input_file", "file_id": file.file_id}
        if file.url is not None:
            return {"type": "input_file", "file_url": file.url}
        data = data_url(file.media_type, file.data or "")
        return {"type": "input_file", "filename": file.name or "document", "file_data": data}

    def tool(self, tool: Tool) -> dict[str, Any]:
        cache_point(tool.cache, False, self._notes)
        found: dict[str, Any] = {"type": "custom" if tool.custom else "function", "name": tool.name}
        if tool.description is not None:
            found["description"] = tool.description
        if not tool.custom:
            # Responses enforces schemas unless told otherwise; the other two do not.
            strict = bool(tool.strict)
            return {**found, "parameters": schema_of(tool.parameters), "strict": strict}
        return found if tool.format is None else {**found, "format": dict(tool.format)}
