"""A request that is answered by a stream of events."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from turnout.errors import UpstreamError
from turnout.gateway.calls.calling import Answer
from turnout.gateway.calls.passing import Passing, Renamed, Untouched
from turnout.gateway.calls.relay import EVENTS, is_stream
from turnout.gateway.express.ride import Ride
from turnout.providers.http.connection import Connection
from turnout.store.record import Status

log = logging.getLogger("turnout.gateway")


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Streamed(Ride):
    """Waits until the content of a stream begins, then passes pieces on where they arrive."""

    passing: Passing | None = None
    answer: Answer | None = None
    """Once its content has begun."""
    seen: int = 0
    """Pieces that were looked at before."""
    held: list[bytes] = field(default_factory=list)
    """The client's bytes of them."""
    left: bytes = b""
    """What its client has not taken yet."""

    def look(self) -> None:
        """See `Ride`."""
        connection, answer = self.connection, self.answer
        if answer is None:
            self._begin(connection)
        elif self.left or not self.taken.client.reads():
            pass  # it may leave before it has read all: see `writable`
        elif connection.complete:
            self._end(answer, connection.rest() or b"", None)
        elif connection.lost is not None:
            self._end(answer, connection.take(), self.way.sends.error(connection.lost))

    def _begin(self, connection: Connection) -> None:
        """Nothing has gone to the client: whatever is no plain stream is handed over whole."""
        if not (self.way.sends.begun(connection) or connection.lost):
            return
        if connection.lost or connection.complete or not _is_plain(connection):
            self._give_up(connection)
            return
        passing = self.passing
        if passing is None:
            passing = self.passing = self._new_passing()
        fresh, self.seen = connection.fresh(self.seen)
        if fresh:
            self.held.append(passing.feed(fresh))
        if passing.answered:
            connection.take()
            self._answer(connection, passing, b"".join(self.held))
        elif passing.ended or connection.held_up:
            self._give_up(connection)

    def _new_passing(self) -> Passing:
        passing = Untouched("chat", hide_usage=self.way.hide_usage)
        name = self.taken.shape.rename
        return passing if name is None else Renamed(passing, "chat", name)

    def _give_up(self, connection: Connection) -> None:
        self.taken.trail.upstream_s += time.perf_counter() - self.since
        self._hand_over(connection)

    def _answer(self, connection: Connection, passing: Passing, content: bytes) -> None:
        """The content has begun."""
        self.taken.trail.upstream_s += time.perf_counter() - self.since
        answer = self.answer = self._answer_of(connection)
        answer.passing, self.held = passing, []
        self._answered()
        self._keep_conversation(answer)
        answer.passed(content)
        lines = self._lines(answer, **{"content-type": EVENTS})
        self.taken.client.begin(lines, content)
        self.taken.trail.begun, self.taken.trail.status = time.perf_counter(), 200
        connection.hand_on(self.take)

    def take(self, chunk: bytes) -> bool:
        """Pass a piece on; see `Connection.hand_on`."""
        passing, answer = self.passing, self.answer
        assert passing is not None and answer is not None  # noqa: PT018 - it has begun
        try:
            data = passing.feed(chunk)
            if not data:
                return True
            answer.passed(data)
            if self.taken.client.piece(data):
                return True
            self.left = data
        except Exception as error:  # noqa: BLE001 - the process edge; its trace is logged
            self._fail(error)
        return False

    def writable(self) -> None:
        """See `Ride`."""
        if self.answer is None:
            return
        if self.left:
            if not self.taken.client.piece(self.left):
                return
            self.left = b""
            self.connection.hand_on(self.take)
        self.told()

    def _end(self, answer: Answer, rest: bytes, error: UpstreamError | None) -> None:
        """As `relay_stream` does."""
        passing = self.passing
        assert passing is not None
        self.way.sends.close(self.connection)
        status: Status = "partial"
        last = passing.feed(rest) if rest else b""
        if error is not None:
            log.warning("stream broke off: %s", error)
            answer.passed(last)
            last += passing.fail(error)
        else:
            end = passing.end(answer.candidate)
            if passing.ended:
                status, last = "ok", last + end
                answer.passed(last)
            else:
                answer.passed(last)
                last += end
                log.warning("stream of %s ended before its answer was complete", answer.candidate)
        self.entry.end(status, http_status=200, calls=1, answer=answer)
        self.taken.client.last(last)
        self.taken.over(self.entry.record.id)

    def gone(self) -> None:
        """See `Ride`."""
        if self.answer is None:
            Ride.gone(self)
            return
        log.info("client left during the stream of %s; upstream cut off", self.answer.candidate)
        self._cut()
        self.entry.end("left", http_status=200, calls=1, answer=self.answer)
        self.taken.over(self.entry.record.id)

    def end(self) -> None:
        """See `Ride`."""
        if self.answer is not None:
            self.entry.end("partial", http_status=200, calls=1, answer=self.answer)
        Ride.end(self)


def _is_plain(connection: Connection) -> bool:
    """Whether an answer is a stream of events that is only to be passed on."""
    return connection.status == 200 and is_stream(connection.headers)
