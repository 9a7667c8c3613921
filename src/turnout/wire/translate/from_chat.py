"""A Chat Completions request → `Ask`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from turnout.errors import RequestError
from turnout.types import Effort
from turnout.wire.reading import Kind, kind
from turnout.wire.translate.fields import Fields, Notes, shown
from turnout.wire.translate.media import file_of_data, image_of_url
from turnout.wire.translate.neutral import (
    Ask,
    Audio,
    CacheMark,
    File,
    Image,
    OutputFormat,
    Part,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    joined,
)

SHARED = (
    "store",
    "metadata",
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
)
"""Fields that both OpenAI dialects know by one name and in one form."""

_HINT = "a hint without a counterpart"


def read_chat(body: Mapping[str, Any], notes: Notes) -> Ask:
    """Read a chat request whole.

    Raises:
        RequestError: a value of the wrong type.
        TranslationError: a field that neither other dialect can say.
    """
    f = Fields(body, "", notes)
    limit = f.whole("max_tokens")
    newer = f.whole("max_completion_tokens")
    _refused(f)
    stream_options = f.object("stream_options")
    include_usage = False
    if stream_options is not None:
        include_usage = bool(stream_options.flag("include_usage"))
        stream_options.drop("include_obfuscation", _HINT)
        stream_options.end()
    choice = tool_choice(f.any("tool_choice"), "tool_choice", nested=True)
    ask = Ask(
        model=f.need_text("model"),
        turns=_all_turns(f, notes),
        tools=tuple(_tool(item, at, notes) for at, item in f.list("tools")),
        choice=choice,
        parallel=f.flag("parallel_tool_calls"),
        output=_output(f),
        max_output_tokens=limit if newer is None else newer,
        temperature=f.number("temperature"),
        top_p=f.number("top_p"),
        stop=_stop(f),
        effort=f.word("reasoning_effort", get_args(Effort)),
        verbosity=f.text("verbosity"),
        stream=bool(f.flag("stream")),
        include_usage=include_usage,
        user=_user(f),
        tier=f.text("service_tier"),
        cache_key=f.text("prompt_cache_key"),
        openai={name: value for name in SHARED if (value := f.any(name)) is not None},
    )
    f.end()
    return ask


def _refused(f: Fields) -> None:
    """What only Chat Completions can do; the values that do nothing are let through."""
    f.default("n", 1)
    f.default("frequency_penalty", 0, 0.0)
    f.default("presence_penalty", 0, 0.0)
    f.default("logprobs", False)
    f.default("top_logprobs", 0)
    f.default("modalities", ["text"])
    f.drop("seed", _HINT)
    f.drop("prediction", _HINT)
    for name in ("functions", "function_call"):
        if (value := f.any(name)) is not None:
            f.refuse(name, value, "give tools and tool_choice, which replace it")


def _user(f: Fields) -> str | None:
    older = f.text("user")
    return f.text("safety_identifier") or older


def _stop(f: Fields) -> tuple[str, ...]:
    value = f.any("stop")
    if isinstance(value, str):
        return (value,)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(s, str) for s in value):
        raise RequestError("stop", kind(value), "give a string or a list of strings")
    return tuple(value)


def _output(f: Fields) -> OutputFormat | None:
    form = f.object("response_format")
    if form is None:
        return None
    name = form.word("type", ("text", "json_object", "json_schema"))
    found = OutputFormat(schema=None) if name == "json_object" else None
    if name == "json_schema":
        inner = form.object("json_schema")
        if inner is None:
            raise RequestError(form.at("json_schema"), Kind("a missing field"), "give a schema")
        found = OutputFormat(
            schema=inner.json("schema") or {},
            name=inner.text("name"),
            description=inner.text("description"),
            strict=inner.flag("strict"),
        )
        inner.end()
    form.end()
    return found


def tool_choice(value: Any, field: str, *, nested: bool) -> ToolChoice | None:
    """Read a `tool_choice` of either OpenAI dialect; Chat nests what Responses writes flat."""
    plain: Mapping[str, ToolChoice] = {
        "auto": ToolChoice(),
        "none": ToolChoice(mode="none"),
        "required": ToolChoice(mode="any"),
    }
    if value is None or (isinstance(value, str) and value in plain):
        return None if value is None else plain[value]
    if not isinstance(value, Mapping):
        raise RequestError(field, shown(value), "give auto, none, required or a tool")
    outer = Fields(value, field, Notes())
    form = outer.form(("function", "custom", "allowed_tools"))
    f = (outer.object(form) if nested else outer) or outer
    if form == "allowed_tools":
        mode = f.word("mode", ("auto", "required"))
        names = tuple(_allowed(item, at, nested) for at, item in f.list("tools"))
        found = ToolChoice(mode="any" if mode == "required" else "auto", allowed=names)
    else:
        found = ToolChoice(mode="one", name=f.need_text("name"), custom=form == "custom")
    f.end()
    outer.end()
    return found


def _allowed(item: Any, field: str, nested: bool) -> str:
    f = Fields(item, field, Notes())
    form = f.form(("function", "custom"), "function")
    inner = f.object(form) if nested else f
    return (inner or f).need_text("name")


def _tool(item: Any, at: str, notes: Notes) -> Tool:
    f = Fields(item, at, notes)
    form = f.form(("function", "custom"))
    inner = f.object(form)
    if inner is None:
        raise RequestError(f.at(form), Kind("a missing field"), "give an object with a name")
    tool = Tool(
        name=inner.need_text("name"),
        description=inner.text("description"),
        parameters=inner.json("parameters"),
        strict=inner.flag("strict"),
        custom=form == "custom",
        format=_grammar(inner.json("format")),
    )
    inner.end()
    f.end()
    return tool


def _grammar(form: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A custom tool's format in Responses' flat form."""
    inner = None if form is None else form.get("grammar")
    return {"type": "grammar", **inner} if isinstance(inner, Mapping) else form


