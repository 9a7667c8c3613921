"""What a decision says of a candidate that was asked for by its name: it follows from a request's size."""

from __future__ import annotations

import secrets
from typing import NamedTuple, TypeVar

from turnout.explaining import kept_decision, named_decision
from turnout.gateway.http.headers import answer_headers, decision_headers, header_lines
from turnout.store.record import json_line
from turnout.types import Candidate, Decision, Query

_STANDS_IN = f"dec_{secrets.token_hex(16)}"
"""For a decision's id."""
MOST_SIZES = 512
"""Numbers of input tokens of which it is kept what follows from them."""

T = TypeVar("T", str, bytes)


class Facts(NamedTuple):
    """What follows from the number of a request's input tokens."""

    decision: Decision
    """With an id that stands in for its own."""
    kept: tuple[str, str]
    """The decision as it is recorded, around its id."""
    told: tuple[bytes, bytes]
    """The headers that explain it, around its id."""


class KnownFacts:
    """Makes the decisions for one candidate and output limit, each from one of the same size."""

    __slots__ = ("_candidate", "_known", "_max_output_tokens")

    def __init__(self, candidate: Candidate, max_output_tokens: int | None) -> None:
        self._candidate, self._max_output_tokens = candidate, max_output_tokens
        self._known: dict[int, Facts] = {}

    @property
    def candidate(self) -> str:
        """Who serves."""
        return self._candidate.name

    def of(self, input_tokens: int) -> Facts:
        """What follows from so many input tokens."""
        found = self._known.get(input_tokens)
        if found is None:
            if len(self._known) >= MOST_SIZES:
                self._known.clear()
            found = self._known[input_tokens] = self._new(input_tokens)
        return found

    def _new(self, input_tokens: int) -> Facts:
        query = Query(text="", input_tokens=input_tokens, max_output_tokens=self._max_output_tokens)
        decision = named_decision(query, self._candidate, decision_id=_STANDS_IN)
        kept = json_line(kept_decision(decision)).decode()
        told = explained(decision)
        return Facts(decision, _around(kept, _STANDS_IN), _around(told, _STANDS_IN.encode()))


def explained(decision: Decision) -> bytes:
    """The headers that explain a decision whose first attempt answered."""
    return header_lines({**decision_headers(decision), **answer_headers([decision.model])})


def _around(text: T, what: T) -> tuple[T, T]:
    before, _, after = text.partition(what)
    return before, after
