"""OpenAI's embeddings requests and replies, as far as a gateway reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import RequestError
from turnout.types import estimate_tokens
from turnout.wire.reading import Kind, kind
from turnout.wire.usage import UsageReading, read_embedding_usage

PATH = "/embeddings"
"""Where it is served, behind `/v1`."""

MOST_INPUTS = 2_048
"""Inputs that OpenAI takes in one request."""

_EXAMPLE = 'give a text, a list of texts, or token ids, such as "input": ["Hello"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingQuery:
    """What is to be embedded."""

    count: int
    """Vectors that are asked for."""
    input_tokens: int
    """Estimated for texts, exact for token ids."""
    exact: bool
    """Whether `input_tokens` counts token ids."""
    base64: bool
    """Whether the vectors are asked for in base64, as OpenAI's SDK does."""


def read_embeddings(body: Mapping[str, Any]) -> EmbeddingQuery:
    """Read an embeddings request; unknown fields are left alone.

    Raises:
        RequestError: the input is missing, empty, or neither texts nor token ids. Its text never
            appears in the error.
    """
    given = body.get("input")
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        value = kind(given) if "input" in body else Kind("a missing field")
        raise RequestError("input", value, _EXAMPLE)
    if not given or "" in given:
        raise RequestError("input", Kind("an empty text or list"), _EXAMPLE)
    if all(_is_id(item) for item in given):
        given = [given]
    if len(given) > MOST_INPUTS:
        remedy = f"give at most {MOST_INPUTS} inputs"
        raise RequestError("input", Kind(f"a list of {len(given)}"), remedy)
    sizes = [_size(item, i) for i, item in enumerate(given)]
    return EmbeddingQuery(
        count=len(sizes),
        input_tokens=sum(sizes),
        exact=all(isinstance(item, list) for item in given),
        base64=body.get("encoding_format") == "base64",
    )


def read_embeddings_reply(body: bytes) -> tuple[UsageReading, str | None]:
    """What a reply says that it used, and the model that it names.

    The vectors are not parsed: of a long reply only what stands before and after them is searched,
    where every server has its counts.
    """
    usage = model = None
    if len(body) <= _PARSED_BYTES:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if isinstance(given, Mapping):
            usage, model = given.get("usage"), given.get("model")
    else:
        around = body[:_EDGE_BYTES] + b"\n" + body[-_EDGE_BYTES:]
        usage, model = _found(_USAGE, around), _found(_MODEL, around)
    return read_embedding_usage(usage), model if isinstance(model, str) else None


_PARSED_BYTES = 32_768
_EDGE_BYTES = 4_096
_USAGE = re.compile(rb'"usage"\s*:\s*(\{(?:[^{}]|\{[^{}]*\})*\})')
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')


def _found(pattern: re.Pattern[bytes], text: bytes) -> Any:
    found = pattern.search(text)
    try:
        return None if found is None else json.loads(found[1])
    except ValueError:
        return None


def _is_id(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and item >= 0


def _size(item: Any, index: int) -> int:
    if isinstance(item, str):
        return estimate_tokens(item)
    if isinstance(item, list) and item and all(map(_is_id, item)):
        return len(item)
    raise RequestError(f"input[{index}]", kind(item), _EXAMPLE)
