"""An Anthropic Messages request → `Ask`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.errors import RequestError
from turnout.wire.efforts import effort_of_thinking
from turnout.wire.reading import Kind, kind
from turnout.wire.translate.fields import Fields, Notes, shown
from turnout.wire.translate.from_chat import role_of
from turnout.wire.translate.neutral import (
    Ask,
    CacheMark,
    File,
    Image,
    OutputFormat,
    Part,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    joined,
)
from turnout.wire.translate.reasoning import from_anthropic_signature

_HINT = "a hint without a counterpart"


def read_messages(body: Mapping[str, Any], notes: Notes) -> Ask:
    """Read a Messages request whole.

    Raises:
        RequestError: a value of the wrong type.
        TranslationError: a field that OpenAI's dialects cannot say.
    """
    f = Fields(body, "", notes)
    effort = effort_of_thinking(body)
    shows = _thinking(f)
    choice, parallel = _choice(f)
    f.default("speed", "standard")
    f.drop("diagnostics", _HINT)
    f.any("anthropic_version")
    ask = Ask(
        model=f.need_text("model"),
        turns=(*_system(f, notes), *joined(_turns(f, notes))),
        tools=tuple(_tool(item, at, notes) for at, item in f.list("tools")),
        choice=choice,
        parallel=parallel,
        output=_output(f, notes),
        max_output_tokens=f.whole("max_tokens"),
        temperature=f.number("temperature"),
        top_p=f.number("top_p"),
        top_k=f.whole("top_k"),
        stop=f.strings("stop_sequences"),
        effort=effort,
        show_thinking=shows,
        stream=bool(f.flag("stream")),
        include_usage=True,
        user=_user(f),
        tier=_tier(f),
        cache_all=_cache(f) is not None,
    )
    f.end()
    return ask


def _thinking(f: Fields) -> bool | None:
    """Whether the client wants to read the thinking; the effort is read elsewhere."""
    inner = f.object("thinking")
    if inner is None:
        return None
    form = inner.word("type", ("enabled", "disabled", "adaptive", "between_tools"))
    if form == "between_tools":
        f.notes.add("thinking", "between_tools is the model's own choice there")
    inner.whole("budget_tokens")
    display = inner.word("display", ("summarized", "omitted"))
    inner.end()
    return None if display is None else display == "summarized"


def _output(f: Fields, notes: Notes) -> OutputFormat | None:
    config = f.object("output_config")
    if config is None:
        return None
    config.any("effort")
    form = config.object("format")
    config.end()
    if form is None:
        return None
    form.word("type", ("json_schema",))
    schema = form.json("schema")
    form.end()
    if schema is None:
        raise RequestError(form.at("schema"), Kind("a missing field"), "give a schema")
    strict = _strict(schema)
    if not strict:
        notes.add("output_config.format", "not enforced: OpenAI enforces closed schemas alone")
    return OutputFormat(schema=schema, strict=strict)


def _strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI can enforce a schema: every object is closed, every property required."""
    left: list[Any] = [schema]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            if item.get("type") == "object" or "properties" in item:
                names = item.get("properties") or {}
                required = item.get("required") or []
                if item.get("additionalProperties") is not False or not isinstance(names, Mapping):
                    return False
                if not isinstance(required, list) or set(names) != set(map(str, required)):
                    return False
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return True


def _choice(f: Fields) -> tuple[ToolChoice | None, bool | None]:
    inner = f.object("tool_choice")
    if inner is None:
        return None, None
    form = inner.word("type", ("auto", "any", "tool", "none"))
    one_at_a_time = inner.flag("disable_parallel_tool_use")
    name = inner.need_text("name") if form == "tool" else None
    inner.end()
    modes: Mapping[str | None, ToolChoice] = {
        "any": ToolChoice(mode="any"),
        "tool": ToolChoice(mode="one", name=name),
        "none": ToolChoice(mode="none"),
    }
    parallel = None if one_at_a_time is None else not one_at_a_time
    return modes.get(form, ToolChoice()), parallel


def _user(f: Fields) -> str | None:
    inner = f.object("metadata")
    if inner is None:
        return None
    user = inner.text("user_id")
    inner.end()
    return user


def _tier(f: Fields) -> str | None:
    tier = f.word("service_tier", ("auto", "standard_only"))
    return "default" if tier == "standard_only" else tier


def _cache(f: Fields) -> CacheMark | None:
    inner = f.object("cache_control")
    if inner is None:
        return None
    inner.default("type", "ephemeral")
    ttl = inner.word("ttl", ("5m", "1h"))
    inner.end()
    return "long" if ttl == "1h" else "short"


def _tool(item: Any, at: str, notes: Notes) -> Tool:
    f = Fields(item, at, notes)
    f.form(("custom",), "custom")
    f.default("defer_loading", False)
    f.default("allowed_callers", ["direct"])
    f.drop("eager_input_streaming", _HINT)
    tool = Tool(
        name=f.need_text("name"),
        description=f.text("description"),
        parameters=f.json("input_schema"),
        strict=f.flag("strict"),
        cache=_cache(f),
    )
    f.end()
    return tool


