"""One request on the express way, from the moment that it is sent upstream."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from turnout.errors import UpstreamError
from turnout.execution.resilience import Resilience
from turnout.gateway.calls.begun import Begun
from turnout.gateway.calls.calling import Answer, UnderWay
from turnout.gateway.calls.recording import Entry
from turnout.gateway.express.place import Place
from turnout.gateway.express.shapes import Routed, Shape, Way
from turnout.gateway.http.headers import answer_headers, header_lines, new_request_id, to_client
from turnout.gateway.http.protocol import Served
from turnout.observe.logs import safe_traceback
from turnout.observe.trail import Trail
from turnout.providers.base import Reply
from turnout.providers.http.connection import Connection
from turnout.types import Decision
from turnout.wire.renaming import renamed_reply
from turnout.wire.usage import read_usage_of_reply

log = logging.getLogger("turnout.gateway")

_JSON = "application/json"


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

    def fail(self) -> None:
        """Answer that something went wrong here, and hear no more."""
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
        """Something has come from upstream, or nothing will any more."""
        connection = self.connection
        if not (connection.complete or connection.lost or self._is_for_others(connection)):
            return
        self.trail.upstream_s += time.perf_counter() - self.since
        try:
            content = connection.whole()
            if content is None or content.lstrip()[:1] != b"{" or not self._plain(connection):
                self._hand_over(connection)
            else:
                headers = connection.headers
                self.way.sends.close(connection)
                self.calling = False
                self.resilience.answered_at(self.way.target, self.began)
                self._answer(headers, content)
        except Exception as error:  # noqa: BLE001 - the process edge; its trace is logged
            # Not the message: an error that is not ours may quote the prompt.
            log.error("request failed with %s", safe_traceback(error))
            self._cut()
            self.client.fail()
            self.trail.begun, self.trail.status = time.perf_counter(), 500
            self.place.over(self.trail, self.entry.record.id)

    def _is_for_others(self, connection: Connection) -> bool:
        """Whether an answer has begun that is not plain, or of which no more comes unless some is taken."""
        if not self.way.sends.begun(connection):
            return False
        return connection.held_up or not self._plain(connection)

    def gone(self) -> None:
        """Its client has left: the call is cut off."""
        self.trail.upstream_s += time.perf_counter() - self.since
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

    def _plain(self, connection: Connection) -> bool:
        """Whether an answer, by its head, only needs to be passed on and booked."""
        headers = connection.headers
        return (
            connection.status == 200
            and headers.get("content-type", "").startswith(_JSON)
            and "content-encoding" not in headers
        )

    def _answer(self, headers: Mapping[str, str], content: bytes) -> None:
        target = self.way.target
        found = read_usage_of_reply("chat", content)
        answer = Answer(
            candidate=target.candidate,
            provider=target.provider,
            target=target.key,
            status=200,
            headers=headers,
            asked=target.model,
            usage=found.reading.usage,
            problems=found.reading.problems,
            model=found.model,
            service=found.service,
            events=found.output_estimate,
            first_byte_s=self.resilience.clock() - self.began,
        )
        if self.shape.routed is not None:
            self._keep_conversation(self.shape.routed, answer)
        if self.shape.rename is not None:
            content = renamed_reply(content, self.shape.rename)
        self.entry.end("ok", http_status=200, calls=1, answer=answer)
        named = answer.named
        lines = self._lines(headers, named if named != answer.asked else "")
        self.client.answer(lines, content)
        self.trail.begun, self.trail.status = time.perf_counter(), 200
        self.place.over(self.trail, self.entry.record.id)

    def _keep_conversation(self, routed: Routed, answer: Answer) -> None:
        """A router chose: who answers has the conversation from here on."""
        query = self.shape.query(self.text, self.input_tokens)
        self.place.serving.conversing.keep(
            self.entry.record.session, None, query, answer, routed.route, self.decision.model
        )

    def _lines(self, headers: Mapping[str, str], other_model: str) -> bytes:
        """The headers of the answer, as `Serving` gives them."""
        told = {"x-request-id": new_request_id(), **to_client(headers), **self.headers}
        lines = header_lines(told) + self.explained
        if other_model:
            lines += header_lines(answer_headers((), other_model=other_model))
        return lines

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
