"""A Responses request → `Ask`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from turnout.errors import RequestError
from turnout.types import Effort
from turnout.wire.reading import OBJECT, Kind, kind
from turnout.wire.translate.fields import Fields, Notes
from turnout.wire.translate.from_chat import SHARED, audio, cache_breakpoint, role_of, tool_choice
from turnout.wire.translate.media import file_of_data, image_of_url
from turnout.wire.translate.neutral import (
    Ask,
    CacheMark,
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
    joined,
)
from turnout.wire.translate.reasoning import from_openai_encrypted

_STATE = "it stands with the provider: send the whole input, or use a model that speaks this API"
_STORED = "the item stands with the provider: send `store: false`, and the items themselves"
_HINT = "a hint without a counterpart"
_HOSTED = "of tools that the provider runs, of which there are none here"
_PARTS = ("input_text", "output_text", "refusal", "input_image", "input_file", "input_audio")
_INCLUDED = "reasoning.encrypted_content"


def read_responses(body: Mapping[str, Any], notes: Notes) -> Ask:
    """Read a Responses request whole.

    Raises:
        RequestError: a value of the wrong type.
        TranslationError: a field that neither other dialect can say.
    """
    f = Fields(body, "", notes)
    _refused(f)
    effort, shows = _reasoning(f)
    verbosity, output = _text_config(f)
    older = f.text("user")
    stream_options = f.object("stream_options")
    if stream_options is not None:
        stream_options.drop("include_obfuscation", _HINT)
        stream_options.end()
    ask = Ask(
        model=f.need_text("model"),
        turns=(*_instructions(f), *_input(f, notes)),
        tools=tuple(_tool(item, at, notes) for at, item in f.list("tools")),
        choice=tool_choice(f.any("tool_choice"), "tool_choice", nested=False),
        parallel=f.flag("parallel_tool_calls"),
        output=output,
        max_output_tokens=f.whole("max_output_tokens"),
        temperature=f.number("temperature"),
        top_p=f.number("top_p"),
        effort=effort,
        show_thinking=shows,
        verbosity=verbosity,
        stream=bool(f.flag("stream")),
        include_usage=True,
        user=f.text("safety_identifier") or older,
        tier=f.text("service_tier"),
        cache_key=f.text("prompt_cache_key"),
        openai={name: value for name in SHARED if (value := f.any(name)) is not None},
    )
    f.end()
    return ask


def _refused(f: Fields) -> None:
    """What stands with the provider or runs there; the values that do nothing are let through."""
    for name in ("previous_response_id", "conversation", "prompt"):
        if (value := f.any(name)) is not None:
            f.refuse(name, value, _STATE)
    f.default("background", False)
    f.default("truncation", "disabled")
    f.default("top_logprobs", 0)
    f.drop("max_tool_calls", _HOSTED)
    for at, item in f.list("include"):
        if item == "message.output_text.logprobs":
            f.refuse("include", item)
        if item != _INCLUDED:
            f.notes.add(at.partition("[")[0], _HOSTED)


def _reasoning(f: Fields) -> tuple[str | None, bool | None]:
    """The effort, and whether a summary of the reasoning is wanted."""
    inner = f.object("reasoning")
    if inner is None:
        return None, None
    effort = inner.word("effort", get_args(Effort))
    older = inner.text("generate_summary")
    summary = inner.text("summary") or older
    inner.default("mode", "standard")
    inner.drop("context", _HINT)
    inner.end()
    return effort, True if summary else None


def _text_config(f: Fields) -> tuple[str | None, OutputFormat | None]:
    inner = f.object("text")
    if inner is None:
        return None, None
    verbosity, form = inner.text("verbosity"), inner.object("format")
    inner.end()
    if form is None:
        return verbosity, None
    name = form.word("type", ("text", "json_object", "json_schema"))
    found = OutputFormat(schema=None) if name == "json_object" else None
    if name == "json_schema":
        found = OutputFormat(
            schema=form.json("schema") or {},
            name=form.text("name"),
            description=form.text("description"),
            strict=form.flag("strict"),
        )
    form.end()
    return verbosity, found


def _tool(item: Any, at: str, notes: Notes) -> Tool:
    f = Fields(item, at, notes)
    form = f.form(("function", "custom"))
    f.default("defer_loading", False)
    f.default("allowed_callers", ["direct"])
    f.default("async", False)
    tool = Tool(
        name=f.need_text("name"),
        description=f.text("description"),
        parameters=f.json("parameters"),
        strict=f.flag("strict"),
        custom=form == "custom",
        format=f.json("format"),
    )
    f.end()
    return tool


def _instructions(f: Fields) -> Iterator[Turn]:
    if text := f.text("instructions"):
        yield Turn("system", (Text(text=text),), "instructions")


def _input(f: Fields, notes: Notes) -> Iterator[Turn]:
    given = f.any("input")
    if isinstance(given, str):
        yield Turn("user", (Text(text=given),), "input")
        return
    if not isinstance(given, list):
        raise RequestError("input", kind(given), "give a text or a list of items")
    read = (_item(item, f"input[{i}]", notes) for i, item in enumerate(given))
    yield from joined(read)


def _item(item: Any, at: str, notes: Notes) -> Turn:
    f = Fields(item, at, notes)
    if isinstance(item, OBJECT):
        _refuse_reference(f, item)
    form = f.form(_READERS, "message")
    f.any("status")  # of what was said before, it changes nothing
    turn = _READERS[form](f, at, notes)
    f.end()
    return turn


def _refuse_reference(f: Fields, item: Mapping[str, Any]) -> None:
    """Refuse an item that the provider keeps; its type may be left out."""
    form = item.get("type")
    if form == "item_reference":
        f.refuse("type", form, _STORED)
    if form is None and item.get("role") is None and item.get("id") is not None:
        f.refuse("id", item["id"], _STORED)


def _message(f: Fields, at: str, notes: Notes) -> Turn:
    role = role_of(f, ("system", "developer", "user", "assistant"))
    f.any("id")
    f.drop("phase", _HINT)
    return Turn(role, tuple(_parts(f.any("content"), f"{at}.content", notes)), at)


def _function_call(f: Fields, at: str, notes: Notes) -> Turn:  # noqa: ARG001
    return Turn("assistant", (_call(f, "arguments", custom=False),), at)


def _custom_call(f: Fields, at: str, notes: Notes) -> Turn:  # noqa: ARG001
    return Turn("assistant", (_call(f, "input", custom=True),), at)


def _call(f: Fields, given: str, *, custom: bool) -> ToolCall:
    f.any("id")
    _plain_caller(f)
    return ToolCall(
        id=f.need_text("call_id"),
        name=f.need_text("name"),
        arguments=f.text(given) or "",
        custom=custom,
    )


def _plain_caller(f: Fields) -> None:
    f.default("caller", {"type": "direct"})
    f.default("async", False)


def _function_output(f: Fields, at: str, notes: Notes) -> Turn:
    return _output(f, at, notes, custom=False)


def _custom_output(f: Fields, at: str, notes: Notes) -> Turn:
    return _output(f, at, notes, custom=True)


def _output(f: Fields, at: str, notes: Notes, *, custom: bool) -> Turn:
    f.any("id")
    f.any("name")  # the call has it
    _plain_caller(f)
    parts = tuple(_parts(f.any("output"), f"{at}.output", notes))
    kept = tuple(p for p in parts if isinstance(p, Text | Image | File))
    result = ToolResult(call_id=f.need_text("call_id"), parts=kept, custom=custom)
    return Turn("tool", (result,), at)


def _thinking(f: Fields, at: str, notes: Notes) -> Turn:
    texts = []
    for name in ("summary", "content"):
        for field, item in f.list(name):
            part = Fields(item, field, notes)
            part.any("type")
            texts.append(part.text("text") or "")
    text = "\n\n".join(texts)
    found: Thinking = from_openai_encrypted(text, f.text("encrypted_content"), f.text("id"))
    return Turn("assistant", (found,), at)


_READERS = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _custom_output,
    "reasoning": _thinking,
}


def _parts(content: Any, at: str, notes: Notes) -> Iterator[Part]:
    if isinstance(content, str):
        yield Text(text=content)
    elif isinstance(content, list):
        for i, item in enumerate(content):
            yield _part(item, f"{at}[{i}]", notes)
    elif content is not None:
        raise RequestError(at, kind(content), "give a string or a list of parts")


def _part(item: Any, at: str, notes: Notes) -> Part:
    if isinstance(item, str):
        return Text(text=item)
    f = Fields(item, at, notes)
    form = f.form(_PARTS)
    cache = cache_breakpoint(f)
    part: Part
    if form in ("input_text", "output_text"):
        part = Text(text=f.need_text("text"), cache=cache)
        f.drop("annotations", "citations are not sent back")
        f.drop("logprobs", "probabilities are not sent back")
    elif form == "refusal":
        part = Refusal(text=f.need_text("refusal"))
    elif form == "input_image":
        part = _image(f, at, cache)
    elif form == "input_audio":
        part = audio(f, cache)
    else:
        part = _file(f, at, cache)
    f.end()
    return part


def _image(f: Fields, at: str, cache: CacheMark | None) -> Image:
    detail, file_id, url = f.text("detail"), f.text("file_id"), f.text("image_url")
    if url is not None:
        return image_of_url(url, f"{at}.image_url", detail=detail, cache=cache)
    if file_id is None:
        raise RequestError(f"{at}.image_url", Kind("a missing field"), "give a URL or a file_id")
    return Image(file_id=file_id, detail=detail, cache=cache)


def _file(f: Fields, at: str, cache: CacheMark | None) -> File:
    name, data = f.text("filename"), f.text("file_data")
    url, file_id = f.text("file_url"), f.text("file_id")
    f.drop("detail", _HINT)
    if data is not None:
        return file_of_data(data, f"{at}.file_data", name=name, cache=cache)
    if url is None and file_id is None:
        remedy = "give data, a URL or a file_id"
        raise RequestError(f"{at}.file_data", Kind("a missing field"), remedy)
    return File(url=url, file_id=file_id, name=name, cache=cache)
