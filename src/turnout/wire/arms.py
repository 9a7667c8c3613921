"""What an arm (a model with an effort or an output limit) adds to a request, in its dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.types import Candidate
from turnout.wire.dialects import Dialect

_EFFORT: Mapping[Dialect, tuple[str, ...]] = {
    "chat": ("reasoning_effort", "reasoning"),
    "responses": ("reasoning",),
    "messages": ("thinking", "output_config"),
}
"""Fields by which a request says something of reasoning itself."""
_LIMIT: Mapping[Dialect, tuple[str, ...]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}


def arm_fields(
    candidate: Candidate, request: Mapping[str, Any], dialect: Dialect = "chat"
) -> dict[str, Any]:
    """Fields to send for this candidate; a request that sets its own keeps it.

    Args:
        candidate: the one that is called.
        request: the fields that the client sent; null says nothing.
        dialect: the request's.
    """
    found: dict[str, Any] = {}
    effort, limit = candidate.arm_effort, candidate.arm_output_tokens
    if effort is not None and _unset(request, _EFFORT[dialect]):
        found |= _effort(effort, dialect)
    if limit is not None and _unset(request, _LIMIT[dialect]):
        found[_LIMIT[dialect][0]] = limit
    return found


def _effort(effort: str, dialect: Dialect) -> dict[str, Any]:
    if dialect == "chat":
        return {"reasoning_effort": effort}
    if dialect == "responses":
        return {"reasoning": {"effort": effort}}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    return {"output_config": {"effort": "low" if effort == "minimal" else effort}}


def _unset(request: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(request.get(name) is None for name in names)
