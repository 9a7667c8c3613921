"""What is kept of a request: begun when it is decided, ended before its client sees the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from turnout.explaining import kept_decision
from turnout.gateway.booking import Books
from turnout.gateway.calling import Answer
from turnout.gateway.request import Request
from turnout.observe.trail import Trail
from turnout.store.ledger import Ledger
from turnout.store.record import Kind, Record, Status, json_line
from turnout.types import Decision, Usage

log = logging.getLogger("turnout.gateway")


class Observer(Protocol):
    """Counts requests: metrics, budgets, spans. It is quick, and never raises."""

    def began(self, record: Record) -> None:
        """A request has been decided; its record is still `unknown`."""
        ...

    def ended(self, record: Record) -> None:
        """A request is over, with its status, its tokens and its cost."""
        ...


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Writes records, and shows them to those who count.

    Args:
        ledger: open; None keeps nothing.
        books: prices what was used.
        observers: told of each record as it begins and as it ends.
    """

    ledger: Ledger | None
    books: Books
    observers: Sequence[Observer] = ()

    def begin(
        self,
        request: Request,
        decision: Decision,
        reserved_picousd: int | None = None,
        *,
        kind: Kind = "request",
        of: str = "",
    ) -> Entry:
        """A request has been decided.

        Args:
            request: as it came.
            decision: what was decided.
            reserved_picousd: the most that it can cost, where a budget asked for it.
            kind: what it is.
            of: the id of the request that it is sent beside, where it is no user's own.
        """
        record = Record(
            id=decision.id,
            at_ms=time.time_ns() // 1_000_000,
            status="unknown",
            key=request.key,
            model=request.model,
            router=decision.router,
            candidate=decision.model,
            code=decision.code,
            stream=request.stream,
            input_tokens=request.query.input_tokens,
            cost_picousd=reserved_picousd,
            cost_basis="none" if reserved_picousd is None else "reserved",
            session=request.session,
            decision=json_line(kept_decision(decision)).decode() if self.ledger else "",
            kind=kind,
            of=of,
        )
        if self.ledger is not None:
            self.ledger.begin(record)
        for observer in self.observers:
            observer.began(record)
        trail = Trail() if kind != "request" else request.call.trail
        return Entry(self, record, trail, decision.expected_cost_picousd)

    def end(self, record: Record) -> None:
        """A request is over: kept first, then counted."""
        if self.ledger is not None:
            self.ledger.end(record)
        for observer in self.observers:
            observer.ended(record)


@dataclass(slots=True)
class Entry:
    """One request under way."""

    recorder: Recorder
    record: Record
    trail: Trail
    expected_picousd: Mapping[str, int | None]
    """Candidate → what a call was expected to cost."""
    _start: float = field(default_factory=time.monotonic)
    _ended: bool = False

    def end(
        self, status: Status, *, http_status: int, calls: int, answer: Answer | None = None
    ) -> None:
        """It is over; what comes after the first end changes nothing."""
        if self._ended:
            return
        self._ended = True
        record = replace(
            self.record,
            status=status,
            http_status=http_status,
            calls=calls,
            duration_ms=round((time.monotonic() - self._start) * 1e3),
            **self._unanswered(status, calls),
        )
        if answer is not None:
            record = self._answered(record, answer)
            self.trail.model = record.candidate
        self.trail.record = record
        self.recorder.end(record)

    def _unanswered(self, status: Status, calls: int) -> dict[str, Any]:
        """The cost where there is no answer.

        A call that its client gave up goes on at some providers, and is billed: what was expected of
        it counts. An error is not billed.
        """
        cost = self.expected_picousd.get(self.record.candidate)
        if status == "left" and calls and cost is not None:
            return {"cost_picousd": cost, "cost_basis": "estimate"}
        return {"cost_picousd": None, "cost_basis": "none"}

    def hit(self, candidate: str, *, http_status: int, saved_picousd: int | None) -> None:
        """It was answered from the cache, with what `candidate` once said: nothing was used."""
        self._ended = True
        record = replace(
            self.record,
            status="ok",
            http_status=http_status,
            candidate=candidate,
            input_tokens=0,
            cost_picousd=0,
            cost_basis="cache",
            saved_picousd=saved_picousd,
            duration_ms=round((time.monotonic() - self._start) * 1e3),
        )
        self.trail.model, self.trail.record = candidate, record
        self.recorder.end(record)

    def _answered(self, record: Record, answer: Answer) -> Record:
        passing = answer.passing
        usage = answer.usage if passing is None else passing.usage
        problems = answer.problems if passing is None else passing.problems
        service = answer.service if passing is None else passing.service
        if problems:
            log.warning("%s: counts not believed: %s", record.id, "; ".join(problems))
        estimate = Usage(input_tokens=record.input_tokens, output_tokens=answer.events)
        refused = usage is None
        broken = passing is not None and not passing.ended
        if usage is not None and broken and usage.output_tokens < answer.events:
            # Counted when the stream began, as Anthropic does: more has come since.
            estimate = replace(usage, output_tokens=answer.events)
            usage = None
        booked = self.recorder.books.book(
            answer.candidate,
            usage,
            estimate=estimate,
            asked=answer.asked,
            named=answer.named,
            service=service,
        )
        flags = list(booked.flags)
        if problems:
            flags.append("usage_refused" if refused else "usage_doubted")
        usage = usage or estimate
        return replace(
            record,
            candidate=answer.candidate,
            provider=answer.provider,
            upstream_model=answer.named,
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_picousd=booked.cost_picousd,
            cost_basis=booked.basis,
            service=service,
            flags=" ".join(flags),
            first_byte_ms=round(answer.first_byte_s * 1e3),
        )
