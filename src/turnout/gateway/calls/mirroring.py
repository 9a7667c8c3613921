"""A share of the traffic, sent to one more candidate in the background: what it would cost, how it does.

Its answers are read and thrown away. It has money of its own and a record of its own kind, tells nobody
who counts users' spend, and knows nothing of the health of upstreams that requests go by: whatever
becomes of it, no request is slower or fails.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from turnout.engine import Engine
from turnout.errors import SettingsError, TurnoutError, suggest
from turnout.execution import arun
from turnout.execution.resilience import Resilience
from turnout.gateway.calls.booking import Books
from turnout.gateway.calls.calling import Caller
from turnout.gateway.calls.recording import Recorder
from turnout.gateway.calls.request import Request
from turnout.gateway.http.headers import to_upstream
from turnout.policies.constraints import exclusions, most_cost_picousd
from turnout.providers.base import Provider
from turnout.settings import MirrorSettings
from turnout.store.ledger import Ledger
from turnout.store.record import Record, Status
from turnout.types import PICO, Candidate, Decision, Pool
from turnout.wire.body import Body
from turnout.wire.translate.target import Target as Rules

log = logging.getLogger("turnout.gateway")

_DAY_S = 86_400


@dataclass(slots=True)
class MirrorCounts:
    """What became of the requests that were drawn."""

    ok: int = 0
    failed: int = 0
    busy: int = 0
    """Not called: too many under way."""
    over_budget: int = 0
    """Not called: the day's money does not reach."""
    unfit: int = 0
    """Not called: the candidate cannot serve such a request."""


def mirrored(given: MirrorSettings, pool: Pool) -> Candidate:
    """The candidate that is called beside the others.

    Raises:
        SettingsError: there is no such candidate, or it has no price.
    """
    if given.to not in pool.names:
        names = pool.names
        remedy = f"name one of the candidates: {', '.join(names)}.{suggest(given.to, names)}"
        raise SettingsError("mirror.to", given.to, remedy)
    if pool[given.to].price is None:
        remedy = "give this candidate a price: what is mirrored has a budget"
        raise SettingsError("mirror.to", given.to, remedy)
    return pool[given.to]


class Mirror:
    """Calls one more candidate for a share of the requests. One for a process; not for threads.

    Args:
        given: to whom, how often, for how much.
        engine: knows the candidate.
        providers: by name, open.
        rules: candidate → what its model takes of a translated request.
        resilience: of its own.
        ledger: keeps records; None keeps none.
        rng: draws.
        clock: seconds since 1970.

    Raises:
        SettingsError: there is no such candidate, or it has no price.
    """

    def __init__(
        self,
        given: MirrorSettings,
        *,
        engine: Engine,
        providers: Mapping[str, Provider],
        rules: Mapping[str, Rules],
        resilience: Resilience,
        ledger: Ledger | None,
        rng: random.Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._candidate = mirrored(given, engine.pool)
        self._given, self._engine = given, engine
        self._providers, self._rules, self._resilience = providers, rules, resilience
        self._recorder = Recorder(ledger=ledger, books=Books(engine.pool), observers=(self,))
        self._rng, self._clock = rng, clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._most_picousd = round(given.budget_usd_per_day * PICO)
        self._day, self._spent, self._reserved = 0, 0, 0
        self.counts = MirrorCounts()

    def offer(self, request: Request, decision: Decision, served: str) -> None:
        """A request has been answered: mirror it, if it is drawn and there is room and money.

        Args:
            request: as it came.
            decision: as it was made.
            served: the candidate that answered.
        """
        if served == self._given.to or self._rng.random() >= self._given.share:
            return
        if exclusions(request.query, [self._candidate]):
            self.counts.unfit += 1
        elif len(self._tasks) >= self._given.most_at_once:
            self.counts.busy += 1
        elif not self._affords(cost := most_cost_picousd(request.query, self._candidate) or 0):
            self.counts.over_budget += 1
        else:
            self._reserved += cost
            task = asyncio.create_task(self._run(request, decision, cost))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def state(self) -> dict[str, Any]:
        """JSON-ready: what has become of it."""
        self._new_day()
        return {
            "to": self._given.to,
            **asdict(self.counts),
            "spent_usd_today": self._spent / PICO,
            "budget_usd_per_day": self._given.budget_usd_per_day,
        }

    def take_over(self, before: Mirror) -> None:
        """Go on counting where another one stops, whose last calls still end on their own."""
        self.counts, self._day, self._spent = before.counts, before._day, before._spent

    async def close(self) -> None:
        """Cut off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def ended(self, record: Record) -> None:
        """See `Observer`: what it cost is spent, whenever it was begun."""
        self._new_day()
        self._spent += record.cost_picousd or 0
        if record.status == "ok":
            self.counts.ok += 1
        else:
            self.counts.failed += 1

    def _affords(self, cost: int) -> bool:
        self._new_day()
        return self._spent + self._reserved + cost <= self._most_picousd

    def _new_day(self) -> None:
        today = int(self._clock() // _DAY_S)
        if today != self._day:
            self._day, self._spent = today, 0

    async def _run(self, request: Request, decision: Decision, cost: int) -> None:
        """A task's edge: nothing comes out of it."""
        try:
            await self._call(request, decision)
        except Exception as error:  # noqa: BLE001
            # Not the message: an error that is not ours may quote the prompt.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a mirrored call failed with %s\n%s", type(error).__name__, where)
        finally:
            self._reserved -= cost

    async def _call(self, request: Request, decision: Decision) -> None:
        name = self._given.to
        made = self._engine.by_name(request.query, name)
        entry = self._recorder.begin(request, made, kind="mirror", of=decision.id)
        caller = Caller(
            pool=self._engine.pool,
            providers=self._providers,
            rules=self._rules,
            dialect=request.dialect,
            body=_unstreamed(request.body),
            headers=_headers(request),
            input_tokens=request.query.input_tokens,
            trail=entry.trail,
        )
        http_status, answer = 0, None
        status: Status = "failed"
        try:
            answer = await arun(made, caller, self._resilience.plan())
            status, http_status = "ok", answer.status
        except TurnoutError as error:
            log.info("%s: mirrored to %s: %s", decision.id, name, error)
        finally:
            entry.end(status, http_status=http_status, calls=len(caller.made), answer=answer)


def _headers(request: Request) -> dict[str, str]:
    """Without the key by which an upstream would take this call for the other one."""
    given = to_upstream(request.call.headers)
    return {name: value for name, value in given.items() if name != "idempotency-key"}


def _unstreamed(body: Body) -> Body:
    """The request for a whole answer: nobody reads a stream here."""
    for name in ("stream", "stream_options"):
        if name in body.fields:
            body = body.without(name)
    return body
