"""What a decision says of a candidate that was asked for by its name: it follows from a request's size."""

from __future__ import annotations

import secrets
from typing import NamedTuple, TypeVar

from turnout.explaining import named_decision
from turnout.gateway.calls.recording import kept_line
from turnout.gateway.http.headers import decision_headers, header_lines
from turnout.types import Candidate, Decision, Query

_STANDS_IN = f"dec_{secrets.token_hex(16)}"
"""For a decision's id."""
MOST_SIZES = 4096
"""Sizes of requests, by candidate, of which it is kept what follows from them."""

T = TypeVar("T", str, bytes)


class Facts(NamedTuple):
    """What follows from the number of a request's input tokens."""

    decision: Decision
    """With an id that stands in for its own."""
    kept: tuple[str, str]
    """The decision as it is recorded, around its id."""
    told: tuple[bytes, bytes]
    """The headers that explain it, around its id."""


class FactsTable:
    """Makes decisions for candidates that are asked for by their names, each from one of the same size."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, int | None, int], Facts] = {}

    def of(self, candidate: Candidate, max_output_tokens: int | None, input_tokens: int) -> Facts:
        """What a request of this size says.

        Args:
            candidate: who serves.
            max_output_tokens: that the request asks for, if any.
            input_tokens: of it, as estimated.
        """
        key = (candidate.name, max_output_tokens, input_tokens)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_SIZES:
                self._known.clear()
            query = Query(text="", input_tokens=input_tokens, max_output_tokens=max_output_tokens)
            found = self._known[key] = _facts(query, candidate)
        return found


def _facts(query: Query, candidate: Candidate) -> Facts:
    decision = named_decision(query, candidate, decision_id=_STANDS_IN)
    told = explained(decision)
    return Facts(
        decision, _around(kept_line(decision), _STANDS_IN), _around(told, _STANDS_IN.encode())
    )


def explained(decision: Decision) -> bytes:
    """The headers that explain a decision whose first attempt answered."""
    return header_lines(decision_headers(decision))


def _around(text: T, what: T) -> tuple[T, T]:
    before, _, after = text.partition(what)
    return before, after
