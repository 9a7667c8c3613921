"""The way in: who asks, which candidates that leaves, what is reserved, and what it came to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from turnout.access.counters import Counters, Hold, Refusal
from turnout.access.identity import Identity
from turnout.access.keyring import Keyring
from turnout.access.limits import Limit, usd
from turnout.access.memory import MemoryCounters
from turnout.access.worst import Asked, CostRule, Costs
from turnout.errors import BudgetError, LimitError, NoCandidateError
from turnout.store.record import Record
from turnout.types import Decision, Query

log = logging.getLogger("turnout.access")


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Admitted:
    """A request that may go on."""

    decision: Decision
    reserved_picousd: int | None = None
    """The most that it can cost; None where no budget asks."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What its client is told of its limits."""
    output_tokens: int | None = None
    """The output limit to send to a candidate of which none is known; None: none."""


class Access:
    """Lets requests in, and settles them when they are over (`turnout.gateway` shows it records).

    Args:
        keyring: tells who asks.
        counters: count.
        costs: the most that requests can cost.
        embedding_costs: the same of requests for vectors.
        common: limits of all requests together.
        send_limit: output limit to send with requests under a budget that have none; None: none.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        counters: Counters,
        costs: Costs,
        embedding_costs: Costs | None = None,
        common: tuple[Limit, ...],
        send_limit: int | None = None,
    ) -> None:
        self.keyring, self.counters = keyring, counters
        self._costs, self._common, self._send_limit = costs, common, send_limit
        self._embedding_costs = embedding_costs or Costs((), 0)
        self._holds: dict[str, Hold] = {}
        self.refused: dict[str, int] = {}
        """Requests refused by a limit, by its kind (`usd`, `requests`, `tokens`, `concurrent`)."""

    def identify(self, headers: Mapping[str, str]) -> Identity | None:
        """Who asks. See `Keyring.identify`."""
        return self.keyring.identify(headers)

    def barred(self, who: Identity | None, model: str) -> Mapping[str, str]:
        """Candidates that a caller may not use, whatever they cost, and why.

        Raises:
            ForbiddenError: the caller may not ask for this model.
        """
        if who is None:
            return {}
        who.check_model(model)
        return who.out

    async def admit(
        self,
        who: Identity | None,
        model: str,
        asked: Asked,
        decide: Callable[[Mapping[str, str]], Awaitable[Decision]],
    ) -> Admitted:
        """Decide among the candidates that the caller may use and pay for, and reserve the most of it.

        Args:
            who: the caller.
            model: what it asks for.
            asked: the size of it.
            decide: decides, given candidates that may not serve, and why.

        Raises:
            ForbiddenError: the caller may not ask for this model.
            LimitError: a rate limit.
            BudgetError: no candidate that could serve is cheap enough for what is left.
            NoCandidateError: no candidate can serve it, or none may.
            AccessDownError: the counters cannot be reached.
        """
        out = self.barred(who, model)
        limits = self._common if who is None else who.limits
        ceiling = None if who is None else who.max_request_picousd
        budgets = bool(limits) and limits[-1].kind == "usd"  # budgets stand last
        if not budgets and ceiling is None:
            decision = await decide(out)
            return await self._reserve_rates(decision, limits, asked)
        costs = self._embedding_costs if asked.embeds else self._costs
        most = costs.most_picousd(asked)
        if ceiling is not None or costs.unpriced:
            out = {**_unpayable(most, ceiling), **out}
        return await self._within_budgets(limits, most, asked, out, decide)

    async def _reserve_rates(
        self, decision: Decision, limits: tuple[Limit, ...], asked: Asked
    ) -> Admitted:
        if not limits:
            return Admitted(decision)
        found = await self.counters.reserve(
            decision.id, limits, cost=0, tokens=asked.usual_tokens()
        )
        if isinstance(found, Refusal):
            raise self._refused(found)
        self._holds[decision.id] = found
        return Admitted(decision, None, rate_headers(found))

    async def _within_budgets(
        self,
        limits: tuple[Limit, ...],
        most: Mapping[str, int | None],
        asked: Asked,
        out: Mapping[str, str],
        decide: Callable[[Mapping[str, str]], Awaitable[Decision]],
    ) -> Admitted:
        """Decide, reserve, and decide again without what turned out too dear."""
        tight = self.counters.tightest(limits, max([cost or 0 for cost in most.values()]))
        dear = {} if tight is None else _too_dear(most, tight, out)
        while True:
            try:
                decision = await decide({**out, **dear} if dear else out)
            except NoCandidateError as error:
                blamed = [most[n] or 0 for n, why in dear.items() if error.excluded.get(n) == why]
                if tight is not None and blamed:
                    raise self._refused(tight, min(blamed)) from error
                raise
            while True:
                cost = max([most[a.candidate] or 0 for a in decision.attempts])
                found = await self.counters.reserve(
                    decision.id, limits, cost=cost, tokens=asked.usual_tokens()
                )
                if isinstance(found, Hold):
                    self._holds[decision.id] = found
                    limit = self.limit_sent(asked.query, most)
                    return Admitted(decision, cost, rate_headers(found), limit)
                if found.limit.kind != "usd":
                    raise self._refused(found)
                tight = found
                dear |= _too_dear(most, found, out)
                kept = tuple(a for a in decision.attempts if a.candidate not in dear)
                if not kept or kept[0] != decision.attempts[0]:
                    break  # the chosen one is too dear: choose again
                excluded = {**decision.excluded, **dear}
                decision = replace(decision, attempts=kept, excluded=excluded)

    def at_once(self, who: Identity | None, asked: Asked) -> Admits | None:
        """How requests of a caller are admitted without waiting, where they differ in their text alone.

        Args:
            who: the caller.
            asked: the size of one of them, whatever its text.

        Returns:
            See `Admits`; None where that takes `admit`.
        """
        if not isinstance(self.counters, MemoryCounters):
            return None
        limits = self._common if who is None else who.limits
        budgets = bool(limits) and limits[-1].kind == "usd"
        if who is not None and who.max_request_picousd is not None:
            return None
        rules = self._costs.rules(asked) if budgets else {}
        if rules is None:
            return None
        output = asked.usual_output_tokens()
        return Admits(
            self, self.counters, limits, rules, output, self.limit_sent(asked.query, rules)
        )

    def keep(self, hold: Hold) -> None:
        """Something was reserved for a request whose end is told by `ended`, or which is abandoned."""
        self._holds[hold.id] = hold

    def limit_sent(self, query: Query, rules: Mapping[str, object]) -> int | None:
        """The output limit to send to a candidate of which none is known; None: none.

        Args:
            query: that may have a limit of its own.
            rules: what it costs, where a budget asks; else empty.
        """
        return self._send_limit if rules and query.max_output_tokens is None else None

    async def also(self, decision_id: str, hold_id: str) -> bool:
        """Reserve, for a second call of a request, what its budgets hold for the first.

        Args:
            decision_id: of the request.
            hold_id: of the second call's record, whose end settles it.

        Returns:
            Whether there is room; True where no budget asks.

        Raises:
            AccessDownError: the counters cannot be reached.
        """
        first = self._holds.get(decision_id)
        pairs = [] if first is None else list(zip(first.limits, first.amounts, strict=True))
        budgets = [(limit, taken) for limit, taken in pairs if limit.kind == "usd"]
        if not budgets:
            return True
        limits = tuple(limit for limit, _ in budgets)
        found = await self.counters.reserve(hold_id, limits, cost=budgets[0][1], tokens=0)
        if isinstance(found, Refusal):
            return False
        self._holds[hold_id] = found
        return True

    def ended(self, record: Record) -> None:
        """Settle a request: what it took in place of what it had reserved."""
        hold = self._holds.pop(record.id, None)
        if hold is None:
            return
        tokens = (
            record.input_tokens
            + record.cache_read_tokens
            + record.cache_write_tokens
            + record.output_tokens
        )
        answered = record.status not in ("failed", "refused")
        self.counters.settle(hold, cost=record.cost_picousd or 0, tokens=tokens if answered else 0)

    def abandon(self, decision_id: str) -> None:
        """A request whose end nobody told: it counts at the most that it could take."""
        hold = self._holds.pop(decision_id, None)
        if hold is None:
            return
        log.warning("%s: its end was not recorded; what it reserved counts as spent", decision_id)
        by_kind = dict(zip((x.kind for x in hold.limits), hold.amounts, strict=True))
        self.counters.settle(hold, cost=by_kind.get("usd", 0), tokens=by_kind.get("tokens", 0))

    def _refused(self, found: Refusal, least: int | None = None) -> LimitError:
        """What a caller is told.

        Args:
            found: the limit that was reached.
            least: of a budget, what the cheapest of those that were too dear may cost, in picodollars.
        """
        kind = found.limit.kind
        self.refused[kind] = self.refused.get(kind, 0) + 1
        sentence = found.limit.sentence()
        when = found.retry_after_s
        if least is None or kind != "usd":
            hint = "it never fits" if when is None else f"try again in {max(1, round(when))} s"
            return LimitError(f"{sentence} is reached: {hint}", retry_after_s=when, limit=kind)
        message = (
            f"this request may cost up to ${usd(least)}, and of {sentence} ${usd(found.left)} is left; "
            "limit its output (max_tokens), or raise the budget"
        )
        waits = when if least <= found.limit.cap else None
        return BudgetError(message, retry_after_s=waits, limit=kind)


@dataclass(slots=True)
class Admits:
    """Admits requests that differ in their text alone, without waiting: `Access.admit` in one step."""

    access: Access
    counters: MemoryCounters
    limits: tuple[Limit, ...]
    rules: Mapping[str, CostRule]
    """Candidate → what a request costs at most; empty where no budget asks."""
    output_tokens: int
    """What an answer takes of a limit of tokens until its usage is known."""
    limit_sent: int | None
    """See `Access.limit_sent`."""

    def any_fits(self, input_tokens: int, *, but: Sequence[str]) -> bool:
        """Whether budgets have room for whichever candidate a request may have been sent to.

        Args:
            input_tokens: of the request, as estimated.
            but: candidates that `take` reserves for, each named once: it looks at those itself.
        """
        if len(but) >= len(self.rules):
            return True
        most = [rule.most_picousd(input_tokens) for rule in self.rules.values()]
        return self.counters.tightest(self.limits, max(most)) is None

    def take(
        self, decision_id: str, candidates: Sequence[str], input_tokens: int
    ) -> Reserved | None:
        """Reserve for a request that was decided; None: a limit is reached, and nothing was reserved.

        Args:
            decision_id: of the request.
            candidates: that may be called for it.
            input_tokens: of it, as estimated.
        """
        if not self.limits:
            return Reserved(None, {})
        cost = None
        if self.rules:
            cost = max([self.rules[name].most_picousd(input_tokens) for name in candidates])
        found = self.counters.take(
            decision_id, self.limits, cost=cost or 0, tokens=input_tokens + self.output_tokens
        )
        if not isinstance(found, Hold):
            return None
        self.access.keep(found)
        return Reserved(cost, rate_headers(found))


class Reserved(NamedTuple):
    """What was reserved for a request, and what its client is told of its limits."""

    reserved_picousd: int | None
    headers: Mapping[str, str]


def _unpayable(most: Mapping[str, int | None], ceiling: int | None) -> dict[str, str]:
    """Candidates that cost what nobody knows, or too much for one request, and why."""
    found = {}
    for name, cost in most.items():
        if cost is None:
            found[name] = (
                "no price is known for it, and spending is limited: give it one in the settings"
            )
        elif ceiling is not None and cost > ceiling:
            found[name] = (
                f"it may cost up to ${usd(cost)}, and a request of this key at most ${usd(ceiling)}"
            )
    return found


def _too_dear(
    most: Mapping[str, int | None], tight: Refusal, out: Mapping[str, str]
) -> dict[str, str]:
    return {
        name: f"it may cost up to ${usd(cost)}, and of {tight.limit.sentence()} ${usd(tight.left)} is left"
        for name, cost in most.items()
        if cost is not None and cost > tight.left and name not in out
    }


def rate_headers(hold: Hold) -> dict[str, str]:
    """`x-ratelimit-*` as OpenAI's clients read them, of the tightest limit of each kind."""
    tightest: dict[str, tuple[int, int]] = {}
    for limit, left in zip(hold.limits, hold.left, strict=True):
        kind = limit.kind
        if kind == "usd":
            break  # budgets stand last
        if kind != "concurrent" and (kind not in tightest or left < tightest[kind][0]):
            tightest[kind] = (left, limit.cap)
    found: dict[str, str] = {}
    for what, (left, cap) in tightest.items():
        found[f"x-ratelimit-limit-{what}"] = str(cap)
        found[f"x-ratelimit-remaining-{what}"] = str(left)
        found[f"x-ratelimit-reset-{what}"] = "1m0s"
    return found
