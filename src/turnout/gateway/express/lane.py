"""What serves requests that are like those before them, under one set of settings."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TypeAlias

from turnout.access.gate import Reserved
from turnout.access.identity import Identity
from turnout.access.memory import MemoryCounters
from turnout.errors import TurnoutError
from turnout.gateway.calls.recording import Entry
from turnout.gateway.express.facts import FactsTable, explained
from turnout.gateway.express.heads import Head
from turnout.gateway.express.ride import Ride
from turnout.gateway.express.shapes import Shape, Shaping, Way
from turnout.gateway.express.streamed import Streamed
from turnout.gateway.express.taken import Taken
from turnout.gateway.express.whole import Whole
from turnout.gateway.http.ways import Served
from turnout.gateway.serving import Serving
from turnout.observe.logs import safe_traceback
from turnout.providers.http.connection import Connection
from turnout.types import Candidate, Decision, Query
from turnout.wire.one_message import Said, take_apart

log = logging.getLogger("turnout.gateway")

MOST_SHAPES = 256
MOST_CHARACTERS = 8192
"""Of what a shape's requests have in common: shapes are kept."""
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
class Lane:
    """Serves requests over a `Serving`."""

    serving: Serving
    _shaping: Shaping = field(init=False)
    _shapes: dict[_Key, Shape | None] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _facts: FactsTable = field(default_factory=FactsTable)

    def __post_init__(self) -> None:
        serving = self.serving
        self._shaping = Shaping(
            engine=serving.engine,
            providers=serving.providers,
            catalog=serving.catalog,
            access=serving.access,
        )

    def look(self, head: Head, body: bytes) -> tuple[Shape, Said, int, Query | None] | None:
        """A request that is like others before it, and may be decided now. It changes nothing.

        Returns:
            What it has in common with them, what it says, its input tokens, and its query where a
            router is to be asked; None: it is for the application.
        """
        if len(body) > self.serving.max_body_bytes:
            return None
        try:
            said = take_apart(body.decode())
        except UnicodeDecodeError:
            return None
        if said is None or len(said.before) + len(said.after) > MOST_CHARACTERS:
            return None
        try:
            who = self.serving.access.keyring.identify_by(head.hashed)
            shape = self._shape(head, who, said)
        except TurnoutError:
            return None  # it is refused by those who have the words for it
        if shape is None:
            return None
        tokens = shape.input_tokens(said.text)
        if shape.routed is None:
            return shape, said, tokens, None
        query, key = shape.query(said.text, tokens), shape.routed.key
        if not self.serving.deciding.at_once(query, key[0]):
            return None
        return shape, said, tokens, query

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

    def begin(self, taken: Taken) -> Served | None:
        """Serve a request that `look` found; None where it is for the application, and nothing was done."""
        taken.trail.path, shape, query = PATH, taken.shape, taken.query
        if shape.named_candidate is not None:
            return self._named(taken, shape.named_candidate)
        if shape.routed is None or query is None:
            return None
        asking = Asking(self, taken)
        self.serving.deciding.ask(query, shape.routed.key, asking)
        return asking

    def _named(self, taken: Taken, candidate: Candidate) -> Ride | None:
        """A candidate was asked for by its name."""
        shape, tokens = taken.shape, taken.input_tokens
        free = self._free(shape, candidate.name)
        if free is None:
            return None
        way, connection = free
        known = self._facts.of(candidate, shape.like.max_output_tokens, tokens)
        decision_id = self.serving.engine.new_id()
        admitted = shape.admits.take(decision_id, (candidate.name,), tokens)
        if admitted is None:
            way.sends.close(connection)
            return None
        before, after = known.kept
        kept = f"{before}{decision_id}{after}" if self.serving.recorder.ledger else ""
        entry = self._open(taken, known.decision, decision_id, kept, admitted)
        start, end = known.told
        told = b"%b%b%b" % (start, decision_id.encode(), end)
        return self._send(taken, way, connection, known.decision, told, admitted, entry)

    def decided(self, taken: Taken, decision: Decision) -> None:
        """A router has chosen."""
        shape, client = taken.shape, taken.client
        if shape.routed is not None:
            decision = shape.routed.want.told(decision)
        names = [attempt.candidate for attempt in decision.attempts]
        admitted = None
        if shape.admits.any_fits(taken.input_tokens, but=names):
            admitted = shape.admits.take(decision.id, names, taken.input_tokens)
        if admitted is None:  # to choose again is for the application
            taken.leave()
            client.hand_over(None)
            return
        kept = self.serving.recorder.kept(decision)
        entry = self._open(taken, decision, decision.id, kept, admitted)
        free = self._free(shape, decision.model)
        if free is None:
            client.hand_over(taken.begun(decision, admitted.headers, entry, None))
            return
        told = explained(decision)
        client.goes_on(self._send(taken, *free, decision, told, admitted, entry))

    def _free(self, shape: Shape, candidate: str) -> tuple[Way, Connection] | None:
        """How a candidate is called now, and an open connection to it."""
        target = self.serving.resilience.pick(candidate)
        way = None if target is None else shape.way(target)
        connection = None if way is None else way.sends.idle()
        return None if way is None or connection is None else (way, connection)

    def _open(
        self,
        taken: Taken,
        decision: Decision,
        decision_id: str,
        kept: str,
        admitted: Reserved,
    ) -> Entry:
        """Note that a request has begun."""
        shape, recorder = taken.shape, self.serving.recorder
        taken.trail.decided(shape.named, decision.router, decision.model)
        log.debug("%s: %s serves (%s)", decision_id, decision.model, decision.code)
        return recorder.open(
            decision,
            taken.trail,
            decision_id=decision_id,
            kept=kept,
            key=shape.key,
            model=shape.model,
            stream=shape.stream,
            input_tokens=taken.input_tokens,
            session=shape.session_of(taken.said.text),
            reserved_picousd=admitted.reserved_picousd,
        )

    def _send(
        self,
        taken: Taken,
        way: Way,
        connection: Connection,
        decision: Decision,
        told: bytes,
        admitted: Reserved,
        entry: Entry,
    ) -> Ride:
        """Call the candidate."""
        resilience = self.serving.resilience
        ride = (Streamed if taken.shape.stream else Whole)(
            taken,
            way,
            decision,
            told,
            admitted.headers,
            entry,
            connection,
            resilience,
            resilience.begin_at(way.target),
            time.perf_counter(),
        )
        content = b"%b%b%b" % (way.before, taken.said.written.encode(), way.after)
        way.sends.send(connection, content, ride.told)
        return ride


@dataclass(slots=True)
class Asking:
    """A request whose router is asked: told of what it decides, and of a client that leaves."""

    lane: Lane
    taken: Taken
    left: bool = False

    def done(self) -> bool:
        """See `Decided`."""
        return self.left

    def set_result(self, decision: Decision, /) -> None:
        """See `Decided`."""
        if self.left:
            return
        try:
            self.lane.decided(self.taken, decision)
        except Exception as error:  # noqa: BLE001 - the process edge; its trace is logged
            # Not the message: an error that is not ours may quote the prompt.
            log.error("request failed with %s", safe_traceback(error))
            self.taken.client.fail()
            self.taken.over(decision.id)

    def set_exception(self, error: Exception, /) -> None:  # noqa: ARG002 - the application asks again
        """See `Decided`: what to say of it is for the application."""
        if not self.left:
            self.taken.leave()
            self.taken.client.hand_over(None)

    def gone(self) -> None:
        """See `Served`."""
        self.left = True
        self.taken.left("")

    def writable(self) -> None:
        """See `Served`."""

    def end(self) -> None:
        """See `Served`."""
        self.left = True
        self.taken.over("")
