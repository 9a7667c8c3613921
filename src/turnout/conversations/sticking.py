"""Who serves a request of a conversation: the model that has it, or another at a safe boundary.

Inside a tool loop, and where the user asks nothing new, the model stays, and no router is asked: a
change there costs the whole prompt cache and hands half-done work over (vLLM's session-aware routing,
Databricks' and Devin's routers all lock the loop). The router is asked again at boundaries:

    new_task   the user asks for something
    idle       nothing was heard for longer than a prompt cache lives
    compacted  the history was cut or summed up, so that its cache is lost anyway
    errors     tools failed so many times in a row, inside a loop too

Where it would choose another model, that one serves if

    it saves money over the rest of the conversation, its reading of the whole counted in, or
    the router finds the model that has the conversation not good enough, or
    after errors, it is stronger.

The policy has weighed quality already, so the first needs no second look at it. A model that can serve
no longer (its window, a capability, its endpoints) is let go at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from turnout.conversations.dollars import Load, picousd, usd
from turnout.conversations.remaining import Remaining
from turnout.conversations.table import Held
from turnout.explaining import with_spares
from turnout.pricing import DEFAULT_OUTPUT_TOKENS
from turnout.types import Attempt, Candidate, Decision, Pool, Query

Boundary: TypeAlias = Literal["new_task", "idle", "compacted", "errors"]

NEAR_TIE = 0.02
"""Of predicted quality: models no further apart are as good as each other (the first margin of the
hull policy), and none is worth a change."""

_WHERE: Mapping[Boundary, str] = {
    "new_task": "at a new task",
    "idle": "after a pause in which its cache ran out",
    "compacted": "after its history was cut",
    "errors": "after tools failed again and again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyRules:
    """When a conversation may change its model."""

    idle_s: float = 300.0
    """How long a prompt cache lives after its last use (Anthropic's five minutes; OpenAI's are kept for
    5 to 10)."""
    errors: int = 4
    """Failures of tools in a row after which a stronger model takes over; 0: never."""


def boundary(held: Held, query: Query, rules: StickyRules, now: float) -> Boundary | None:
    """Where a conversation may change its model; None where it may not."""
    stands = query.conversation
    if stands.ends == "tool":
        row = stands.failed_in_row
        new = row - (held.errors_seen if row >= held.errors_seen else 0)
        return "errors" if rules.errors and new >= rules.errors else None
    if now - held.at > rules.idle_s:
        return "idle"
    if not stands.elsewhere and stands.messages < held.messages:
        return "compacted"
    return "new_task" if stands.ends == "task" else None


def why_kept(held: Held, query: Query) -> str:
    """Why no router was asked."""
    stands = query.conversation
    if stands.ends == "tool":
        calls = "1 call" if stands.tool_calls == 1 else f"{stands.tool_calls} calls"
        return f"{held.candidate} keeps its conversation through a tool loop ({calls} so far)"
    return f"{held.candidate} keeps its conversation: its user asks nothing new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """Sets what a router chose against the model that has the conversation.

    Args:
        pool: the candidates.
        spares: further attempts that each decision names.
        rules: see `StickyRules`.
        remaining: requests to expect.
    """

    pool: Pool
    spares: int
    rules: StickyRules
    remaining: Remaining

    def settle(
        self, decision: Decision, held: Held, query: Query, where: Boundary, now: float
    ) -> Decision:
        """The decision at a boundary.

        Args:
            decision: the router's own, from which `held.candidate` is not excluded.
            held: the conversation.
            query: what is asked.
            where: the boundary.
            now: as `held.at`.
        """
        old = held.candidate
        new = self._after_errors(decision, old) if where == "errors" else decision.model
        if new == old:
            return decision if old == decision.model else self._kept(decision, held, where, "")
        if decision.code == "certificate_revoked":
            return decision  # what is promised goes before what is cached
        if where == "errors":
            return self._moved(decision, new, "switched_after_errors", old, where, "")
        if decision.fallback:
            # Of a failed router's own words nothing is kept: they may quote the prompt.
            plain = replace(decision, fallback=False, notes=query.notes)
            return self._kept(plain, held, where, f"router {decision.router} failed")
        gain, later = self._gain(decision, held, query, where, now)
        if gain is not None and gain > 0:
            why = f"it saves about {usd(gain)} USD over {later:.3g} further requests"
            return self._moved(decision, new, "switched_at_boundary", old, where, why)
        if self._better(decision, new, old):
            price = "" if gain is None else f", for about {usd(gain)} USD more over the rest"
            why = f"{old} is not expected to answer it well enough{price}"
            return self._moved(decision, new, "switched_for_quality", old, where, why)
        if gain is None:
            return self._kept(decision, held, where, f"nobody knows the price of {new} or its own")
        why = f"{new} would cost {usd(gain)} USD more over {later:.3g} further requests"
        return self._kept(decision, held, where, why)

    def _gain(
        self, decision: Decision, held: Held, query: Query, where: Boundary, now: float
    ) -> tuple[float | None, float]:
        """Picodollars that the router's choice saves over the rest, and requests expected of it."""
        later = self.remaining.expected(held.requests + 1)
        sides = [(n, self.pool[n].price) for n in (held.candidate, decision.model)]
        whole = float(query.input_tokens)
        if held.counted_tokens and held.input_tokens:  # our estimate, corrected by the last count
            whole *= held.counted_tokens / held.input_tokens
        grown = max(whole - held.first_input_tokens, 0.0) / max(held.requests, 1)
        load = Load(input_tokens=whole, growth_tokens=grown, later=later)
        known = held.counted_tokens > 0
        caches = not known or any(w.tokens for w in held.warm.values())
        costs = []
        for name, price in sides:
            if price is None:
                return None, later
            warm = held.warm.get(name)
            live = warm is not None and now - warm.at <= self.rules.idle_s
            kept = warm.tokens if warm is not None and live and where != "compacted" else 0.0
            output = decision.expected_output_tokens.get(name, DEFAULT_OUTPUT_TOKENS)
            costs.append(picousd(price, load, warm_tokens=kept, output=output, caches=caches))
        return costs[0] - costs[1], later

    def _better(self, decision: Decision, new: str, old: str) -> bool:
        """Whether the router chose `new` for its quality."""
        if decision.win_rate is not None:  # of two models: the stronger one, by the threshold
            return self._rank(new) < self._rank(old)
        quality = decision.quality
        return quality.get(new, 0.0) - quality.get(old, 0.0) >= NEAR_TIE

    def _after_errors(self, decision: Decision, old: str) -> str:
        """A stronger model than the one under which tools keep failing; itself where none is."""
        quality, rank = decision.quality, self._rank(old)
        stronger = [
            c.name
            for c in self.pool.candidates[:rank]
            if c.name not in decision.excluded and quality.get(c.name, 1.0) > quality.get(old, 0.0)
        ]
        if decision.model in stronger or not stronger:
            return decision.model if decision.model in stronger else old
        return max(stronger, key=lambda name: quality.get(name, 0.0))

    def _rank(self, name: str) -> int:
        return self.pool.names.index(name)

    def _kept(self, decision: Decision, held: Held, where: Boundary, why: str) -> Decision:
        reason = f"{held.candidate} keeps its conversation {_WHERE[where]}"
        reason += f": {why}" if why else ""
        return self._serving(decision, held.candidate, "kept_for_conversation", reason)

    def _moved(
        self, decision: Decision, new: str, code: str, old: str, where: Boundary, why: str
    ) -> Decision:
        reason = f"{new} takes over from {old} {_WHERE[where]}"
        reason += f": {why}" if why else ""
        return self._serving(decision, new, code, reason)

    def _serving(self, decision: Decision, name: str, code: str, reason: str) -> Decision:
        """The decision with another reason and, maybe, another choice; what it stood on is noted."""
        same = name == decision.model
        note = f"of itself: {decision.model} ({decision.code})"
        made = replace(
            decision,
            attempts=(Attempt(candidate=name, reason=reason),),
            code=code,
            reason=reason,
            certificate=decision.certificate if same else None,
            propensity=None,
            notes=(*decision.notes, note),
        )
        return with_spares(made, self.pool, self.spares) if self.spares else made


def usable(candidate: Candidate, excluded: Mapping[str, str], *, fit: bool) -> str:
    """Why the model that has a conversation can no longer serve it; empty where it can."""
    if candidate.name in excluded:
        return excluded[candidate.name]
    return "" if fit else "its endpoints are out"
