"""What serves requests that are like those before them, under one set of settings."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TypeAlias

from turnout.access.counters import Hold
from turnout.access.gate import rate_headers
from turnout.access.identity import Identity
from turnout.access.memory import MemoryCounters
from turnout.errors import TurnoutError
from turnout.gateway.express.heads import Head
from turnout.gateway.express.place import Place
from turnout.gateway.express.ride import Client, Ride
from turnout.gateway.express.shapes import Facts, Shape, Shaping
from turnout.gateway.serving import Serving
from turnout.observe.trail import Trail
from turnout.providers.http.connection import Connection
from turnout.store.record import Record
from turnout.wire import chat
from turnout.wire.one_message import Said, take_apart

MOST_SHAPES = 512
MOST_SEEN = 4096
"""Requests of which only a mark is kept: the second that is like one of them is worth a look."""
PATH = "/chat/completions"

_Key: TypeAlias = tuple[tuple[bytes, bytes], str, str]


def lane_of(serving: Serving) -> Lane | None:
    """The express way of what serves; None where each request needs more than that does."""
    more = (serving.mirror, serving.cache, serving.semantic, serving.alarm, serving.hedging,
            serving.catalog.shadow, serving.conversing.sharing)  # fmt: skip
    if any(one is not None for one in more):
        return None
    if not isinstance(serving.access.counters, MemoryCounters):
        return None
    return Lane(serving)


@dataclass(slots=True)
class Found:
    """A request that can go at once."""

    shape: Shape
    said: Said
    input_tokens: int
    connection: Connection


@dataclass(slots=True)
class Lane:
    """Serves requests over a `Serving`."""

    serving: Serving
    _shaping: Shaping = field(init=False)
    _shapes: dict[_Key, Shape | None] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        serving = self.serving
        self._shaping = Shaping(
            engine=serving.engine,
            providers=serving.providers,
            catalog=serving.catalog,
            resilience=serving.resilience,
            access=serving.access,
        )

    def look(self, head: Head, body: bytes) -> Found | None:
        """A request that is like others before it, if all that it needs is there. It changes nothing."""
        if len(body) > self.serving.max_body_bytes:
            return None
        try:
            said = take_apart(body.decode())
        except UnicodeDecodeError:
            return None
        if said is None:
            return None
        try:
            who = self.serving.access.keyring.identify_by(head.hashed)
            shape = self._shape(head, who, said)
        except TurnoutError:
            return None  # it is refused by those who have the words for it
        if shape is None or not self.serving.resilience.is_fit(shape.target):
            return None
        connection = shape.sends.idle()
        if connection is None:
            return None
        return Found(shape, said, chat.plain_tokens(said.text), connection)

    def _shape(self, head: Head, who: Identity | None, said: Said) -> Shape | None:
        key = (head.key, said.before, said.after)
        try:
            shape = self._shapes[key]
        except KeyError:
            pass
        else:
            if shape is None or shape.who is who:
                return shape
        mark = hash(key)
        if mark not in self._seen:
            if len(self._seen) >= MOST_SEEN:
                self._seen.clear()
            self._seen.add(mark)
            return None
        if len(self._shapes) >= MOST_SHAPES:
            self._shapes.clear()
        shape = self._shapes[key] = self._shaping.shape_of(head, who, said)
        return shape

    def send(self, found: Found, place: Place, client: Client, trail: Trail) -> Ride | None:
        """Send a request upstream; None where a limit is reached, and nothing was done."""
        shape, tokens = found.shape, found.input_tokens
        facts, decision_id = shape.facts(tokens), self.serving.engine.new_id()
        hold = self._reserve(shape, facts, decision_id, tokens)
        if hold is None:
            shape.sends.close(found.connection)
            return None
        decision = facts.decision
        trail.path = PATH
        trail.decided(self.serving.catalog.named(shape.model), decision.router, decision.model)
        record = self._record(found, facts, decision_id)
        recorder, resilience = self.serving.recorder, self.serving.resilience
        ride = Ride(
            place=place,
            client=client,
            resilience=resilience,
            shape=shape,
            facts=facts,
            headers=rate_headers(hold) if shape.limits else {},
            trail=trail,
            entry=recorder.open(record, trail, facts.expected_picousd),
            connection=found.connection,
            began=resilience.begin_at(shape.target),
            since=time.perf_counter(),
        )
        before, after = shape.around
        content = b"%b%b%b" % (before, found.said.written.encode(), after)
        shape.sends.send(found.connection, content, ride.told)
        return ride

    def _reserve(self, shape: Shape, facts: Facts, decision_id: str, tokens: int) -> Hold | None:
        if not shape.limits:
            return _NO_HOLD
        found = shape.counters.take(
            decision_id,
            shape.limits,
            cost=facts.most_picousd or 0,
            tokens=tokens + shape.output_tokens,
        )
        if not isinstance(found, Hold):
            return None
        self.serving.access.keep(found)
        return found

    def _record(self, found: Found, facts: Facts, decision_id: str) -> Record:
        """As `Recorder.begin` makes it."""
        shape, decision = found.shape, facts.decision
        reserved, (before, after) = facts.most_picousd, facts.kept
        return Record(
            id=decision_id,
            at_ms=time.time_ns() // 1_000_000,
            status="unknown",
            key=shape.key,
            model=shape.model,
            router=decision.router,
            candidate=decision.model,
            code=decision.code,
            input_tokens=found.input_tokens,
            cost_picousd=reserved,
            cost_basis="none" if reserved is None else "reserved",
            session=shape.session_of(found.said.text),
            decision=f"{before}{decision_id}{after}" if self.serving.recorder.ledger else "",
        )


_NO_HOLD = Hold("", (), (), (), ())
