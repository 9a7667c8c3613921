"""Requests of every dialect: read, decide, call, pass on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from turnout.access.gate import Access, Admitted
from turnout.access.worst import Asked
from turnout.engine import Engine
from turnout.errors import NoCandidateError, TurnoutError, UpstreamError
from turnout.execution import arun
from turnout.execution.resilience import Resilience
from turnout.gateway.calls.begun import Begun
from turnout.gateway.calls.calling import Answer, Caller
from turnout.gateway.calls.embedding import (
    EmbeddingCaller,
    Embeddings,
    decide_embeddings,
    read_embeddings_request,
)
from turnout.gateway.calls.hedging import Hedging
from turnout.gateway.calls.mirroring import Mirror
from turnout.gateway.calls.recording import Entry, Recorder
from turnout.gateway.calls.relay import EVENTS, relay_stream
from turnout.gateway.calls.request import Request, read_request
from turnout.gateway.http.admission import deadline_s
from turnout.gateway.http.asgi import Call, ClientLeftError, json_bytes
from turnout.gateway.http.headers import (
    answer_headers,
    decision_headers,
    to_client,
    to_upstream,
)
from turnout.gateway.http.hops import Hops
from turnout.gateway.kept.caching import CacheKey, ExactCache, answer_kept, cache_key
from turnout.gateway.kept.idempotency.once import HEADER as KEY
from turnout.gateway.kept.idempotency.once import Once
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.routing.alarming import StrongShareAlarm
from turnout.gateway.routing.asking import Wanted, explain, in_shadow, wanted
from turnout.gateway.routing.deciding import Deciding
from turnout.gateway.routing.experiments import user_of
from turnout.gateway.routing.models import Catalog
from turnout.gateway.routing.routes import Route
from turnout.gateway.sessions.conversing import Conversing, Talk
from turnout.names import RouteSpec, format_route
from turnout.providers.base import Provider
from turnout.store.record import Status
from turnout.types import Candidate, Decision, Query
from turnout.wire.asks import NOTHING
from turnout.wire.body import read_body
from turnout.wire.counting import count_tokens
from turnout.wire.dialects import Dialect
from turnout.wire.errors import error_body, error_status, http_error_body, read_fault, write_fault
from turnout.wire.translate.target import Target as Rules

log = logging.getLogger("turnout.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Serves requests over an engine and its providers."""

    engine: Engine
    providers: Mapping[str, Provider]
    catalog: Catalog
    resilience: Resilience
    deciding: Deciding
    conversing: Conversing
    recorder: Recorder
    access: Access
    rules: Mapping[str, Rules]
    """Candidate → what its model takes of a request that is translated for it."""
    max_body_bytes: int
    hops: Hops
    mirror: Mirror | None = None
    cache: ExactCache | None = None
    semantic: SemanticCache | None = None
    alarm: StrongShareAlarm | None = None
    embeddings: Embeddings = field(default_factory=dict)
    once: Once | None = None
    hedging: Hedging | None = None

    async def complete(self, call: Call, dialect: Dialect) -> None:
        """Answer in the client's dialect, with headers that explain the decision."""
        await self._answer_once(await read_request(call, dialect, self.max_body_bytes))

    async def embed(self, call: Call) -> None:
        """Answer with the vectors of an embedding model."""
        await self._answer_once(await read_embeddings_request(call, self.max_body_bytes))

    async def _answer_once(self, request: Request) -> None:
        """Answer, or give what was answered to the same idempotency key."""
        if KEY in request.call.headers and self.once is not None:
            await self.once.serve(request, self._answer)
        else:
            await self._answer(request)

    async def _answer(self, request: Request) -> None:
        """Decide, reserve, call, pass on."""
        call = request.call
        talk = None if request.embeds else await self.conversing.find(request)
        if request.asks.decision_only:
            await self._tell(request, talk)
            return
        admitted = await self.access.admit(
            call.identity,
            request.model,
            Asked.of(
                request.query,
                request.body.fields,
                len(request.body.text),
                embeds=request.embeds,
            ),
            partial(self.decide, request, talk),
        )
        try:
            await self._serve(request, talk, admitted)
        finally:
            self.access.abandon(admitted.decision.id)  # does nothing where its end was recorded

    async def _serve(self, request: Request, talk: Talk | None, admitted: Admitted) -> None:
        """Call candidates until one answers, and pass its answer on."""
        call, decision = request.call, admitted.decision
        call.trail.decided(self.catalog.named(request.model), decision.router, decision.model)
        explained = {**admitted.headers, **decision_headers(decision)}
        log.debug("%s: %s serves (%s)", decision.id, decision.model, decision.code)
        key = None
        if talk is not None:
            key = cache_key(self.cache, request, decision.model, self.semantic)
        within_s = deadline_s(call.headers)
        found = None if key is None else await key.find(within_s)
        if found is not None:
            decision = found.noted(decision)
        entry = self.recorder.begin(request, decision, admitted.reserved_picousd)
        if found is not None:
            await answer_kept(call, found, entry, explained, request.claim)
            return
        if self.alarm is not None:
            self.alarm.see(request.key, decision)
        caller = self._caller(request, admitted.output_tokens)
        plan = self.resilience.plan("" if talk is None else talk.prefer)
        if self.hedging is None:
            work = arun(decision, caller, plan)
        else:
            reserved = admitted.reserved_picousd
            work = self.hedging.run(request, decision, caller, plan, reserved)
        await self._end(request, talk, decision, caller, entry, key, explained, work)

    async def go_on(self, call: Call, begun: Begun) -> None:
        """End a request that was decided elsewhere, and maybe called for, as any other."""
        call.identity, call.dialect, decision = begun.identity, "chat", begun.decision
        try:
            request = await read_request(call, "chat", self.max_body_bytes)
            request.rename, request.route = begun.rename, begun.route
            talk = await self.conversing.find(request)
            talk.wanted = decision.model if begun.route else ""
            caller = self._caller(request, begun.output_tokens)
            if isinstance(caller, Caller):
                caller.under_way = begun.call
            explained = {**begun.headers, **decision_headers(decision)}
            if begun.call is None:
                work = arun(decision, caller, self.resilience.plan())
            else:
                target = begun.call.target
                plan = self.resilience.resume(target, begun.call.began)
                work = arun(decision, caller, plan, target)
            await self._end(request, talk, decision, caller, begun.entry, None, explained, work)
        except ClientLeftError:  # it may have left before anybody waited for it
            begun.entry.end("left", http_status=0, calls=int(begun.call is not None))
            raise
        finally:
            if begun.call is not None and begun.call.give_up():  # its client had left
                self.resilience.dropped_at(begun.call.target)
            self.access.abandon(decision.id)

    async def _end(
        self,
        request: Request,
        talk: Talk | None,
        decision: Decision,
        caller: Caller | EmbeddingCaller,
        entry: Entry,
        key: CacheKey | None,
        explained: dict[str, str],
        work: Coroutine[Any, Any, Answer],
    ) -> None:
        """Wait for the answer that `work` gives, and pass it on."""
        call, dialect = request.call, request.dialect
        try:
            async with call.unless_gone(deadline_s(call.headers)):
                answer = await work
        except ClientLeftError:
            entry.end("left", http_status=0, calls=len(caller.made))
            raise
        except TurnoutError as error:
            entry.end("failed", http_status=error_status(error), calls=len(caller.made))
            if not isinstance(error, UpstreamError):
                raise
            log.warning("%s: %s", decision.id, error)
            await upstream_failure(
                call, error, {**explained, **answer_headers(caller.made)}, dialect
            )
            return
        finally:
            work.close()  # where it was not begun, since the client had left
        if talk is not None:
            self.conversing.answered(request, talk, answer)
        await self._give(request, decision, answer, caller, entry, key, explained)

    async def _give(
        self,
        request: Request,
        decision: Decision,
        answer: Answer,
        caller: Caller | EmbeddingCaller,
        entry: Entry,
        key: CacheKey | None,
        explained: dict[str, str],
    ) -> None:
        """Give the client what a candidate answered."""
        call = request.call
        if answer.candidate != decision.model:
            explained.pop("x-turnout-certificate", None)  # it covers the choice, not its spare
        headers = {
            **call.own_id(),
            **to_client(answer.headers),
            **explained,
            **answer_headers(
                caller.made, answer.notes, answer.named if answer.named != answer.asked else ""
            ),
        }
        if request.asks.explain:
            explain(answer, decision)
        ended: Callable[[Status], None] = partial(
            entry.end, http_status=answer.status, calls=len(caller.made), answer=answer
        )
        if key is not None and answer.candidate == decision.model:
            ended = key.keeping(answer, entry, ended)
        if request.claim is not None:
            ended = request.claim.keeping(answer, entry, request.dialect, headers, ended)
        if answer.passing is not None:
            await relay_stream(call, answer, {**headers, "content-type": EVENTS}, ended)
        else:
            ended("ok")
            await call.answer(answer.status, headers, answer.content)
        if self.mirror is not None and not request.embeds:
            self.mirror.offer(request, decision, answer.candidate)

    async def route(self, call: Call) -> None:
        """The decision alone; nothing is called."""
        request = await read_request(call, "chat", self.max_body_bytes)
        await self._tell(request, await self.conversing.find(request))

    async def _tell(self, request: Request, talk: Talk | None) -> None:
        """Answer with the decision, among the candidates that the caller may use."""
        barred = self.access.barred(request.call.identity, request.model)
        call, decision = request.call, await self.decide(request, talk, barred)
        call.trail.decided(self.catalog.named(request.model), decision.router, decision.model)
        await call.answer_json(decision.to_dict(), headers=decision_headers(decision))

    async def count(self, call: Call, dialect: Dialect) -> None:
        """Estimate the input tokens of a request; nothing is called."""
        body = read_body(await call.body(self.max_body_bytes))
        counted = count_tokens(dialect, body.fields)
        await call.answer_json(counted.body, headers=counted.headers)

    async def decide(
        self, request: Request, talk: Talk | None, barred: Mapping[str, str]
    ) -> Decision:
        """Which candidates to try for a request of a conversation.

        Args:
            request: as it came.
            talk: its conversation.
            barred: candidates that its caller may not use, or cannot pay, and why.

        Raises:
            UnknownNameError: no such model or router here.
            RouteNameError: a malformed route.
            RequestError: what it asks of routing does not exist here, or does not go together.
            NoCandidateError: no candidate can serve it.
        """
        if talk is None:  # embeddings stand alone
            return decide_embeddings(self.engine, self.embeddings, request, barred)
        catalog = self.catalog
        experiment = catalog.experiment(request.model) if catalog.experiments else None
        if experiment is None:
            return await self._decide(request, talk, request.model, barred)
        user = user_of(request)
        arm, model = experiment.arm(user)
        made = await self._decide(request, talk, model, barred)
        told = {"name": experiment.name, "arm": arm, "user": experiment.hashed(user)}
        return replace(made, experiment=told)

    async def _decide(
        self, request: Request, talk: Talk, model: str, barred: Mapping[str, str]
    ) -> Decision:
        catalog, query, who = self.catalog, request.query, request.call.identity
        target = catalog.resolve(model)
        if isinstance(target, Candidate) and target.name in barred:
            raise NoCandidateError({target.name: barred[target.name]})
        if target.as_requested if isinstance(target, Route) else catalog.as_requested:
            request.rename = request.model
        shadow = catalog.shadow
        if shadow is None and request.asks is NOTHING and isinstance(target, Candidate):
            return self.engine.by_name(query, target.name, barred=barred)
        if shadow is not None and isinstance(target, Candidate) and request.asks is NOTHING:
            want = in_shadow(shadow, target.name)
        else:
            want = wanted(self.engine, target, request.asks, by_name=catalog.allow_passthrough)
        if barred:
            want = replace(want, limits=replace(want.limits, barred=barred))
        if want.spec is None:
            return want.decide(self.engine, query)
        if who is not None and who.denied:
            who.check_model(format_route(want.spec))  # whatever name the request had for it
        if want.shadow:
            return want.told(await self._in_shadow(want, want.spec, query))
        request.route = want.key(model)
        most = want.limits.max_cost_picousd
        usual = self.alarm is None or not self.alarm.holds(request.key)
        ask = partial(self.deciding.decide, max_cost_picousd=most, barred=barred, usual=usual)
        made = await self.conversing.decide(request, talk, want.spec, ask, want.limits)
        if self.alarm is not None:
            made = self.alarm.held(request.key, made)
        return want.told(made)

    async def _in_shadow(self, want: Wanted, spec: RouteSpec, query: Query) -> Decision:
        limits = want.limits
        would = None
        with suppress(NoCandidateError):
            would = await self.deciding.decide(
                query,
                spec,
                allow=limits.allow,
                explore=True,
                max_cost_picousd=limits.max_cost_picousd,
                barred=limits.barred,
            )
        return want.beside(self.engine, query, would)

    def _caller(self, request: Request, output_tokens: int | None) -> Caller | EmbeddingCaller:
        if request.embeds:
            return EmbeddingCaller(
                model=self.embeddings[request.model],
                providers=self.providers,
                body=request.body,
                headers=to_upstream(request.call.headers),
                trail=request.call.trail,
            )
        return Caller(
            pool=self.engine.pool,
            providers=self.providers,
            rules=self.rules,
            dialect=request.dialect,
            body=request.body,
            headers=to_upstream(request.call.headers),
            hop=self.hops.onward(request.call.headers),
            input_tokens=request.query.input_tokens,
            trail=request.call.trail,
            output_tokens=output_tokens,
            rename=request.rename,
        )


