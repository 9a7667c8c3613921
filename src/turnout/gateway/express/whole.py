"""A request that is answered in one piece."""

from __future__ import annotations

import time
from dataclasses import dataclass

from turnout.gateway.express.ride import Ride
from turnout.providers.http.connection import Connection
from turnout.wire.renaming import renamed_reply
from turnout.wire.usage import read_usage_of_reply

_JSON = "application/json"


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Whole(Ride):
    """Waits for a whole answer, and passes it on."""

    def look(self) -> None:
        """See `Ride`."""
        connection = self.connection
        if not (connection.complete or connection.lost or self._is_for_others(connection)):
            return
        self.taken.trail.upstream_s += time.perf_counter() - self.since
        content = connection.whole()
        if content is None or content.lstrip()[:1] != b"{" or not _is_plain(connection):
            self._hand_over(connection)
            return
        answer = self._answer_of(connection)
        self.way.sends.close(connection)
        self._answered()
        found = read_usage_of_reply("chat", content)
        answer.usage, answer.problems = found.reading.usage, found.reading.problems
        answer.model, answer.service = found.model, found.service
        answer.events = found.output_estimate
        self._keep_conversation(answer)
        if self.taken.shape.rename is not None:
            content = renamed_reply(content, self.taken.shape.rename)
        self.entry.end("ok", http_status=200, calls=1, answer=answer)
        self.taken.client.answer(self._lines(answer), content)
        self.taken.trail.begun, self.taken.trail.status = time.perf_counter(), 200
        self.taken.over(self.entry.record.id)

    def _is_for_others(self, connection: Connection) -> bool:
        """Whether an answer has begun that is not plain, or of which no more comes unless some is taken."""
        if not self.way.sends.begun(connection):
            return False
        return connection.held_up or not _is_plain(connection)


def _is_plain(connection: Connection) -> bool:
    """Whether an answer, by its head, only needs to be passed on and booked."""
    headers = connection.headers
    return (
        connection.status == 200
        and headers.get("content-type", "").startswith(_JSON)
        and "content-encoding" not in headers
    )
