"""The arguments of a chat call ⇄ the JSON body that the SDK will make of them.

The SDK takes more than JSON: messages that are replies of an earlier call, iterators, pydantic
classes as `response_format`, `NOT_GIVEN`. Routing reads the JSON body, so it is made here; what is
sent is the caller's own arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.types import Query
from turnout.wire.chat import read_query


def settled(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments with iterators read out, so that they can be read more than once."""
    return {k: list(v) if isinstance(v, Iterator) else v for k, v in request.items()}


def query_of(request: Mapping[str, Any]) -> Query:
    """What the arguments of a chat call ask for.

    Raises:
        RequestError: messages that no upstream could serve.
    """
    return read_query({k: _plain(v) for k, v in given_fields(request).items()})


def given_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the body that a call's arguments say, `extra_body` among them."""
    fields = {**request, **(request.get("extra_body") or {})}
    return {k: v for k, v in fields.items() if not _is_absent(v)}


def _plain(value: Any) -> Any:
    """JSON of a value: pydantic models become mappings, a class stands for its JSON schema."""
    if inspect.isclass(value):
        return {"type": "json_schema", "json_schema": {"name": value.__name__}}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _is_absent(value: Any) -> bool:
    """Whether a value is one of the SDK's marks for "not given" (the SDK is not imported here)."""
    kind = type(value)
    return kind.__module__.startswith("openai.") and kind.__name__ in ("NotGiven", "Omit")
