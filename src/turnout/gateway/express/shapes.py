"""What requests have in common that differ in their text alone.

Everything here is made by what serves other requests, once, with something that stands in for the text;
what is made for each request is put where that stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from turnout.access.gate import Access, Admits
from turnout.access.identity import Identity
from turnout.access.worst import Asked
from turnout.engine import Engine
from turnout.execution.attempts import Target
from turnout.gateway.calls.calling import asked_usage, limited_arm_fields
from turnout.gateway.calls.redirecting import check_upstream_is_ours
from turnout.gateway.calls.request import asked_model, is_streamed
from turnout.gateway.express.heads import Head
from turnout.gateway.routing.asking import Wanted, wanted
from turnout.gateway.routing.deciding import Key
from turnout.gateway.routing.models import Catalog
from turnout.gateway.routing.routes import Route
from turnout.names import format_route
from turnout.providers.base import Provider
from turnout.providers.endpoint import HttpProvider, Sends
from turnout.types import Candidate, Query
from turnout.wire import chat
from turnout.wire.asks import FIELD, NOTHING, read_asks
from turnout.wire.dialects import PATHS
from turnout.wire.one_message import Frame, Said, frame_of
from turnout.wire.session import by_first_text, session_key


class Way(NamedTuple):
    """How a candidate is called."""

    target: Target
    sends: Sends
    before: bytes
    """What goes upstream before the content."""
    after: bytes
    hide_usage: bool
    """The usage of its stream was not asked for by the client."""


class Routed(NamedTuple):
    """How a router is asked."""

    want: Wanted
    key: Key
    """See `Deciding.ask`."""
    route: str
    """What is asked for, its knob included."""


@dataclass(slots=True, kw_only=True)
class Shape:
    """Requests of one caller that differ in their text alone."""

    who: Identity | None
    key: str
    """The id of the caller's key; empty where none is asked for."""
    model: str
    """What `model` says."""
    named: str
    """The same, where it is `auto` or a route of the settings; else empty."""
    session_of: Callable[[str], str]
    """Text → the id of its conversation."""
    admits: Admits
    stream: bool
    """Whether the answer is to come as a stream of events."""
    like: Query
    """The query of one of them."""
    tokens_beside: int
    """Input tokens beside those of the text."""
    rename: str | None
    named_candidate: Candidate | None
    """The one that is asked for by its name."""
    routed: Routed | None
    """Of a route."""
    way_of: Callable[[Target], Way | None]
    """How a target is called; None where that takes a translation, or another client."""
    _ways: dict[tuple[str, str], Way | None] = field(default_factory=dict)

    def way(self, target: Target) -> Way | None:
        """How a target is called; None where that is for the application."""
        try:
            return self._ways[target.candidate, target.key]
        except KeyError:
            found = self._ways[target.candidate, target.key] = self.way_of(target)
            return found

    def input_tokens(self, text: str) -> int:
        """Of a request, as estimated."""
        return self.tokens_beside + chat.plain_tokens(text)

    def query(self, text: str, input_tokens: int) -> Query:
        """The query of a request."""
        like = self.like
        return Query(
            text=text,
            system=like.system,
            input_tokens=input_tokens,
            max_output_tokens=like.max_output_tokens,
            conversation=like.conversation,
            notes=like.notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """Finds out what requests have in common."""

    engine: Engine
    providers: Mapping[str, Provider]
    catalog: Catalog
    access: Access

    def shape_of(self, head: Head, who: Identity | None, said: Said) -> Shape | None:
        """What requests have in common with this one; None where each is to be looked at by itself.

        Raises:
            TurnoutError: such requests are refused.
        """
        frame = frame_of(said)
        if frame is None:
            return None
        fields, key = frame.body.fields, "" if who is None else who.id
        check_upstream_is_ours(fields)
        if FIELD in fields or read_asks(head.headers, fields) is not NOTHING:
            return None
        session_of = by_first_text(key, frame.query.system)
        text = chat.first_user_text(fields)
        if session_of(text) != session_key("chat", frame.body, head.headers, scope=key).id:
            return None  # something else tells of its conversation
        query = frame.query
        admits = self.access.at_once(who, Asked.of(query, fields, 0))
        model = asked_model(fields)
        barred = self.access.barred(who, model)
        if admits is None or self.catalog.experiment(model) is not None:
            return None
        target = self.catalog.resolve(model)
        named_candidate = routed = None
        if isinstance(target, Route):
            routed = self._routed(target, model, who, barred)
            as_requested = target.as_requested
        elif target.name not in barred:
            named_candidate = target
            as_requested = self.catalog.as_requested
        if named_candidate is None and routed is None:
            return None
        return Shape(
            who=who,
            key=key,
            model=model,
            named=self.catalog.named(model),
            session_of=session_of,
            admits=admits,
            stream=is_streamed(fields),
            like=query,
            tokens_beside=frame.tokens,
            rename=model if as_requested else None,
            named_candidate=named_candidate,
            routed=routed,
            way_of=lambda target: self._way(head, frame, target, admits),
        )

    def _routed(
        self, target: Route, model: str, who: Identity | None, barred: Mapping[str, str]
    ) -> Routed | None:
        want = wanted(self.engine, target)
        if want.spec is None or want.shadow:
            return None
        if who is not None and who.denied:
            who.check_model(format_route(want.spec))  # whatever name the request had for it
        limits, out = want.limits, tuple(barred.items())
        names = None if limits.allow is None else frozenset(limits.allow)
        key: Key = (want.spec, names, limits.max_cost_picousd, True, True, out)
        return Routed(want, key, want.key(model))

    def _way(self, head: Head, frame: Frame, target: Target, admits: Admits) -> Way | None:
        candidate, provider = self.engine.pool[target.candidate], self.providers[target.provider]
        if not isinstance(provider, HttpProvider) or provider.dialect != "chat":
            return None
        fields, name = frame.body.fields, candidate.name
        sends = provider.at_once(
            PATHS["chat"], candidate=name, headers=head.onward, stream=is_streamed(fields)
        )
        if sends is None:
            return None
        arm, asked = (
            limited_arm_fields(candidate, fields, "chat", admits.limit_sent),
            asked_usage(fields, provider),
        )
        before, after = frame.around({"model": target.model, **arm, **asked})
        return Way(target, sends, before, after, bool(asked))
