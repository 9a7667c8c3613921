"""Constraints before scores: candidates that cannot do what the request needs are out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from turnout.pricing import DEFAULT_OUTPUT_TOKENS
from turnout.types import PICO, Candidate, Capability, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request, or its route, sets bounds to."""

    allow: frozenset[str] | None = None
    """Names that may serve; None allows all."""
    max_cost_picousd: int | None = None
    """The most that a call may cost; see `most_cost_picousd`."""
    priced: bool = False
    """Whether a candidate needs a price."""
    barred: Mapping[str, str] | None = None
    """Names that may not serve for reasons of the caller's, and why."""

    def among(self, names: Collection[str] | None) -> Limits:
        """The same among these names alone; None: among all."""
        if names is None:
            return self
        kept = frozenset(names) if self.allow is None else self.allow.intersection(names)
        return replace(self, allow=kept)

    def exclusions(self, query: Query, candidates: Sequence[Candidate]) -> dict[str, str]:
        """Why each candidate is out that is unfit or beyond these bounds; see `exclusions`."""
        return exclusions(
            query,
            candidates,
            allow=self.allow,
            max_cost_picousd=self.max_cost_picousd,
            priced=self.priced,
            barred=self.barred,
        )


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every candidate of a pool can do: most queries ask for no more, and exclude none."""

    capabilities: frozenset[Capability] | None
    """None: of no candidate it is known that it lacks one."""
    context_tokens: float
    max_output_tokens: float
    priced: bool
    """Whether each has a price."""

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> Common:
        """What is known of all, or of none not to hold."""
        able = [c.capabilities for c in candidates if c.capabilities is not None]
        return cls(
            capabilities=frozenset.intersection(*able) if able else None,
            context_tokens=_least(c.context_tokens for c in candidates),
            max_output_tokens=_least(c.max_output_tokens for c in candidates),
            priced=all(c.price is not None for c in candidates),
        )

    def serves(self, query: Query) -> bool:
        """Whether every candidate can serve a query, whatever it costs."""
        asked = query.max_output_tokens or 0
        return (
            (self.capabilities is None or query.needs <= self.capabilities)
            and asked <= self.max_output_tokens
            and query.input_tokens + asked <= self.context_tokens
        )


def _least(known: Iterable[int | None]) -> float:
    return min((tokens for tokens in known if tokens is not None), default=math.inf)


def exclusions(
    query: Query,
    candidates: Sequence[Candidate],
    *,
    allow: Collection[str] | None = None,
    max_cost_picousd: int | None = None,
    priced: bool = False,
    barred: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Why each unfit candidate is out.

    Args:
        query: what is needed: capabilities, and a window that holds input and asked output.
        candidates: all of the pool. A property that is not known (None) excludes nothing.
        allow: names that may serve; None allows all.
        max_cost_picousd: the most that a call may cost; see `most_cost_picousd`. A candidate without
            a price is out.
        priced: whether a price is needed at all.
        barred: names that may not serve for reasons of the caller's (a budget), and why; what a
            candidate cannot do is said before them.

    Returns:
        Candidate name → reason, for the unfit ones only.
    """
    found: dict[str, str] = {}
    for candidate in candidates:
        why = (
            _not_allowed(candidate, allow)
            or _unable(query, candidate)
            or _too_long(query, candidate)
            or _too_dear(query, candidate, max_cost_picousd, priced)
            or (barred.get(candidate.name) if barred else None)
        )
        if why:
            found[candidate.name] = why
    return found


def most_cost_picousd(query: Query, candidate: Candidate) -> int | None:
    """What a call may cost: the whole output that the request, or else the arm, allows.

    Where neither says how much, `DEFAULT_OUTPUT_TOKENS`. None without a price.
    """
    if candidate.price is None:
        return None
    output = query.max_output_tokens or candidate.arm_output_tokens or DEFAULT_OUTPUT_TOKENS
    return candidate.price.cost_picousd(input_tokens=query.input_tokens, output_tokens=output)


def _not_allowed(candidate: Candidate, allow: Collection[str] | None) -> str:
    return "not on the allow-list" if allow is not None and candidate.name not in allow else ""


def _unable(query: Query, candidate: Candidate) -> str:
    if candidate.capabilities is None:
        return ""
    lacking = sorted(query.needs - candidate.capabilities)
    return f"cannot do {', '.join(lacking)}" if lacking else ""


def _too_long(query: Query, candidate: Candidate) -> str:
    asked = query.max_output_tokens or 0
    if candidate.max_output_tokens is not None and asked > candidate.max_output_tokens:
        return f"writes at most {candidate.max_output_tokens} tokens, {asked} were asked for"
    if (
        candidate.context_tokens is not None
        and query.input_tokens + asked > candidate.context_tokens
    ):
        return (
            f"its window of {candidate.context_tokens} tokens does not hold "
            f"about {query.input_tokens} of input and {asked} of output"
        )
    return ""


def _too_dear(query: Query, candidate: Candidate, most: int | None, priced: bool) -> str:
    if most is None:
        return "its price is not known" if priced and candidate.price is None else ""
    cost = most_cost_picousd(query, candidate)
    if cost is None:
        return "its price is not known, and what a request may cost is limited"
    if cost > most:
        return f"may cost {cost / PICO:.6g} USD, at most {most / PICO:.6g} are allowed"
    return ""
