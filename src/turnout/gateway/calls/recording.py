"""What is kept of a request: begun when it is decided, ended before its client sees the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from turnout.explaining import kept_decision
from turnout.gateway.calls.booking import Books
from turnout.gateway.calls.calling import Answer
from turnout.gateway.calls.request import Request
from turnout.observe.trail import Trail
from turnout.store.ledger import Ledger
from turnout.store.record import Kind, Record, Status, json_line
from turnout.types import Decision, Usage

log = logging.getLogger("turnout.gateway")


class Observer(Protocol):
    """Counts requests: metrics, budgets, spans. It is quick, and never raises."""

    def ended(self, record: Record) -> None:
        """A request is over, with its status, its tokens and its cost."""
        ...


@runtime_checkable
class EarlyObserver(Observer, Protocol):
    """One that counts requests when they begin, too."""

    def began(self, record: Record) -> None:
        """A request has been decided; its record is still `unknown`."""
        ...


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Writes records, and shows them to those who count.

    Args:
        ledger: open; None keeps nothing.
        books: prices what was used.
        observers: told of each record as it ends, some as it begins too.
    """

    ledger: Ledger | None
    books: Books
    observers: Sequence[Observer] = ()
    _early: Sequence[EarlyObserver] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._early = [one for one in self.observers if isinstance(one, EarlyObserver)]

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
        return self.open(
            decision,
            Trail() if kind != "request" else request.call.trail,
            decision_id=decision.id,
            kept=self.kept(decision),
            key=request.key,
            model=request.model,
            stream=request.stream,
            input_tokens=request.query.input_tokens,
            session=request.session,
            reserved_picousd=reserved_picousd,
            kind=kind,
            of=of,
        )

    def kept(self, decision: Decision) -> str:
        """A decision as it is recorded; empty where nothing is."""
        return kept_line(decision) if self.ledger else ""

    def open(
        self,
        decision: Decision,
        trail: Trail,
        *,
        decision_id: str,
        kept: str,
        key: str,
        model: str,
        stream: bool,
        input_tokens: int,
        session: str,
        reserved_picousd: int | None,
        kind: Kind = "request",
        of: str = "",
    ) -> Entry:
        """Note that a request has begun.

        Args:
            decision: what was decided, but for its id.
            trail: of the request.
            decision_id: of the decision.
            kept: the decision as it is recorded; empty where nothing is.
            key: id of the key that asks.
            model: what `model` says.
            stream: whether the answer is to come as a stream.
            input_tokens: of the request, as estimated.
            session: id of its conversation.
            reserved_picousd: the most that it can cost, where a budget asked for it.
            kind: what it is.
            of: the id of the request that it is sent beside, where it is no user's own.
        """
        record = Record(
            id=decision_id,
            at_ms=time.time_ns() // 1_000_000,
            status="unknown",
            key=key,
            model=model,
            router=decision.router,
            candidate=decision.model,
            code=decision.code,
            stream=stream,
            input_tokens=input_tokens,
            cost_picousd=reserved_picousd,
            cost_basis="none" if reserved_picousd is None else "reserved",
            session=session,
            decision=kept,
            kind=kind,
            of=of,
        )
        begun = 0 if self.ledger is None else self.ledger.begin(record)
        for observer in self._early:
            observer.began(record)
        return Entry(self, record, trail, decision.expected_cost_picousd, begun)

    def end(self, record: Record, begun: int) -> None:
        """A request is over: kept first, then counted.

        Args:
            record: of it.
            begun: where the ledger noted that it began.
        """
        if self.ledger is not None:
            self.ledger.end(record, begun)
        for observer in self.observers:
            observer.ended(record)


def kept_line(decision: Decision) -> str:
    """A decision as it is recorded: JSON on one line."""
    return json_line(kept_decision(decision)).decode()


@dataclass(slots=True)
class Entry:
    """One request under way."""

    recorder: Recorder
    record: Record
    trail: Trail
    expected_picousd: Mapping[str, int | None]
    """Candidate → what a call was expected to cost."""
    begun: int = 0
    """Where the ledger noted that it began."""
    _start: float = field(default_factory=time.monotonic)
    _ended: bool = False

    def end(
        self, status: Status, *, http_status: int, calls: int, answer: Answer | None = None
    ) -> None:
        """It is over; what comes after the first end changes nothing."""
        if self._ended:
            return
        record = self.record
        record.status, record.http_status, record.calls = status, http_status, calls
        if answer is None:
            self._unanswered(status, calls)
        else:
            self._answered(answer)
            self.trail.model = record.candidate
        self._over()

    def hit(self, candidate: str, *, http_status: int, saved_picousd: int | None) -> None:
        """It was answered from the cache, with what `candidate` once said: nothing was used."""
        record = self.record
        record.status, record.http_status, record.candidate = "ok", http_status, candidate
        record.input_tokens, record.cost_picousd, record.cost_basis = 0, 0, "cache"
        record.saved_picousd = saved_picousd
        self.trail.model = candidate
        self._over()

    def _over(self) -> None:
        self._ended = True
        record = self.record
        record.duration_ms = round((time.monotonic() - self._start) * 1e3)
        self.trail.record = record
        self.recorder.end(record, self.begun)

    def _unanswered(self, status: Status, calls: int) -> None:
        """The cost where there is no answer.

        A call that its client gave up goes on at some providers, and is billed: what was expected of
        it counts. An error is not billed.
        """
        record = self.record
        cost = self.expected_picousd.get(record.candidate)
        given_up = status == "left" and calls and cost is not None
        record.cost_picousd = cost if given_up else None
        record.cost_basis = "estimate" if given_up else "none"

    def _answered(self, answer: Answer) -> None:
        record, passing = self.record, answer.passing
        if passing is None:
            usage, problems, service = answer.usage, answer.problems, answer.service
        else:
            usage, problems, service = passing.usage, passing.problems, passing.service
        named = answer.named
        estimate = None
        if usage is None:
            estimate = Usage(input_tokens=record.input_tokens, output_tokens=answer.events)
        elif passing is not None and not passing.ended and usage.output_tokens < answer.events:
            # Counted when the stream began, as Anthropic does: more has come since.
            estimate = replace(usage, output_tokens=answer.events)
        booked = self.recorder.books.book(
            answer.candidate,
            usage if estimate is None else None,
            estimate=estimate,
            asked=answer.asked,
            named=named,
            service=service,
        )
        if booked.flags or problems:
            flags = list(booked.flags)
            if problems:
                log.warning("%s: counts not believed: %s", record.id, "; ".join(problems))
                flags.append("usage_refused" if usage is None else "usage_doubted")
            record.flags = " ".join(flags)
        used = usage if estimate is None else estimate
        assert used is not None  # where there is no usage there is an estimate
        writes = used.cache_write_5m_tokens + used.cache_write_1h_tokens
        record.candidate, record.provider = answer.candidate, answer.provider
        record.upstream_model, record.service = named, service
        record.input_tokens, record.output_tokens = used.input_tokens, used.output_tokens
        record.cache_read_tokens, record.cache_write_tokens = used.cache_read_tokens, writes
        record.cache_write_1h_tokens = used.cache_write_1h_tokens
        record.reasoning_tokens = used.reasoning_tokens
        record.cost_picousd, record.cost_basis = booked.cost_picousd, booked.basis
        record.first_byte_ms = round(answer.first_byte_s * 1e3)
