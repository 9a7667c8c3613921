"""What an arm (a model with an effort or an output limit) adds to a request, in its dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.types import Candidate
from turnout.wire.dialects import Dialect
from turnout.wire.efforts import ANTHROPIC_EFFORTS

_LIMITS: Mapping[Dialect, tuple[str, ...]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
"""The fields that limit the output; the first is the one to set."""


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
    if candidate.arm_effort is not None:
        found |= _EFFORTS[dialect](candidate.arm_effort, request)
    limits = _LIMITS[dialect]
    if candidate.arm_output_tokens is not None and _unset(request, limits):
        found[limits[0]] = candidate.arm_output_tokens
    return found


def _chat_effort(effort: str, request: Mapping[str, Any]) -> dict[str, Any]:
    unset = _unset(request, ("reasoning_effort", "reasoning"))
    return {"reasoning_effort": effort} if unset else {}


def _responses_effort(effort: str, request: Mapping[str, Any]) -> dict[str, Any]:
    given = request.get("reasoning")
    given = given if isinstance(given, Mapping) else {}
    return {"reasoning": {**given, "effort": effort}} if _unset(given, ("effort",)) else {}


def _messages_effort(effort: str, request: Mapping[str, Any]) -> dict[str, Any]:
    given = request.get("output_config")
    given = given if isinstance(given, Mapping) else {}
    if not _unset(request, ("thinking",)) or not _unset(given, ("effort",)):
        return {}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    asked = effort if effort in ANTHROPIC_EFFORTS else "low"
    return {"thinking": {"type": "adaptive"}, "output_config": {**given, "effort": asked}}


_EFFORTS = {"chat": _chat_effort, "responses": _responses_effort, "messages": _messages_effort}


def _unset(request: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(request.get(name) is None for name in names)
