"""The conversations that are under way: who serves each, and what is cached where."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from turnout.conversations.dollars import held_tokens
from turnout.conversations.remaining import Remaining
from turnout.types import Query, Usage

MOST_RESPONSES = 4
"""Ids of responses that are kept for each conversation that may be, on average."""


@dataclass(slots=True)
class Warm:
    """What one model's provider has cached of a conversation."""

    tokens: float
    at: float
    """When it was last used."""


@dataclass(slots=True, kw_only=True)
class Held:
    """One conversation."""

    candidate: str
    """Who answered last."""
    target: str
    """Which of its endpoints; its cache is there."""
    provider: str
    model: str
    """What `model` said: with another route the user wants another choice."""
    at: float
    """When it was last heard of."""
    requests: int = 0
    messages: int = 0
    """Of the latest request; fewer in the next one mean that history was cut or summed up."""
    input_tokens: int = 0
    """Of the latest request, as estimated."""
    first_input_tokens: int = 0
    output_tokens: int = 0
    """Written in the latest one that was counted."""
    counted_tokens: int = 0
    """Input of the latest request as its provider counted it; 0 where it did not say."""
    errors_seen: int = 0
    """Failures in a row for which it was already given a stronger model."""
    tasks: int = 1
    """Tasks so far, the one under way included, as boundaries tell them apart."""
    wanted: str = ""
    """What the router chose for the latest task; empty where it was never asked."""
    warm: dict[str, Warm] = field(default_factory=dict)
    """Candidate → what is cached."""
    stamp: str = ""
    """Which version of another process it goes on from; empty: of none."""

    def used(self, candidate: str, usage: Usage, *, automatic: bool, now: float) -> None:
        """What its latest request used says what is cached, and how long the conversation is.

        Args:
            candidate: who answered.
            usage: by the provider's own count.
            automatic: its provider caches without being asked.
            now: as `at`.
        """
        before = self.warm.get(candidate)
        had = 0.0 if before is None else before.tokens
        self.warm[candidate] = Warm(held_tokens(usage, automatic=automatic, before=had), now)
        self.counted_tokens = usage.total_input_tokens
        self.output_tokens = usage.output_tokens


class Table:
    """At most so many conversations, the least recently used ones forgotten first. Not for threads.

    Args:
        most: conversations that are kept.
        keep_s: for how long after the latest request.
    """

    def __init__(self, *, most: int, keep_s: float) -> None:
        self._most, self._keep_s = most, keep_s
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._made: OrderedDict[str, str] = OrderedDict()
        self.remaining = Remaining()
        self.on_over: Callable[[str, int], None] = lambda _, requests: self.remaining.ended(
            requests
        )
        """Told of a conversation that was silent for too long, and of how many requests it had."""

    def __len__(self) -> int:
        return len(self._held)

    def find(self, session: str, now: float) -> Held | None:
        """A conversation that is under way; None where it is not known or too long ago."""
        self._forget(now)
        return self._held.get(session)

    def answered(
        self,
        session: str,
        held: Held | None,
        query: Query,
        *,
        candidate: str,
        target: str,
        provider: str,
        model: str,
        errors: int,
        now: float,
        wanted: str = "",
    ) -> Held:
        """An answer has begun: its model has the conversation from here on.

        Args:
            session: the conversation's id.
            held: what is known of it; None where it begins.
            query: what was asked.
            candidate: who answers.
            target: key of the endpoint.
            provider: its provider.
            model: what `model` said.
            errors: failures in a row that are a boundary (`StickyRules.errors`).
            now: monotonic seconds.
            wanted: what the router chose at a boundary, whoever serves; empty where it was not asked.
        """
        if held is None:
            held = Held(
                candidate=candidate, target=target, provider=provider, model=model, at=now,
                first_input_tokens=query.input_tokens,
            )  # fmt: skip
        else:
            self.remaining.went_on(held.requests)
        if wanted:
            if held.wanted:
                self.remaining.chose(again=wanted == held.wanted)
                held.tasks += 1
            held.wanted = wanted
        row = query.conversation.failed_in_row
        if row < held.errors_seen or row >= held.errors_seen + errors:
            held.errors_seen = row  # the boundary that it made is passed
        held.candidate, held.target, held.provider = candidate, target, provider
        held.model, held.at = model, now
        held.requests += 1
        held.messages, held.input_tokens = query.conversation.messages, query.input_tokens
        self.keep(session, held)
        return held

    def keep(self, session: str, held: Held) -> None:
        """Keep a conversation as the most recently used one."""
        self._held[session] = held
        self._held.move_to_end(session)
        if len(self._held) > self._most:
            self._held.popitem(last=False)  # it may go on for all we know: nothing is learned

    def made(self, response: str, session: str) -> None:
        """A response, by the id that stands for it, was made in a conversation."""
        self._made[response] = session
        if len(self._made) > MOST_RESPONSES * self._most:
            self._made.popitem(last=False)

    def made_by(self, response: str) -> str | None:
        """The conversation that a response was made in."""
        return self._made.get(response)

    def _forget(self, now: float) -> None:
        while self._held:
            oldest = next(iter(self._held.values()))
            if oldest.at > now - self._keep_s:
                return
            session, _ = self._held.popitem(last=False)
            self.on_over(session, oldest.requests)
