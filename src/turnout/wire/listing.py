"""Lists of models in OpenAI's and in Anthropic's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """One model that a client may ask for."""

    id: str
    owner: str = "turnout"
    created: int = 0
    """Unix seconds."""
    context_tokens: int | None = None
    max_output_tokens: int | None = None


def wants_anthropic(headers: Mapping[str, str]) -> bool:
    """Whether a client reads Anthropic's form: its SDKs send `anthropic-version`.

    Args:
        headers: names in lower case.
    """
    return "anthropic-version" in headers


def list_models(models: Iterable[ListedModel], *, anthropic: bool) -> dict[str, Any]:
    """The reply of `GET /v1/models`: all of them on one page."""
    if not anthropic:
        return {"object": "list", "data": [model_entry(m, anthropic=False) for m in models]}
    data = [model_entry(m, anthropic=True) for m in models]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def model_entry(model: ListedModel, *, anthropic: bool) -> dict[str, Any]:
    """The reply of `GET /v1/models/{id}`."""
    if not anthropic:
        return {
            "id": model.id,
            "object": "model",
            "created": model.created,
            "owned_by": model.owner,
        }
    at = datetime.fromtimestamp(model.created, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": at.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }
