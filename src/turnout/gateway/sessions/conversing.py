"""Conversations at the gateway: which one a request belongs to, and what that means for who serves it."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Any, Protocol

from turnout.conversations.sticking import StickyRules, Switching, boundary, usable, why_kept
from turnout.conversations.table import Held, Table
from turnout.engine import Engine
from turnout.execution.resilience import Resilience
from turnout.gateway.calls.calling import Answer
from turnout.gateway.calls.request import Request
from turnout.gateway.sessions.sharing import Sharing
from turnout.names import RouteSpec
from turnout.policies.constraints import NO_LIMITS, Limits, exclusions
from turnout.providers.base import Provider
from turnout.settings.conversations import ConversationSettings
from turnout.store.record import Record
from turnout.types import Decision, Query, Usage
from turnout.wire.session import SessionKey, response_session, session_key

_RESPONSE_ID = re.compile(rb'"id": ?"(resp_[\w-]{1,200})"')
"""Stands at the beginning of a Responses answer, whole or a stream."""


class Decide(Protocol):
    """Asks a router."""

    def __call__(
        self, query: Query, spec: RouteSpec, *, allow: Collection[str] | None, explore: bool
    ) -> Awaitable[Decision]:
        """The router's decision, among the candidates that are allowed."""
        ...


@dataclass(slots=True, kw_only=True)
class Talk:
    """The conversation of one request."""

    key: SessionKey
    held: Held | None
    """What is known of it; None where it begins."""
    wanted: str = ""
    """What the router chose of itself for a new task; empty where it was not asked for one."""
    note: str = ""
    """For its decision: why other gateways' knowledge of it is missing."""

    @property
    def prefer(self) -> str:
        """Key of the endpoint that has its prompt cache."""
        return "" if self.held is None else self.held.target


