"""What writing an `Ask` for Chat Completions and for Responses has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.errors import TranslationError
from turnout.wire.reading import Kind
from turnout.wire.translate.fields import Notes
from turnout.wire.translate.media import user_id
from turnout.wire.translate.neutral import Ask, CacheMark, ToolChoice
from turnout.wire.translate.target import Target


def common(ask: Ask, target: Target, notes: Notes) -> dict[str, Any]:
    """The fields that both dialects write alike."""
    body: dict[str, Any] = {"model": target.model}
    if ask.top_k is not None:
        raise TranslationError("top_k", ask.top_k, "leave it out, or use a model that takes it")
    body |= sampling(ask, target, notes)
    if ask.parallel is not None:
        body["parallel_tool_calls"] = ask.parallel
    if ask.user is not None:
        body["user"] = user_id(ask.user)
        if body["user"] != ask.user:
            notes.add("metadata.user_id", "hashed: OpenAI takes 64 characters")
    if ask.tier is not None:
        body["service_tier"] = ask.tier
    if ask.cache_key is not None:
        body["prompt_cache_key"] = ask.cache_key
    if ask.cache_all:
        notes.add("cache_control", "left out: OpenAI caches by itself")
    body |= ask.openai
    return body


def sampling(ask: Ask, target: Target, notes: Notes) -> dict[str, Any]:
    """Temperature and top_p, where the model takes them."""
    given = {"temperature": ask.temperature, "top_p": ask.top_p}
    found = {name: value for name, value in given.items() if value is not None}
    if target.sampling:
        return found
    for name in found:
        notes.add(name, f"left out: {target.model} does not take it")
    return {}


def effort(ask: Ask, target: Target, notes: Notes) -> str | None:
    """The reasoning effort, where the model reasons."""
    if ask.effort is None or target.thinking != "none":
        return ask.effort
    if ask.effort != "none":
        notes.add("reasoning effort", f"left out: {target.model} does not reason")
    return None


def cache_point(cache: CacheMark | None, native: bool, notes: Notes) -> dict[str, Any]:
    """OpenAI's breakpoint, for a mark that came from OpenAI's other dialect."""
    if cache is None:
        return {}
    if not native:
        notes.add("cache_control", "left out: OpenAI caches by itself")
        return {}
    ttl = "12h" if cache == "long" else "30m"
    return {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": ttl}}


def choice(given: ToolChoice, *, nested: bool) -> str | dict[str, Any]:
    """A `tool_choice`; Chat nests what Responses writes flat."""
    words = {"auto": "auto", "none": "none", "any": "required"}
    if given.allowed is not None:
        tools = [_named(name, "function", nested) for name in given.allowed]
        inner = {"mode": words[given.mode], "tools": tools}
        form = {"type": "allowed_tools"}
        return {**form, "allowed_tools": inner} if nested else {**form, **inner}
    if given.mode == "one":
        return _named(given.name or "", "custom" if given.custom else "function", nested)
    return words[given.mode]


def _named(name: str, form: str, nested: bool) -> dict[str, Any]:
    return {"type": form, form: {"name": name}} if nested else {"type": form, "name": name}


def schema_of(output_schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A tool's parameters, which the other API may leave out."""
    return output_schema if output_schema else {"type": "object", "properties": {}}


def missing(field: str, what: str, api: str) -> TranslationError:
    """The error for a part that an API has no place for."""
    return TranslationError(field, Kind(what), f"use a model that speaks another API than {api}")
