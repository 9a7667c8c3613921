"""What the three dialects can say, in one form: a request and a reply as frozen values.

One form between them rather than six translators: a dialect is read once and written once, so a new
field has two places a dialect, and a rule (what is refused, what is left out) has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TypeAlias

from turnout.types import Usage

Origin: TypeAlias = Literal["openai", "anthropic"]
"""Whose reasoning it is: only its maker can read it back."""

CacheMark: TypeAlias = Literal["short", "long"]
"""The prompt up to here is to be cached: Anthropic's 5 minutes or hour, OpenAI's 30 minutes or 12 hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Plain text."""

    text: str
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: one of url, (data, media_type) and file_id."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A document: one of url, (data in base64, media_type) and file_id."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    name: str | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """A sound clip in base64."""

    data: str
    format: str
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The model's words of declining."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """Reasoning, and what its maker needs to read it back."""

    text: str = ""
    signature: str | None = None
    """Anthropic's signature, or OpenAI's encrypted content."""
    origin: Origin | None = None
    redacted: bool = False
    """Anthropic's `redacted_thinking`; its data stands in `signature`."""
    id: str | None = None
    """OpenAI's id of the item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model makes. Arguments are the JSON text, of a custom tool its input."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a call gave."""

    call_id: str
    parts: tuple[Text | Image | File, ...]
    failed: bool = False
    custom: bool = False
    cache: CacheMark | None = None


Part: TypeAlias = Text | Image | File | Audio | Refusal | Thinking | ToolCall | ToolResult
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive parts of one role; `field` is where it stood, for errors."""

    role: Role
    parts: tuple[Part, ...]
    field: str


def joined(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Consecutive turns of the model are one turn, and so are consecutive results."""
    for role, group in groupby(turns, key=lambda turn: turn.role):
        if role in ("assistant", "tool"):
            members = list(group)
            parts = tuple(part for turn in members for part in turn.parts)
            yield Turn(role, parts, members[0].field)
        else:
            yield from group


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the client runs. A custom tool has a `format` in Responses' form."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    format: Mapping[str, Any] | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """How the model is to use its tools."""

    mode: Literal["auto", "none", "any", "one"] = "auto"
    name: str | None = None
    """The tool of mode `one`."""
    custom: bool = False
    allowed: tuple[str, ...] | None = None
    """Only these of the tools; None is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    """Structured output; `schema` None is any JSON object."""

    schema: Mapping[str, Any] | None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request. None is: the client did not say."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool | None = None
    """Whether several calls may be made at once."""
    output: OutputFormat | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    effort: str | None = None
    show_thinking: bool | None = None
    """Whether the client wants to read a summary of the reasoning."""
    verbosity: str | None = None
    stream: bool = False
    include_usage: bool = False
    """Chat only: whether the client asked for usage in its stream."""
    user: str | None = None
    tier: str | None = None
    """OpenAI's service tier."""
    cache_key: str | None = None
    cache_all: bool = False
    """The whole prompt is to be cached (Anthropic's top-level `cache_control`)."""
    openai: Mapping[str, Any] = field(default_factory=dict)
    """Fields that both OpenAI dialects know by one name and that Anthropic does not know."""


Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole reply."""

    id: str
    model: str
    parts: tuple[Text | Refusal | Thinking | ToolCall, ...]
    finish: Finish
    created: int | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None
    usage_problems: tuple[str, ...] = ()
    tier: str | None = None
    dropped: tuple[str, ...] = ()
    """What the reply held that the client's dialect cannot be given, by name."""