@dataclass(slots=True, kw_only=True)
class Conversing:
    """Keeps conversations with their models. One for a process; an observer of records.

    Args:
        engine: decides.
        resilience: knows which endpoints are out.
        providers: by name.
        settings: of conversations.
        sharing: brings what other gateways know of them; None where there are none.
        before: the conversations that are under way where this takes another one's place.
        clock: monotonic seconds.
    """

    engine: Engine
    resilience: Resilience
    providers: Mapping[str, Provider]
    settings: ConversationSettings
    sharing: Sharing | None = None
    before: InitVar[Table | None] = None
    clock: Callable[[], float] = time.monotonic
    table: Table = field(init=False)
    _switching: Switching = field(init=False, repr=False)

    def __post_init__(self, before: Table | None) -> None:
        given = self.settings
        self.table = Table(most=given.most, keep_s=given.keep_s) if before is None else before
        self._switching = Switching(
            pool=self.engine.pool,
            spares=self.engine.spares,
            rules=StickyRules(idle_s=given.idle_s, errors=given.errors),
            remaining=self.table.remaining,
        )
        if self.sharing is not None:
            self.sharing.serve(self.table)

    async def find(self, request: Request) -> Talk:
        """The conversation of a request that has been read; those of two keys are never one.

        Where gateways share conversations, another one may have served it since.
        """
        key, note = self._key(request), ""
        if self.sharing is not None and _goes_on(request, key):
            found, note = await self.sharing.read(key.id, self.table)
            key = key._replace(id=found)
        talk = self._talk(request, key)
        talk.note = note
        return talk

    def _key(self, request: Request) -> SessionKey:
        return session_key(
            request.dialect,
            request.body,
            request.call.headers,
            scope=request.key,
            made_by=self.table.made_by,
        )

    def _talk(self, request: Request, key: SessionKey) -> Talk:
        request.session = key.id
        held = self.table.find(key.id, self.clock()) if _goes_on(request, key) else None
        if held is not None and held.candidate not in self.engine.pool.names:
            held = None  # the settings have changed since
        if held is not None and request.query.conversation.elsewhere:
            request.query = _whole(request.query, held)
        return Talk(key=key, held=held)

    async def decide(
        self,
        request: Request,
        talk: Talk,
        spec: RouteSpec,
        ask: Decide,
        limits: Limits = NO_LIMITS,
    ) -> Decision:
        """Who serves a request of a conversation.

        Args:
            request: what is asked.
            talk: its conversation.
            spec: the route that it asks for.
            ask: asks the route's router.
            limits: of the request and its route; `ask` heeds all but the names.

        Raises:
            NoCandidateError: no candidate can serve it, or go on with what a provider keeps.
        """
        held, query = talk.held, request.query
        if held is None:
            decision = await ask(query, spec, allow=limits.allow, explore=True)
            talk.wanted = decision.model
            return _noted(decision, talk.note)
        bound = self._bound(request, query, held, limits)
        decision = await self._decided(request, talk, held, limits.among(bound), spec, ask)
        return _noted(decision if bound is None else _worded(decision, bound), talk.note)

    async def _decided(
        self,
        request: Request,
        talk: Talk,
        held: Held,
        limits: Limits,
        spec: RouteSpec,
        ask: Decide,
    ) -> Decision:
        query, allow = request.query, limits.allow
        if held.model != request.route or not self.settings.sticky:
            return await ask(query, spec, allow=allow, explore=True)
        excluded = limits.exclusions(query, self.engine.pool.candidates)
        fit = self.resilience.fit(held.candidate)
        gone = usable(self.engine.pool[held.candidate], excluded, fit=fit)
        if gone:
            decision = await ask(query, spec, allow=allow, explore=False)
            return (
                decision
                if not fit and decision.model == held.candidate
                else _released(decision, held, gone)
            )
        now = self.clock()
        where = boundary(held, query, self._switching.rules, now)
        if where is None:
            why = why_kept(held, query)
            return self.engine.stay(query, held.candidate, spec, why, excluded=excluded)
        decision = await ask(query, spec, allow=allow, explore=False)
        if where != "errors":
            talk.wanted = decision.model
        return self._switching.settle(decision, held, query, where, now)

    def answered(self, request: Request, talk: Talk, answer: Answer) -> None:
        """An answer has begun: its model has the conversation from here on."""
        leaves_nothing = request.dialect == "chat" and self.leaves_nothing(answer.candidate)
        if talk.held is None and not request.route and leaves_nothing:
            return
        wanted = talk.wanted
        held = self.keep(talk.key.id, talk.held, request.query, answer, request.route, wanted)
        if request.dialect == "responses":
            found = _RESPONSE_ID.search(answer.content[:4096])
            if found:
                response = response_session(request.key, found[1].decode())
                self.table.made(response, talk.key.id)
                if self.sharing is not None:
                    self.sharing.made(response, talk.key.id)
        if self.sharing is not None:
            self.sharing.write(talk.key.id, held)

    def keep(
        self,
        session: str,
        held: Held | None,
        query: Query,
        answer: Answer,
        route: str,
        wanted: str,
    ) -> Held:
        """Keep a conversation with the model that answers.

        Args:
            session: its id.
            held: what is known of it; None where it begins.
            query: what was asked.
            answer: of the model.
            route: the route that was asked for, its knob included.
            wanted: what the router chose of itself for a new task; empty where it was not asked.
        """
        return self.table.answered(
            session,
            held,
            query,
            candidate=answer.candidate,
            target=answer.target,
            provider=answer.provider,
            model=route,
            errors=self.settings.errors,
            now=self.clock(),
            wanted=wanted,
        )

    def leaves_nothing(self, candidate: str) -> bool:
        """Whether a model that was asked for in chat by its name has nothing that a later request needs.

        No router chose, so there is no choice to keep to; there is no other endpoint without its
        cache; and in chat neither does a provider keep a conversation, nor sign what it thought.
        """
        return len(self.resilience.targets[candidate]) == 1

    def ended(self, record: Record) -> None:
        """What a request used says what is cached, and how long the conversation is."""
        held = self.table.find(record.session, self.clock()) if record.session else None
        counted = record.status == "ok" and record.cost_basis != "estimate"
        if held is None or held.candidate != record.candidate or not counted:
            return
        usage = Usage(
            input_tokens=record.input_tokens,
            cache_read_tokens=record.cache_read_tokens,
            cache_write_5m_tokens=record.cache_write_tokens,
            output_tokens=record.output_tokens,
        )
        provider = self.providers.get(record.provider)
        automatic = provider is None or provider.dialect != "messages"
        held.used(record.candidate, usage, automatic=automatic, now=self.clock())
        if self.sharing is not None:
            self.sharing.write(record.session, held)

    def _bound(
        self, request: Request, query: Query, held: Held, limits: Limits
    ) -> list[str] | None:
        """The candidates that can go on with what one provider alone can read; None: all.

        A conversation that a provider keeps by an id exists there alone. Reasoning that its maker
        signed or encrypted can go to its maker, or to where a translation leaves it out; sent on
        untouched to another, it would be refused.
        """
        stands = query.conversation
        if not (stands.elsewhere or stands.signed):
            return None
        able = [
            name
            for name, targets in self.resilience.targets.items()
            if any(t.provider == held.provider for t in targets)
        ]
        if stands.elsewhere:
            return able
        for name, targets in self.resilience.targets.items():
            translated = all(self.providers[t.provider].dialect != request.dialect for t in targets)
            if translated and name not in able:
                able.append(name)
        out = exclusions(query, self.engine.pool.candidates, allow=able, barred=limits.barred)
        return None if len(out) == len(self.engine.pool.candidates) else able


def _goes_on(request: Request, key: SessionKey) -> bool:
    """Whether it may have begun before; a first message told by how it begins is one of its own."""
    return key.exact or request.query.conversation.answered


def _noted(decision: Decision, note: str) -> Decision:
    return replace(decision, notes=(*decision.notes, note)) if note else decision


def _whole(query: Query, held: Held) -> Query:
    """The query with the tokens of what its provider keeps."""
    kept = (held.counted_tokens or held.input_tokens) + held.output_tokens
    return replace(query, input_tokens=query.input_tokens + kept)


def _worded(decision: Decision, allow: list[str]) -> Decision:
    """The decision with the reason why other providers are out."""
    why = "what its provider keeps or signed of this conversation is not for others"
    excluded = {n: old if n in allow else why for n, old in decision.excluded.items()}
    return replace(decision, excluded=excluded)


def _released(decision: Decision, held: Held, why: str) -> Decision:
    """The router's decision where the model that had the conversation can serve it no longer."""
    reason = f"{held.candidate} can serve its conversation no longer, {why}; {decision.reason}"
    changed: dict[str, Any] = {} if decision.fallback else {"reason": reason}
    return replace(decision, code="released_from_conversation", **changed)
