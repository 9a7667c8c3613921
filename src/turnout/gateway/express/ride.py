"""One request on the express way, from the moment that it is sent upstream: what all have in common."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from turnout.errors import UpstreamError
from turnout.execution.resilience import Resilience
from turnout.gateway.calls.calling import Answer, UnderWay
from turnout.gateway.calls.recording import Entry
from turnout.gateway.express.shapes import Way
from turnout.gateway.express.taken import Taken
from turnout.gateway.http.headers import answer_headers, header_lines, new_request_id, to_client
from turnout.observe.logs import safe_traceback
from turnout.providers.base import Reply
from turnout.providers.http.connection import Connection
from turnout.types import Decision

log = logging.getLogger("turnout.gateway")


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Ride:
    """Waits for the answer to one request, and passes it on."""

    taken: Taken
    way: Way
    decision: Decision
    """But for its id, which the record has."""
    explained: bytes
    """The headers that explain it."""
    headers: Mapping[str, str]
    """What its client is told of its limits."""
    entry: Entry
    connection: Connection
    resilience: Resilience
    began: float
    """When the call began, by the clock of `Resilience`."""
    since: float
    """When it was sent, by `time.perf_counter`."""
    calling: bool = True
    """Nobody was told yet what came of the call."""

    def told(self) -> None:
        """Something has come from upstream, or nothing will any more. It never raises."""
        try:
            self.look()
        except Exception as error:  # noqa: BLE001 - the process edge; its trace is logged
            self._fail(error)

    def look(self) -> None:
        """What is to be done about what has come."""
        raise NotImplementedError

    def _held_up(self, connection: Connection) -> bool:
        """Whether an answer has begun of which no more comes unless some is taken."""
        return self.way.sends.begun(connection) and connection.held_up

    def writable(self) -> None:
        """Its client takes more again."""

    def gone(self) -> None:
        """Its client has left: the call is cut off."""
        if self.calling:
            self.taken.trail.upstream_s += time.perf_counter() - self.since
        self._cut()
        self.entry.end("left", http_status=0, calls=1)
        self.taken.left(self.entry.record.id)

    def end(self) -> None:
        """This process ends, and its time for running answers is over."""
        self._cut()
        self.taken.over(self.entry.record.id)

    def _fail(self, error: Exception) -> None:
        """A bug: its client must not wait for ever."""
        # Not the message: an error that is not ours may quote the prompt.
        log.error("request failed with %s", safe_traceback(error))
        self._cut()
        self.taken.client.fail()
        trail = self.taken.trail
        if not trail.status:
            trail.begun, trail.status = time.perf_counter(), 500
        self.taken.over(self.entry.record.id)

    def _cut(self) -> None:
        self.way.sends.close(self.connection)
        if self.calling:
            self.calling = False
            self.resilience.dropped_at(self.way.target)

    def _answered(self) -> None:
        """The call was answered."""
        self.calling = False
        self.resilience.answered_at(self.way.target, self.began)

    def _answer_of(self, connection: Connection) -> Answer:
        """What a candidate gave, without its content."""
        target = self.way.target
        return Answer(
            candidate=target.candidate,
            provider=target.provider,
            target=target.key,
            status=connection.status,
            headers=connection.headers,
            asked=target.model,
            first_byte_s=self.resilience.clock() - self.began,
        )

    def _keep_conversation(self, answer: Answer) -> None:
        """Who answers has the conversation from here on. See `Conversing.answered`."""
        taken, routed = self.taken, self.taken.shape.routed
        conversing = taken.serving.conversing
        if routed is None and conversing.leaves_nothing(answer.candidate):
            return
        query = taken.query or taken.shape.query(taken.said.text, taken.input_tokens)
        route, wanted = ("", "") if routed is None else (routed.route, self.decision.model)
        conversing.keep(self.entry.record.session, None, query, answer, route, wanted)

    def _lines(self, answer: Answer, **more: str) -> bytes:
        """The headers of the answer, as `Serving` gives them."""
        to = to_client(answer.headers)
        lines = header_lines({"x-request-id": new_request_id(), **to, **more, **self.headers})
        named = answer.named
        if not named or named == answer.asked:
            return lines + self.explained
        return lines + self.explained + header_lines(answer_headers((), other_model=named))

    def _hand_over(self, connection: Connection) -> None:
        """Anything but a plain answer is for those who know what to do about it."""
        sends = self.way.sends
        if sends.begun(connection):
            result: Reply | UpstreamError = sends.reply(connection)
        else:
            sends.close(connection)
            result = sends.error(connection.lost)
        self.calling = False  # who takes over tells of it
        call = UnderWay(result, self.way.target, self.began)
        begun = self.taken.begun(self.decision, self.headers, self.entry, call)
        self.taken.client.hand_over(begun)
