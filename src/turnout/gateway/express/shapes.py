"""What requests have in common that differ in their text alone: all that a choice by name needs.

Everything here is made by what serves other requests, once, with something that stands in for the text
or for an id; what is made for each request is put where that stands.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from turnout.access.gate import Access
from turnout.access.identity import Identity
from turnout.access.limits import Limit
from turnout.access.memory import MemoryCounters
from turnout.access.worst import Asked, CostRule
from turnout.engine import Engine
from turnout.execution.attempts import Target
from turnout.execution.resilience import Resilience
from turnout.explaining import kept_decision, named_decision
from turnout.gateway.calls.calling import limited_arm_fields
from turnout.gateway.calls.redirecting import check_upstream_is_ours
from turnout.gateway.calls.request import asked_model
from turnout.gateway.express.heads import Head
from turnout.gateway.http.headers import answer_headers, decision_headers, header_lines
from turnout.gateway.routing.models import Catalog
from turnout.providers.base import Provider
from turnout.providers.endpoint import AtOnce, HttpProvider
from turnout.store.record import json_line
from turnout.types import Candidate, Decision, Query
from turnout.wire import chat
from turnout.wire.asks import FIELD, NOTHING, read_asks
from turnout.wire.dialects import PATHS
from turnout.wire.one_message import Frame, Said, frame_of
from turnout.wire.session import by_first_text, session_key

_STANDS_IN = f"dec_{secrets.token_hex(16)}"
"""For a decision's id."""
T = TypeVar("T", str, bytes)

MOST_FACTS = 512
"""Numbers of input tokens of which it is kept what follows from them."""


class Facts(NamedTuple):
    """What follows from the number of a request's input tokens."""

    decision: Decision
    """With an id that stands in for its own."""
    kept: tuple[str, str]
    """The decision as it is recorded, around its id."""
    told: tuple[bytes, bytes]
    """The headers that explain it, around its id."""
    expected_picousd: Mapping[str, int | None]
    most_picousd: int | None
    """The most that it can cost; None where no budget asks."""

    def decided(self, decision_id: str) -> Decision:
        """The decision of this id."""
        return replace(self.decision, id=decision_id)


@dataclass(slots=True, kw_only=True)
class Shape:
    """Requests of one caller, for one candidate by its name, that differ in their text alone."""

    who: Identity | None
    key: str
    """The id of the caller's key; empty where none is asked for."""
    model: str
    candidate: Candidate
    target: Target
    sends: AtOnce
    around: tuple[bytes, bytes]
    """What goes upstream, around the content."""
    session_of: Callable[[str], str]
    """Text → the id of its conversation."""
    counters: MemoryCounters
    limits: tuple[Limit, ...]
    cost: CostRule | None
    """None where no budget asks."""
    output_tokens: int
    """What its answer takes of a limit of tokens until its usage is known."""
    limit_sent: int | None
    """The output limit that is sent to a candidate of which none is known."""
    rename: str | None
    query: Query
    """Of an empty text."""
    _facts: dict[int, Facts] = field(default_factory=dict)

    def facts(self, input_tokens: int) -> Facts:
        """What follows from so many input tokens."""
        found = self._facts.get(input_tokens)
        if found is None:
            if len(self._facts) >= MOST_FACTS:
                self._facts.clear()
            found = self._facts[input_tokens] = self._new(input_tokens)
        return found

    def _new(self, input_tokens: int) -> Facts:
        query = replace(self.query, input_tokens=input_tokens)
        decision = named_decision(query, self.candidate, decision_id=_STANDS_IN)
        kept = json_line(kept_decision(decision)).decode()
        headers = {**decision_headers(decision), **answer_headers([self.candidate.name])}
        told = header_lines(headers)
        return Facts(
            decision,
            _around(kept, _STANDS_IN),
            _around(told, _STANDS_IN.encode()),
            decision.expected_cost_picousd,
            None
            if self.cost is None
            else self.cost.most_picousd(Asked(query, 0).most_input_tokens()),
        )


def _around(text: T, what: T) -> tuple[T, T]:
    before, _, after = text.partition(what)
    return before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """Finds out what requests have in common."""

    engine: Engine
    providers: Mapping[str, Provider]
    catalog: Catalog
    resilience: Resilience
    access: Access

    def shape_of(self, head: Head, who: Identity | None, said: Said) -> Shape | None:
        """What requests have in common with this one; None where each is to be looked at by itself.

        Raises:
            TurnoutError: such requests are refused.
        """
        frame = frame_of(said)
        if frame is None:
            return None
        fields = frame.body.fields
        check_upstream_is_ours(fields)
        if FIELD in fields or fields.get("stream") is True:
            return None
        if read_asks(head.headers, fields) is not NOTHING:
            return None
        model = asked_model(fields)
        barred = self.access.barred(who, model)
        if self.catalog.experiment(model) is not None:
            return None
        candidate = self.catalog.resolve(model)
        if not isinstance(candidate, Candidate) or candidate.name in barred:
            return None
        return self._named(head, who, frame, model, candidate)

    def _named(
        self, head: Head, who: Identity | None, frame: Frame, model: str, candidate: Candidate
    ) -> Shape | None:
        fields, key = frame.body.fields, "" if who is None else who.id
        target = self.resilience.only(candidate.name)
        provider = None if target is None else self.providers[target.provider]
        if target is None or not isinstance(provider, HttpProvider) or provider.dialect != "chat":
            return None
        session_of = by_first_text(key)
        said = chat.first_user_text(fields)
        if session_of(said) != session_key("chat", frame.body, head.headers, scope=key).id:
            return None  # something else tells of its conversation
        sends = provider.at_once(PATHS["chat"], candidate=candidate.name, headers=head.onward)
        query = replace(chat.read_query(fields), text="", input_tokens=0)
        asked = Asked.of(query, fields, 0)
        counted = self.access.at_once(who, asked, candidate.name)
        if sends is None or counted is None:
            return None
        counters, limits, cost = counted
        limit_sent = None if cost is None else self.access.limit_sent(query)
        arm = limited_arm_fields(candidate, fields, "chat", limit_sent)
        return Shape(
            who=who,
            key=key,
            model=model,
            candidate=candidate,
            target=target,
            sends=sends,
            around=frame.around({"model": target.model, **arm}),
            session_of=session_of,
            counters=counters,
            limits=limits,
            cost=cost,
            output_tokens=asked.usual_output_tokens(),
            limit_sent=limit_sent,
            rename=model if self.catalog.as_requested else None,
            query=query,
        )
