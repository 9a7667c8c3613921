"""`Ask` → a Chat Completions request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnout.wire.translate.fields import Notes
from turnout.wire.translate.media import data_url, decoded_text, tool_id, url_of_image
from turnout.wire.translate.neutral import (
    Ask,
    Audio,
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


def write_chat(ask: Ask, target: Target, notes: Notes, *, native_cache: bool) -> dict[str, Any]:
    """A chat request; `native_cache` where the ask came from OpenAI's other dialect.

    Raises:
        TranslationError: names what Chat Completions cannot say.
    """
    writer = _Writer(notes, native_cache)
    body = common(ask, target, notes)
    body["messages"] = [message for turn in ask.turns for message in writer.turn(turn)]
    if ask.tools:
        body["tools"] = [writer.tool(tool) for tool in ask.tools]
    if ask.choice is not None:
        body["tool_choice"] = choice(ask.choice, nested=True)
    if ask.output is not None:
        body["response_format"] = _output(ask.output)
    if ask.max_output_tokens is not None:
        name = "max_tokens" if target.older_limit else "max_completion_tokens"
        body[name] = ask.max_output_tokens
    if ask.stop:
        body["stop"] = list(ask.stop)
    if (asked := effort(ask, target, notes)) is not None:
        body["reasoning_effort"] = asked
    if ask.show_thinking:
        notes.add("reasoning summary", "left out: Chat Completions has none")
    if ask.verbosity is not None:
        body["verbosity"] = ask.verbosity
    if ask.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _output(form: OutputFormat) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": form.name or "answer", "schema": form.schema}
    if form.description is not None:
        inner["description"] = form.description
    if form.strict is not None:
        inner["strict"] = form.strict
    return {"type": "json_schema", "json_schema": inner}


class _Writer:
    """Writes turns; it keeps the notes and whether cache marks are OpenAI's own."""

    def __init__(self, notes: Notes, native_cache: bool) -> None:
        self._notes, self._native = notes, native_cache

    def turn(self, turn: Turn) -> Iterator[dict[str, Any]]:
        if turn.role == "tool":
            yield from self._results(turn)
        elif turn.role == "assistant":
            yield from self._assistant(turn)
        else:
            parts = [self._part(part, turn.field) for part in turn.parts]
            yield {"role": turn.role, "content": _content(parts)}

    def _results(self, turn: Turn) -> Iterator[dict[str, Any]]:
        for part in turn.parts:
            if isinstance(part, ToolResult):
                yield {
                    "role": "tool",
                    "tool_call_id": tool_id(part.call_id),
                    "content": _content(self._result(part, turn.field)),
                }

    def _result(self, result: ToolResult, field: str) -> list[dict[str, Any]]:
        if result.failed:
            self._notes.add("tool_result.is_error", "left out: its text says so")
        for part in result.parts:
            if not isinstance(part, Text):
                raise missing(field, "an image or a file in a tool's result", "Chat Completions")
        return [self._part(part, field) for part in result.parts]

    def _assistant(self, turn: Turn) -> Iterator[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for part in turn.parts:
            if isinstance(part, Thinking):
                self._notes.add("reasoning", "left out: only its maker can read it back")
            elif isinstance(part, ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, Refusal):
                content.append({"type": "refusal", "refusal": part.text})
            else:
                content.append(self._part(part, turn.field))
        if not content and not calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": _content(content) or None}
        if calls:
            message["tool_calls"] = calls
        yield message

    def _call(self, call: ToolCall) -> dict[str, Any]:
        form, given = ("custom", "input") if call.custom else ("function", "arguments")
        cache_point(call.cache, False, self._notes)
        inner = {"name": call.name, given: call.arguments}
        return {"id": tool_id(call.id), "type": form, form: inner}

    def _part(self, part: Part, field: str) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text, **self._cache(part)}
        if isinstance(part, Image):
            return self._image(part, field)
        if isinstance(part, File):
            return self._file(part, field)
        if isinstance(part, Audio):
            inner = {"data": part.data, "format": part.format}
            return {"type": "input_audio", "input_audio": inner, **self._cache(part)}
        raise missing(field, "this part in this role", "Chat Completions")

    def _cache(self, part: Text | Image | File | Audio) -> dict[str, Any]:
        return cache_point(part.cache, self._native, self._notes)

    def _image(self, image: Image, field: str) -> dict[str, Any]:
        if image.file_id is not None:
            raise missing(field, "an image given by a file's id", "Chat Completions")
        inner = {"url": url_of_image(image)}
        if image.detail is not None:
            inner["detail"] = image.detail
        return {"type": "image_url", "image_url": inner, **self._cache(image)}

    def _file(self, file: File, field: str) -> dict[str, Any]:
        if file.url is not None:
            raise missing(field, "a file given by a URL", "Chat Completions")
        if file.file_id is not None:
            if not self._native:
                raise missing(field, "another provider's file id", "Chat Completions")
            inner = {"file_id": file.file_id}
        elif file.media_type == "text/plain":
            self._notes.add("document", "given as text: Chat Completions reads PDF files alone")
            text = decoded_text(file.data or "", field)
            head = "" if file.name is None else f"{file.name}\n\n"
            return {"type": "text", "text": head + text, **self._cache(file)}
        else:
            inner = {"file_data": data_url(file.media_type, file.data or "")}
            inner["filename"] = file.name or "document"
        return {"type": "file", "file": inner, **self._cache(file)}

    def tool(self, tool: Tool) -> dict[str, Any]:
        form = "custom" if tool.custom else "function"
        cache_point(tool.cache, False, self._notes)
        inner: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            inner["description"] = tool.description
        if tool.custom:
            if tool.format is not None:
                inner["format"] = _grammar(dict(tool.format))
            return {"type": form, form: inner}
        inner["parameters"] = schema_of(tool.parameters)
        if tool.strict is not None:
            inner["strict"] = tool.strict
        return {"type": form, form: inner}


def _grammar(form: dict[str, Any]) -> dict[str, Any]:
    """A custom tool's format as Chat nests it."""
    if form.get("type") != "grammar":
        return form
    return {"type": "grammar", "grammar": {n: v for n, v in form.items() if n != "type"}}


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    """One plain text as a string, which every compatible server takes; else the list."""
    if not parts:
        return ""
    if all(p["type"] == "text" and len(p) == 2 for p in parts) and len(parts) == 1:
        text: str = parts[0]["text"]
        return text
    return parts