async def upstream_failure(
    call: Call, error: UpstreamError, explained: Mapping[str, str], dialect: Dialect
) -> None:
    """Answer with the upstream's own error, byte for byte; with ours where it gave none.

    An error in another dialect is written in the client's. Of a refused key (401, 403) nothing is
    passed on: the key is not the client's, and some upstreams quote it.
    """
    request_id = call.own_id()["x-request-id"]
    if error.status in (401, 403):
        message = f"the provider of {error.candidate} refused the gateway's key ({error.status})"
        body = http_error_body(
            502, message, code="upstream_key_refused", dialect=dialect, request_id=request_id
        )
        await call.answer_json(body, 502, explained)
    elif error.status is None:
        body = error_body(error, dialect=dialect, request_id=request_id)
        headers = {**explained, "x-should-retry": "false"}
        await call.answer_json(body, error_status(error), headers)
    else:
        # A client that retries as well would multiply what has been tried here.
        tried = {"x-should-retry": "false"} if error.status >= 500 else {}
        headers = {**call.own_id(), **tried, **to_client(error.headers), **explained}
        status, content = error.status, error.body
        if error.dialect is not None and error.dialect != dialect:
            status, body = write_fault(read_fault(error.status, error.body), dialect)
            content, headers["content-type"] = json_bytes(body), "application/json"
        await call.answer(status, headers, content)
