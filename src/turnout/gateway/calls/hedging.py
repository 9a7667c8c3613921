"""Hedged requests: the second call's money, and the record of the call that lost."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from turnout.access.gate import Access
from turnout.errors import AccessDownError, UpstreamError
from turnout.execution.attempts import Plan, Try
from turnout.execution.hedging import HedgeRules, Hedges, arun_hedged
from turnout.gateway.calls.calling import Answer, Caller
from turnout.gateway.calls.recording import Entry, Recorder
from turnout.gateway.calls.request import Request
from turnout.settings import CandidateSettings
from turnout.store.record import Record
from turnout.types import Decision

if TYPE_CHECKING:
    from turnout.gateway.calls.embedding import EmbeddingCaller

log = logging.getLogger("turnout.gateway")


def hedge_rules(candidates: tuple[CandidateSettings, ...]) -> dict[str, HedgeRules]:
    """The rules of the candidates that have some."""
    return {
        c.name: HedgeRules(
            after_s=None if isinstance(c.hedge.after, str) else c.hedge.after * 1e-3,
            share=c.hedge.share,
            spares=c.hedge.spares,
        )
        for c in candidates
        if c.hedge is not None
    }


class Hedging:
    """Makes the calls of requests whose candidate may be hedged.

    Args:
        hedges: when a call is slow.
        access: reserves for a second call what was reserved for the first.
        recorder: of the gateway; the call that lost has a record of its own in its ledger.
    """

    def __init__(self, hedges: Hedges, access: Access, recorder: Recorder) -> None:
        self.hedges, self._access = hedges, access
        self._recorder = Recorder(
            ledger=recorder.ledger, books=recorder.books, observers=(access, self)
        )
        self.counts: Counter[str] = Counter()
        """Second calls by what became of them: `won`, `lost`, `unpaid`."""
        self.cost_picousd = 0
        """Of the calls whose answers were not used; estimates among it."""

    async def run(
        self,
        request: Request,
        decision: Decision,
        caller: Caller | EmbeddingCaller,
        plan: Plan,
        reserved_picousd: int | None,
    ) -> Answer:
        """As `turnout.execution.arun`."""
        pair = _Pair(self, request, decision, caller, reserved_picousd)
        answer: Answer = await arun_hedged(
            decision, caller, plan, self.hedges, pair, stream=request.stream
        )
        pair.settle(answer)
        return answer

    def take_over(self, old: Hedging) -> None:
        """Go on counting where another one stops."""
        self.hedges.take_over(old.hedges)
        self.counts, self.cost_picousd = old.counts, old.cost_picousd

    def ended(self, record: Record) -> None:
        """See `Observer`."""
        self.cost_picousd += record.cost_picousd or 0

    async def reserve(self, decision: Decision, second_id: str) -> bool:
        """Whether the budgets that a request comes under have room for a second call."""
        try:
            paid = await self._access.also(decision.id, second_id)
        except AccessDownError as error:
            log.warning("%s: no second call: %s", decision.id, error)
            paid = False
        if not paid:
            self.counts["unpaid"] += 1
        return paid

    def begin(
        self, request: Request, decision: Decision, second: Try, reserved_picousd: int | None
    ) -> Entry:
        """The record of one of two calls, under an id of its own."""
        made = replace(decision, id=second_id(decision), attempts=(second.attempt,))
        return self._recorder.begin(request, made, reserved_picousd, kind="hedge", of=decision.id)


def second_id(decision: Decision) -> str:
    """The id of the record of the call that is not used; a request has one at most."""
    return f"{decision.id}-hedge"


class _Pair:
    """The two calls of one request. Implements `Beside`."""

    def __init__(
        self,
        hedging: Hedging,
        request: Request,
        decision: Decision,
        caller: Caller | EmbeddingCaller,
        reserved_picousd: int | None,
    ) -> None:
        self._hedging, self._request, self._decision = hedging, request, decision
        self._caller, self._reserved_picousd = caller, reserved_picousd
        self._entry: Entry | None = None
        self._first_attempt = request.call.trail.attempt
        self._second: Try | None = None

    async def may(self, second: Try) -> bool:
        """See `Beside`."""
        decision = self._decision
        if not await self._hedging.reserve(decision, second_id(decision)):
            return False
        self._first_attempt = self._request.call.trail.attempt
        self._second = second
        self._entry = self._hedging.begin(self._request, decision, second, self._reserved_picousd)
        return True

    def lost(self, call: Try, result: object) -> None:
        """See `Beside`."""
        if self._entry is None:
            return
        entry, target = self._entry, call.target
        entry.record = replace(entry.record, candidate=target.candidate, provider=target.provider)
        self.close(result)
        if isinstance(result, Answer):
            entry.end("ok", http_status=result.status, calls=1, answer=result)
        elif isinstance(result, UpstreamError):
            entry.end("failed", http_status=result.status or 0, calls=1)
        else:
            # A provider may go on with what was cut off, and bill it.
            entry.end("left", http_status=0, calls=0 if result is not None else 1)
        won = call is not self._second
        self._hedging.counts["won" if won else "lost"] += 1
        log.info("%s: two calls, the %s one answered", self._decision.id,
                 "second" if won else "first")  # fmt: skip

    def close(self, result: object) -> None:
        """See `Beside`."""
        if isinstance(result, Answer) and result.reply is not None:
            result.reply.close()

    def settle(self, answer: Answer) -> None:
        """One of them answered: name it last among those that were called, and in the trace."""
        made, trail = self._caller.made, self._request.call.trail
        if self._second is None:
            return
        if answer.candidate in made:
            made.remove(answer.candidate)
            made.append(answer.candidate)
        if answer.target != self._second.target.key and self._first_attempt is not None:
            trail.attempt = self._first_attempt
