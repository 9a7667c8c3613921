"""`POST /v1/feedback`: a score for a decision, some time after its answer."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from turnout.errors import RequestError, StoreError, UnknownDecisionError
from turnout.gateway.http.asgi import Call
from turnout.gateway.setup.building import open_store
from turnout.settings import StoreSettings
from turnout.store.feedback import Feedback, FeedbackTable
from turnout.store.ledger import may_hold
from turnout.store.records import RecordTable
from turnout.wire.body import read_body
from turnout.wire.reading import kind

log = logging.getLogger("turnout.gateway")

MOST_BYTES = 16_384
_ID = re.compile(r"dec_[0-9a-f]{16}(?:[0-9a-f]{8})?\Z", re.ASCII)
_SOURCE = re.compile(r"[A-Za-z0-9_.:/@-]{0,64}\Z", re.ASCII)
_UNKNOWN = (
    "no such decision is kept here; give what x-turnout-decision-id of an answer said (what "
    "/v1/route decides is not kept), to a gateway of the store that kept it. If another machine "
    "answered just now, send this again in a few seconds"
)
_KNOWN = ("decision_id", "score", "source", "comment")


class FeedbackDesk:
    """Takes feedback in, over a connection of its own.

    Args:
        store: where it is kept, with the records of the decisions that it may be about.
    """

    def __init__(self, store: StoreSettings) -> None:
        self._store, self._turn = store, threading.Lock()
        self._tables: tuple[FeedbackTable, RecordTable] | None = None

    def open(self) -> tuple[FeedbackTable, RecordTable]:
        """Its tables, opened where they are not.

        Raises:
            StoreError: the database cannot be opened.
        """
        with self._turn:
            if self._tables is None:
                database = open_store(self._store)
                try:
                    self._tables = FeedbackTable(database), RecordTable(database)
                except BaseException:
                    database.close()
                    raise
            return self._tables

    async def take(self, call: Call, *, key: str = "") -> None:
        """Keep one score and say so.

        Raises:
            RequestError: the request makes no sense.
            UnknownDecisionError: nothing is known of such a decision.
            StoreError: the database failed.
        """
        body = read_body(await call.body(MOST_BYTES))
        feedback = read_feedback(body.fields, key=key, now_ms=time.time_ns() // 1_000_000)
        replaced = await asyncio.to_thread(self._keep, feedback)
        said = {"decision_id": feedback.decision, "score": feedback.score, "replaced": replaced}
        await call.answer_json(said)

    def _keep(self, feedback: Feedback) -> bool:
        table, records = self.open()
        known = (
            records.has(feedback.decision)
            or may_hold(self._store.journal_folder, feedback.decision)
            or records.has(feedback.decision)  # it may have gone from one to the other meanwhile
        )
        if not known:
            raise UnknownDecisionError("decision_id", feedback.decision, _UNKNOWN)
        return table.put(feedback)

    def close(self) -> None:
        """Close its connection."""
        if self._tables is not None:
            self._tables[0].close()


def open_desk(store: StoreSettings) -> FeedbackDesk:
    """A desk, with its tables open unless the database is away: then they are opened when it is back.

    Raises:
        StoreError: the database cannot be used.
    """
    desk = FeedbackDesk(store)
    try:
        desk.open()
    except StoreError as error:
        if not error.away:
            raise
        log.error("no feedback is taken until the database is there: %s", error)
    return desk


def read_feedback(fields: Mapping[str, Any], *, key: str, now_ms: int) -> Feedback:
    """The score of a request: `{"decision_id", "score", "source", "comment"}`; the comment is not kept.

    Raises:
        RequestError: names the field, what is wrong and what to do.
    """
    for name in fields:
        if name not in _KNOWN:
            raise RequestError(name[:64], kind(fields[name]), f"give {', '.join(_KNOWN)} alone")
    decision, source, score = (fields.get(n) for n in ("decision_id", "source", "score"))
    if not isinstance(decision, str) or not _ID.match(decision):
        remedy = "give what x-turnout-decision-id of the answer said, such as dec_0123456789abcdef"
        raise RequestError("decision_id", kind(decision), remedy)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise RequestError("score", kind(score), "give a number from 0 to 1")
    if source is not None and not (isinstance(source, str) and _SOURCE.match(source)):
        remedy = "give up to 64 letters, digits and _ . : / @ -, such as thumbs or grader-2"
        raise RequestError("source", kind(source), remedy)
    return Feedback(
        decision=decision, score=float(score), source=source or "", key=key, at_ms=now_ms
    )
