"""The decision that a reply carries: `reply.turnout`, or `decision_of(reply)` for type checkers.

The SDK's reply types keep what they send in pydantic fields and extras; an attribute set beside
those is in neither, so `model_dump`, `to_json`, `repr` and `==` do not see it, and copies keep it.
The SDK keeps its own request id the same way.
"""

from __future__ import annotations

from typing import TypeVar

from turnout.errors import InputError
from turnout.types import Decision

ATTRIBUTE = "turnout"

T = TypeVar("T")


def attach(reply: T, decision: Decision) -> T:
    """The same reply, carrying its decision."""
    object.__setattr__(reply, ATTRIBUTE, decision)  # past pydantic, which would make it a field
    return reply


def decision_of(reply: object) -> Decision:
    """The decision behind what a `Controller` returned (a completion, a stream) or raised.

    The same as `reply.turnout`, with a type that checkers know. Of errors, those of an upstream
    carry one.

    Raises:
        InputError: the reply did not come from a `Controller`, or was rebuilt from its JSON.
    """
    found = getattr(reply, ATTRIBUTE, None)
    if not isinstance(found, Decision):
        remedy = "give a reply or a stream that a Controller returned"
        raise InputError("reply", type(reply).__name__, remedy)
    return found
