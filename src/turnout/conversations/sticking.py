"""Who serves a request of a conversation: the model that has it, or another at a safe boundary.

Inside a tool loop, and where the user asks nothing new, the model stays, and no router is asked: a
change there costs the whole prompt cache and hands half-done work over (vLLM's session-aware routing,
Databricks' and Devin's routers all lock the loop). The router is asked again at boundaries:

    new_task   the user asks for something
    idle       nothing was heard for longer than a prompt cache lives
    compacted  the history was cut or summed up, so that its cache is lost anyway
    errors     tools failed so many times in a row, inside a loop too

Where it would choose another model, that one serves if it pays over the rest of the conversation:

    gain + (1 + later) x worth > 0

`gain` is what it saves (see `dollars.py`), `later` the requests to expect, and `worth` what its answers
are worth more in each request than the old model's, less than nothing where they are worse. The route
says that: between two models, at a win rate of the threshold a strong answer is worth its extra price,
and at another rate in proportion; among more, an operating point has a price of quality. So without a
cache to lose the router's choice is followed, and with one a choice that hardly matters does not cost
it. Where the route does not say it, the other model serves if it saves money (the policy has weighed
quality already), or if the router expects it to be clearly better. After errors, a stronger one serves.

A model that can serve no longer (its window, a capability, its endpoints) is let go at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from turnout.conversations.dollars import Load, picousd, usd
from turnout.conversations.remaining import Remaining
from turnout.conversations.table import Held
from turnout.explaining import with_spares
from turnout.pricing import DEFAULT_OUTPUT_TOKENS
from turnout.types import PICO, Attempt, Candidate, Decision, Pool, Query

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
class _Outlook:
    """The rest of a conversation with the router's choice in place of the model that has it."""

    gain: float
    """Picodollars that it saves; less than nothing where it costs more."""
    later: float
    """Requests expected after the one under way."""
    warm_gain: float
    """The same if both models' caches were warm: what the choice is about, without the change."""


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
        outlook = self._outlook(decision, held, query, where, now)
        if outlook is None:
            if self._better(decision, new, old):
                why = f"{old} is not expected to answer it well enough"
                return self._moved(decision, new, "switched_for_quality", old, where, why)
            return self._kept(decision, held, where, f"nobody knows the price of {new} or its own")
        return self._weighed(decision, held, where, outlook)

    def _weighed(
        self, decision: Decision, held: Held, where: Boundary, outlook: _Outlook
    ) -> Decision:
        """The router's choice where it pays over the rest, else the model that has the conversation."""
        old, new = held.candidate, decision.model
        worth = self._worth(decision, old, outlook)
        gain, over = outlook.gain, f"over {outlook.later:.3g} further requests"
        if worth is None:
            if gain <= 0 and self._better(decision, new, old):
                why = f"{old} is not expected to answer it well enough, "
                why += f"for about {usd(gain)} USD more {over}"
                return self._moved(decision, new, "switched_for_quality", old, where, why)
            pays, about_worth = gain > 0, ""
        else:
            pays = gain + worth > 0
            whose = new if worth > 0 else old
            about_worth = f"; the answers of {whose} are worth about {usd(worth)} USD more"
        verb = ("saves" if pays else "would save") if gain > 0 else "costs"
        verb = "would cost" if gain <= 0 and not pays else verb
        more = "" if gain > 0 else " more"
        why = f"{new} {verb} about {usd(gain)} USD{more} {over}{about_worth}"
        if not pays:
            return self._kept(decision, held, where, why)
        code = "switched_for_quality" if gain <= 0 else "switched_at_boundary"
        return self._moved(decision, new, code, old, where, why)

    def _outlook(
        self, decision: Decision, held: Held, query: Query, where: Boundary, now: float
    ) -> _Outlook | None:
        """What the router's choice saves over the rest; None where a price is not known."""
        later = self._later(held)
        whole = float(query.input_tokens)
        if held.counted_tokens and held.input_tokens:  # our estimate, corrected by the last count
            whole *= held.counted_tokens / held.input_tokens
        grown = max(whole - held.first_input_tokens, 0.0) / max(held.requests, 1)
        load = Load(input_tokens=whole, growth_tokens=grown, later=later)
        known = held.counted_tokens > 0
        caches = not known or any(w.tokens for w in held.warm.values())
        rest, warmed = [], []
        for name in (held.candidate, decision.model):
            price = self.pool[name].price
            if price is None:
                return None
            warm = held.warm.get(name)
            live = warm is not None and now - warm.at <= self.rules.idle_s
            kept = warm.tokens if warm is not None and live and where != "compacted" else 0.0
            output = decision.expected_output_tokens.get(name, DEFAULT_OUTPUT_TOKENS)
            rest.append(picousd(price, load, warm_tokens=kept, output=output, caches=caches))
            warmed.append(picousd(price, load, warm_tokens=whole, output=output, caches=caches))
        return _Outlook(gain=rest[0] - rest[1], later=later, warm_gain=warmed[0] - warmed[1])

    def _later(self, held: Held) -> float:
        """Requests after the one under way that a choice is for: the rest, or until it is revised.

        A choice stands for some tasks of the conversation's own length, as the traffic shows.
        """
        rest = self.remaining.expected(held.requests + 1)
        task = held.requests / held.tasks
        return min(rest, max(task * self.remaining.stands() - 1.0, 0.0))

    def _worth(self, decision: Decision, old: str, outlook: _Outlook) -> float | None:
        """What the answers of the router's choice are worth more over the rest, in picodollars.

        None where nothing says what quality is worth.
        """
        value = _usd_per_quality(decision)
        if value is not None:
            quality = decision.quality
            better = quality.get(decision.model, 0.0) - quality.get(old, 0.0)
            return (1.0 + outlook.later) * better * value * PICO
        rate, threshold = decision.win_rate, decision.threshold
        up = self._rank(decision.model) < self._rank(old)
        extra = -outlook.warm_gain if up else outlook.warm_gain  # of the stronger one
        if rate is None or not threshold or extra <= 0:
            return None
        worth = extra * rate / threshold
        return worth if up else -worth

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


def _usd_per_quality(decision: Decision) -> float | None:
    """What the decision's policy pays for a full unit of quality; None where it has no such price."""
    policy = decision.grounds.get("policy") or {}
    found = (policy.get("point") or policy).get("usd_per_quality")
    return found if isinstance(found, float | int) and math.isfinite(found) else None


def usable(candidate: Candidate, excluded: Mapping[str, str], *, fit: bool) -> str:
    """Why the model that has a conversation can no longer serve it; empty where it can."""
    if candidate.name in excluded:
        return excluded[candidate.name]
    return "" if fit else "its endpoints are out"
