"""One request on the express way, from the moment that it is sent upstream: what all have in common."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from turnout.errors import UpstreamError
from turnout.execution.resilience import Resilience
from turnout.gateway.calls.begun import Begun
from turnout.gateway.calls.calling import Answer, UnderWay
from turnout.gateway.calls.recording import Entry
from turnout.gateway.express.place import Place
from turnout.gateway.express.shapes import Shape, Way
from turnout.gateway.http.headers import answer_headers, header_lines, new_request_id, to_client
from turnout.gateway.http.protocol import Served
from turnout.observe.logs import safe_traceback
from turnout.observe.trail import Trail
from turnout.providers.base import Reply
from turnout.providers.http.connection import Connection
from turnout.types import Decision

log = logging.getLogger("turnout.gateway")


class Client(Protocol):
    """The connection that a request came over."""

    def answer(self, lines: bytes, content: bytes) -> None:
        """Write a whole answer with status 200; the next request may come.

        Args:
            lines: its headers, but for those that say how the body is framed and who serves.
            content: its body.
        """
        ...

    def hand_over(self, begun: Begun | None) -> None:
        """Let the request be ended by the application, or served by it from the start."""
        ...

    def goes_on(self, served: Served) -> None:
        """The request, which was decided meanwhile, is served by this from now on."""
        ...

    def begin(self, lines: bytes, content: bytes) -> None:
        """Write the beginning of an answer in pieces with status 200, and the first of them."""
        ...

    def piece(self, content: bytes) -> bool:
        """Write a piece; False: the client does not read so fast, and nothing was written."""
        ...

    def last(self, content: bytes) -> None:
        """Write the last piece and the end of the answer; the next request may come."""
        ...

    def fail(self) -> None:
        """Answer that something went wrong here, or break the answer off, and hear no more."""
        ...


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Ride:
    """Waits for the answer to one request, and passes it on."""

    place: Place
    client: Client
    resilience: Resilience
    shape: Shape
    way: Way
    decision: Decision
    """Its id is the record's."""
    explained: bytes
    """The headers that explain it."""
    headers: Mapping[str, str]
    """What its client is told of its limits."""
    text: str
    input_tokens: int
    trail: Trail
    entry: Entry
    connection: Connection
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
            # Not the message: an error that is not ours may quote the prompt.
            log.error("request failed with %s", safe_traceback(error))
            self._cut()
            self.client.fail()
            self.place.over(self.trail, self.entry.record.id)

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
        self._cut()
        self.entry.end("left", http_status=0, calls=1)
        self.place.left(self.trail, self.entry.record.id)

    def end(self) -> None:
        """This process ends, and its time for running answers is over."""
        self._cut()
        self.place.over(self.trail, self.entry.record.id)

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
        """Where a router chose, who answers has the conversation from here on."""
        routed = self.shape.routed
        if routed is None:
            return
        query = self.shape.query(self.text, self.input_tokens)
        self.place.serving.conversing.keep(
            self.entry.record.session, None, query, answer, routed.route, self.decision.model
        )

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
        self.client.hand_over(
            begun(self.place, self.shape, self.decision, self.headers, self.entry, self.trail, call)
        )


def begun(
    place: Place,
    shape: Shape,
    decision: Decision,
    headers: Mapping[str, str],
    entry: Entry,
    trail: Trail,
    call: UnderWay | None,
) -> Begun:
    """A request for the application to end."""
    if decision.id != entry.record.id:
        decision = replace(decision, id=entry.record.id)
    return Begun(
        identity=shape.who,
        decision=decision,
        headers=headers,
        output_tokens=shape.admits.limit_sent,
        rename=shape.rename,
        route="" if shape.routed is None else shape.routed.route,
        entry=entry,
        trail=trail,
        call=call,
        on=place.serving.go_on,
        release=place.leave,
    )
