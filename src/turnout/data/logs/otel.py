"""Spans in OTLP JSON: OTel's GenAI conventions, OpenInference, and OpenLLMetry's older names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.data.logs.call import LogCall, Unusable
from turnout.data.logs.fields import Fields, Row, finish, first, loaded, number, part, text
from turnout.data.logs.joins import Joins

Attributes = Mapping[str, Any]


def is_otlp(row: Row) -> bool:
    """An OTLP/JSON trace export, one request a line, as the collector's file exporter writes it."""
    return "resourceSpans" in row or "resource_spans" in row


def is_span(row: Row) -> bool:
    """A span with flat attributes, as Phoenix and other tools export it."""
    said = row.get("attributes")
    return isinstance(said, Mapping) and any(k.startswith(("gen_ai.", "llm.")) for k in said)


def read_otlp(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """Every model call among the spans of an export."""
    del joins
    for resource in first(row.get("resourceSpans"), row.get("resource_spans")) or ():
        scopes = first(part(resource, "scopeSpans"), part(resource, "scope_spans")) or ()
        for span in (s for scope in scopes for s in part(scope, "spans") or ()):
            said = {a.get("key"): _value(a.get("value")) for a in part(span, "attributes") or ()}
            for event in part(span, "events") or ():  # content may stand in an event instead
                for a in part(event, "attributes") or ():
                    said.setdefault(a.get("key"), _value(a.get("value")))
            yield _call(span, said)


def read_span(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """One span with flat attributes."""
    del joins
    yield _call(row, row["attributes"])


def _value(value: Any) -> Any:
    """An OTLP AnyValue as JSON."""
    if not isinstance(value, Mapping):
        return value
    if "arrayValue" in value:
        return [_value(v) for v in part(value, "arrayValue", "values") or ()]
    if "kvlistValue" in value:
        listed = part(value, "kvlistValue", "values") or ()
        return {part(v, "key"): _value(part(v, "value")) for v in listed}
    return next(iter(value.values()), None)


def _call(span: Row, said: Attributes) -> LogCall | Unusable:
    if not _asks(said):
        return Unusable("not_chat")
    if part(span, "status", "code") in (2, "STATUS_CODE_ERROR", "ERROR") or "error.type" in said:
        return Unusable("failed")
    messages, tools, form = _messages(said)
    return finish(
        Fields(
            format=form,
            body={"messages": messages, "tools": tools} if messages else None,
            response=_answer(said),
            id=first(
                *(span.get(n) for n in ("spanId", "span_id")), part(span, "context", "span_id")
            ),
            start=first(
                *(span.get(n) for n in ("startTimeUnixNano", "start_time_unix_nano", "start_time"))
            ),
            end=first(
                *(span.get(n) for n in ("endTimeUnixNano", "end_time_unix_nano", "end_time"))
            ),
            session=first(
                *(said.get(n) for n in ("gen_ai.conversation.id", "session.id")),
                *(span.get(n) for n in ("traceId", "trace_id")),
                part(span, "context", "trace_id"),
            ),
            model=first(
                *(
                    said.get(n)
                    for n in ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name")
                )
            ),
            input_tokens=_all_input(said),
            cached_tokens=first(*(said.get(n) for n in _CACHED)),
            output_tokens=first(*(said.get(n) for n in _OUTPUT)),
            cost_usd=first(said.get("llm.cost.total"), said.get("gen_ai.usage.cost")),
            score=said.get("turnout.score"),
            propensity=said.get("turnout.propensity"),
            decision_id=said.get("turnout.decision_id"),
            no_prompt="no_prompt_otel",
        )
    )


_OPERATIONS = ("chat", "generate_content", "text_completion", "stream")
_INPUT = ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")
_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "llm.token_count.completion",
    "gen_ai.usage.completion_tokens",
)
_CACHED = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)


def _asks(said: Attributes) -> bool:
    """Whether a span is a call to a model."""
    operation, kind = said.get("gen_ai.operation.name"), said.get("openinference.span.kind")
    if operation is not None:
        return bool(operation in _OPERATIONS)
    if kind is not None:
        return bool(kind == "LLM")
    old = said.get("llm.request.type")
    named = ("gen_ai.request.model", "llm.model_name", "gen_ai.response.model")
    return old in (None, "chat", "completion") and any(k in said for k in named)


def _all_input(said: Attributes) -> Any:
    """Input tokens; the conventions count cached ones in, so the larger of the two is all of it."""
    found = [number(said.get(n)) for n in (*_INPUT, *_CACHED)]
    known = [v for v in found if v is not None]
    return max(known) if known else None


def _messages(said: Attributes) -> tuple[list[Any], Any, str]:
    """Messages, tools and the name of the convention that they follow."""
    listed = loaded(said.get("gen_ai.input.messages"))
    if isinstance(listed, list) and listed:
        system = loaded(said.get("gen_ai.system_instructions"))
        lead = [{"role": "system", "content": system}] if system else []
        return [*lead, *listed], loaded(said.get("gen_ai.tool.definitions")), "otel-genai"
    numbered = _numbered(said, "llm.input_messages.", "message.")
    if numbered:
        return numbered, _numbered(said, "llm.tools.", ""), "openinference"
    return (
        _numbered(said, "gen_ai.prompt.", ""),
        _numbered(said, "llm.request.functions.", ""),
        "openllmetry",
    )


def _answer(said: Attributes) -> Any:
    listed = loaded(said.get("gen_ai.output.messages"))
    if listed:
        return listed
    return (
        _numbered(said, "llm.output_messages.", "message.")
        or _numbered(said, "gen_ai.completion.", "")
        or None
    )


def _numbered(said: Attributes, prefix: str, inner: str) -> list[dict[str, Any]]:
    """Objects that were flattened as `prefix.N.inner.name`, in order of N."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in said.items():
        if not key.startswith(prefix):
            continue
        place, _, name = key.removeprefix(prefix).partition(".")
        if place.isdecimal():
            found.setdefault(int(place), {})[name.removeprefix(inner)] = value
    return [_unflattened(found[n]) for n in sorted(found)]


def _unflattened(message: dict[str, Any]) -> dict[str, Any]:
    """Content that OpenInference flattens once more as `contents.N.message_content.text`."""
    if "content" in message or not any(k.startswith("contents.") for k in message):
        return (
            {**message, "content": loaded(message["content"])} if "content" in message else message
        )
    parts = _numbered(message, "contents.", "message_content.")
    texts = [text(p.get("text")) for p in parts if present_text(p)]
    return {**message, "content": "\n".join(texts)}


def present_text(value: Mapping[str, Any]) -> bool:
    """Whether a flattened content part is text."""
    return isinstance(value.get("text"), str)