def _all_turns(f: Fields, notes: Notes) -> tuple[Turn, ...]:
    found = (turn for at, item in f.list("messages") for turn in _turns(item, at, notes))
    return tuple(joined(found))


def _turns(item: Any, at: str, notes: Notes) -> Iterator[Turn]:
    f = Fields(item, at, notes)
    role = role_of(f, ("system", "developer", "user", "assistant", "tool"))
    f.drop("name", "messages are not named by the other API")
    if role == "tool":
        parts = tuple(_parts(f, at, notes))
        texts = tuple(p for p in parts if isinstance(p, Text | Image | File))
        result = ToolResult(call_id=f.need_text("tool_call_id"), parts=texts)
        yield Turn("tool", (result,), at)
    elif role == "assistant":
        yield Turn("assistant", tuple(_assistant(f, at, notes)), at)
    else:
        yield Turn(role, tuple(_parts(f, at, notes)), at)
    f.end()


def role_of(f: Fields, known: tuple[Role, ...]) -> Role:
    """The role of a message, which must be one of these."""
    given = f.need_text("role")
    found = next((role for role in known if role == given), None)
    if found is None:
        f.refuse("role", given, f"translated are: {', '.join(known)}")
    return found


def _assistant(f: Fields, at: str, notes: Notes) -> Iterator[Part]:
    for name in ("reasoning_content", "reasoning", "reasoning_details"):
        f.drop(name, "reasoning of another API cannot be read back")
    f.drop("annotations", "citations are not sent back")
    yield from _parts(f, at, notes)
    if (refusal := f.text("refusal")) is not None:
        yield Refusal(text=refusal)
    for field, item in f.list("tool_calls"):
        yield _call(item, field, notes)


def _call(item: Any, at: str, notes: Notes) -> ToolCall:
    f = Fields(item, at, notes)
    form = f.form(("function", "custom"), "function")
    f.any("index")
    inner = f.object(form)
    if inner is None:
        raise RequestError(f.at(form), Kind("a missing field"), "give an object with a name")
    custom = form == "custom"
    call = ToolCall(
        id=f.need_text("id"),
        name=inner.need_text("name"),
        arguments=inner.text("input" if custom else "arguments") or "",
        custom=custom,
    )
    inner.end()
    f.end()
    return call


def _parts(f: Fields, at: str, notes: Notes) -> Iterator[Part]:
    content = f.any("content")
    if isinstance(content, str):
        yield Text(text=content)
    elif isinstance(content, list):
        for i, item in enumerate(content):
            yield _part(item, f"{at}.content[{i}]", notes)
    elif content is not None:
        raise RequestError(f"{at}.content", kind(content), "give a string or a list of parts")


def _part(item: Any, at: str, notes: Notes) -> Part:
    if isinstance(item, str):
        return Text(text=item)
    f = Fields(item, at, notes)
    form = f.form(("text", "refusal", "image_url", "input_audio", "file"))
    cache = cache_breakpoint(f)
    part: Part
    if form == "text":
        part = Text(text=f.need_text("text"), cache=cache)
    elif form == "refusal":
        part = Refusal(text=f.need_text("refusal"))
    elif form == "image_url":
        part = _image(f, cache)
    elif form == "input_audio":
        part = audio(f, cache)
    else:
        part = _file(f, cache)
    f.end()
    return part


def cache_breakpoint(f: Fields) -> CacheMark | None:
    """OpenAI's `prompt_cache_breakpoint`."""
    inner = f.object("prompt_cache_breakpoint")
    if inner is None:
        return None
    inner.default("mode", "explicit")
    ttl = inner.word("ttl", ("30m", "12h"))
    inner.end()
    return "long" if ttl == "12h" else "short"


def _image(f: Fields, cache: CacheMark | None) -> Image:
    inner = f.object("image_url")
    if inner is None:
        raise RequestError(f.at("image_url"), Kind("a missing field"), "give an object with a url")
    url, at = inner.need_text("url"), inner.at("url")
    image = image_of_url(url, at, detail=inner.text("detail"), cache=cache)
    inner.end()
    return image


def audio(f: Fields, cache: CacheMark | None = None) -> Audio:
    """An `input_audio` part, which both OpenAI dialects write alike."""
    inner = f.object("input_audio")
    if inner is None:
        raise RequestError(f.at("input_audio"), Kind("a missing field"), "give data and format")
    found = Audio(data=inner.need_text("data"), format=inner.need_text("format"), cache=cache)
    inner.end()
    return found


def _file(f: Fields, cache: CacheMark | None) -> File:
    inner = f.object("file")
    if inner is None:
        raise RequestError(f.at("file"), Kind("a missing field"), "give file_data or file_id")
    name, data, file_id = inner.text("filename"), inner.text("file_data"), inner.text("file_id")
    inner.end()
    if data is not None:
        return file_of_data(data, inner.at("file_data"), name=name, cache=cache)
    if file_id is None:
        raise RequestError(inner.at("file_data"), Kind("a missing field"), "give data or file_id")
    return File(file_id=file_id, name=name, cache=cache)