def _system(f: Fields, notes: Notes) -> Iterator[Turn]:
    given = f.any("system")
    if given is not None:
        parts = tuple(_parts(given, "system", notes))
        if parts:
            yield Turn("system", parts, "system")


def _turns(f: Fields, notes: Notes) -> Iterator[Turn]:
    for at, item in f.list("messages"):
        message = Fields(item, at, notes)
        role = role_of(message, ("user", "assistant", "system"))
        parts = tuple(_parts(message.any("content"), f"{at}.content", notes))
        message.end()
        yield from _split(role, parts, at)


def _split(role: Role, parts: tuple[Part, ...], at: str) -> Iterator[Turn]:
    """Tool results are a turn of their own; around them the order stays."""
    held: list[Part] = []
    for i, part in enumerate(parts):
        held.append(part)
        last = i + 1 == len(parts)
        if last or isinstance(part, ToolResult) != isinstance(parts[i + 1], ToolResult):
            yield Turn("tool" if isinstance(part, ToolResult) else role, tuple(held), at)
            held = []
    if not parts:
        yield Turn(role, (), at)


def _parts(content: Any, at: str, notes: Notes) -> Iterator[Part]:
    if isinstance(content, str):
        yield Text(text=content)
    elif isinstance(content, list):
        for i, item in enumerate(content):
            yield from _blocks(item, f"{at}[{i}]", notes)
    elif content is not None:
        raise RequestError(at, kind(content), "give a string or a list of blocks")


def _blocks(item: Any, at: str, notes: Notes) -> Iterator[Part]:
    """The parts of one block: a document with a context is its context, then itself."""
    f = Fields(item, at, notes)
    yield from _READERS[f.form(_READERS)](f, notes)
    f.end()


def _text(f: Fields, notes: Notes) -> Iterator[Part]:
    f.drop("citations", "citations are not sent back")
    del notes
    yield Text(text=f.need_text("text"), cache=_cache(f))


def _image(f: Fields, notes: Notes) -> Iterator[Part]:
    del notes
    f.drop("transformations", _HINT)
    source, cache = _source(f), _cache(f)
    form = source.word("type", ("base64", "url", "file"))
    image = Image(
        url=source.text("url"),
        data=source.text("data"),
        media_type=source.text("media_type"),
        file_id=source.text("file_id"),
        cache=cache,
    )
    source.end()
    if (image.url, image.data, image.file_id) == (None, None, None):
        raise RequestError(source.at(form or "type"), Kind("a missing field"), "give the image")
    yield image


def _document(f: Fields, notes: Notes) -> Iterator[Part]:
    del notes
    citations = f.object("citations")
    if citations is not None:
        citations.default("enabled", False)
        citations.end()
    title, context, cache = f.text("title"), f.text("context"), _cache(f)
    if context:
        yield Text(text=context)
    source = _source(f)
    form = source.word("type", ("base64", "url", "file", "text"))
    data, media_type = source.text("data"), source.text("media_type")
    if form == "text" and data is not None:
        data = base64.b64encode(data.encode("utf-8", "replace")).decode()
    document = File(
        url=source.text("url"),
        data=data,
        media_type=media_type,
        file_id=source.text("file_id"),
        name=title,
        cache=cache,
    )
    source.end()
    if (document.url, document.data, document.file_id) == (None, None, None):
        raise RequestError(source.at(form or "type"), Kind("a missing field"), "give the document")
    yield document


def _source(f: Fields) -> Fields:
    source = f.object("source")
    if source is None:
        raise RequestError(f.at("source"), Kind("a missing field"), "give a source")
    return source


def _tool_use(f: Fields, notes: Notes) -> Iterator[Part]:
    del notes
    f.default("caller", {"type": "direct"})
    given = f.any("input")
    if given is not None and not isinstance(given, Mapping):
        raise RequestError(f.at("input"), kind(given), "give an object")
    yield ToolCall(
        id=f.need_text("id"),
        name=f.need_text("name"),
        arguments=json.dumps(given or {}, ensure_ascii=False),
        cache=_cache(f),
    )


def _tool_result(f: Fields, notes: Notes) -> Iterator[Part]:
    parts = tuple(_parts(f.any("content"), f.at("content"), notes))
    for part in parts:
        if not isinstance(part, Text | Image | File):
            raise RequestError(f.at("content"), shown("tool_use"), "give text, images, documents")
    kept = tuple(p for p in parts if isinstance(p, Text | Image | File))
    failed = bool(f.flag("is_error"))
    yield ToolResult(call_id=f.need_text("tool_use_id"), parts=kept, failed=failed, cache=_cache(f))


def _thought(f: Fields, notes: Notes) -> Iterator[Part]:
    del notes
    yield from_anthropic_signature(f.text("thinking") or "", f.text("signature"))


def _redacted(f: Fields, notes: Notes) -> Iterator[Part]:
    del notes
    yield Thinking(signature=f.need_text("data"), origin="anthropic", redacted=True)


_READERS = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thought,
    "redacted_thinking": _redacted,
}
