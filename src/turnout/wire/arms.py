"""What an arm (a model with an effort or an output limit) adds to a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.types import Candidate

_EFFORT = ("reasoning_effort", "reasoning")
_LIMIT = ("max_completion_tokens", "max_tokens")


def arm_fields(candidate: Candidate, request: Mapping[str, Any]) -> dict[str, Any]:
    """Fields to send for this candidate; a request that sets its own keeps it.

    Args:
        candidate: the one that is called.
        request: the fields that the client sent; null says nothing.
    """
    found: dict[str, Any] = {}
    if candidate.arm_effort is not None and _unset(request, _EFFORT):
        found["reasoning_effort"] = candidate.arm_effort
    if candidate.arm_output_tokens is not None and _unset(request, _LIMIT):
        found["max_completion_tokens"] = candidate.arm_output_tokens
    return found


def _unset(request: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(request.get(name) is None for name in names)
