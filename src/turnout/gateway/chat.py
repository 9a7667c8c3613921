"""`POST /v1/chat/completions` and `POST /v1/route`: read, decide, call, pass on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.engine import Engine
from turnout.errors import RequestError, UpstreamError
from turnout.execution import Try, arun
from turnout.execution.resilience import Resilience
from turnout.gateway.asgi import Call, json_bytes
from turnout.gateway.headers import decision_headers, new_request_id, to_client, to_upstream
from turnout.gateway.models import Catalog
from turnout.gateway.relay import is_stream, relay_stream, whole_body
from turnout.providers.base import Provider, Reply
from turnout.types import Candidate, Decision
from turnout.wire.arms import arm_fields
from turnout.wire.body import Body, read_body
from turnout.wire.chat import read_query
from turnout.wire.errors import error_body, error_status, http_error_body
from turnout.wire.reading import Kind, kind

log = logging.getLogger("turnout.gateway")

_LONGEST_MODEL = 256


@dataclass(frozen=True, slots=True)
class Chat:
    """Serves chat requests over an engine and its providers."""

    engine: Engine
    providers: Mapping[str, Provider]
    catalog: Catalog
    resilience: Resilience
    max_body_bytes: int

    async def complete(self, call: Call) -> None:
        """Answer with the upstream's own bytes, and headers that explain the decision."""
        body = read_body(await call.body(self.max_body_bytes))
        decision = await self.decide(body)
        explained = decision_headers(decision)
        log.debug("%s: %s serves (%s)", decision.id, decision.model, decision.code)
        try:
            async with call.unless_gone():
                caller = self._caller(body, call.headers)
                served, reply = await arun(decision, caller, self.resilience.plan())
                content = None if is_stream(reply) else await whole_body(reply)
        except UpstreamError as error:
            log.warning("%s: %s", decision.id, error)
            await upstream_failure(call, error, explained)
            return
        headers = {
            "x-request-id": new_request_id(),
            **to_client(reply.headers),
            **explained,
        }
        if content is None:
            await relay_stream(call, reply, candidate=served, headers=headers)
        else:
            await call.answer(reply.status, headers, content)

    async def route(self, call: Call) -> None:
        """The decision alone; nothing is called."""
        body = read_body(await call.body(self.max_body_bytes))
        decision = await self.decide(body)
        headers = {
            "content-type": "application/json",
            "x-request-id": new_request_id(),
            **decision_headers(decision),
        }
        await call.answer(200, headers, json_bytes(decision.to_dict()))

    async def decide(self, body: Body) -> Decision:
        """Which candidates to try for a request; a router that waits does so off the event loop.

        Raises:
            RequestError: not a chat request.
            UnknownNameError: no such model or router here.
            RouteNameError: a malformed route.
            NoCandidateError: no candidate can serve it.
        """
        model = _model(body.fields)
        query = read_query(body.fields)
        target = self.catalog.resolve(model)
        if isinstance(target, Candidate):
            return self.engine.by_name(query, target.name)
        if self.engine.waits(target.router):
            return await asyncio.to_thread(self.engine.decide, query, target)
        return self.engine.decide(query, target)

    def _caller(self, body: Body, headers: Mapping[str, str]) -> _Caller:
        return _Caller(self.engine, self.providers, body, to_upstream(headers))


@dataclass(frozen=True, slots=True)
class _Caller:
    """Makes one attempt: an answer with an error status is raised, so that another may follow."""

    engine: Engine
    providers: Mapping[str, Provider]
    body: Body
    headers: Mapping[str, str]

    async def __call__(self, todo: Try) -> tuple[str, Reply]:
        candidate, target = self.engine.pool[todo.attempt.candidate], todo.target
        reply = await self.providers[target.provider].chat(
            self.body.with_fields(
                {"model": target.model, **arm_fields(candidate, self.body.fields)}
            ),
            candidate=candidate.name,
            headers=self.headers,
            stream=self.body.fields.get("stream") is True,
        )
        if reply.status < 400:
            return candidate.name, reply
        raise UpstreamError(
            f"{candidate.name} answered with status {reply.status}",
            candidate=candidate.name,
            status=reply.status,
            body=await whole_body(reply),
            headers=reply.headers,
        )


async def upstream_failure(call: Call, error: UpstreamError, explained: Mapping[str, str]) -> None:
    """Answer with the upstream's own error, byte for byte; with ours where it gave none.

    Of a refused key (401, 403) nothing is passed on: the key is not the client's, and some upstreams
    quote it.
    """
    own_id = {"x-request-id": new_request_id()}
    known = {**own_id, **explained}
    if error.status in (401, 403):
        message = f"the provider of {error.candidate} refused the gateway's key ({error.status})"
        body = http_error_body(502, message, code="upstream_key_refused")
        await call.answer(502, {"content-type": "application/json", **known}, json_bytes(body))
    elif error.status is not None:
        # A client that retries as well would multiply what has been tried here.
        tried = {"x-should-retry": "false"} if error.status >= 500 else {}
        headers = {**own_id, **tried, **to_client(error.headers), **explained}
        await call.answer(error.status, headers, error.body)
    else:
        headers = {"content-type": "application/json", "x-should-retry": "false", **known}
        await call.answer(error_status(error), headers, json_bytes(error_body(error)))


def _model(fields: Mapping[str, Any]) -> str:
    remedy = "give the name of a route or a model; GET /v1/models lists them"
    if "model" not in fields:
        raise RequestError("model", Kind("a missing field"), remedy)
    model = fields["model"]
    if not isinstance(model, str):
        raise RequestError("model", kind(model), remedy)
    if not model or len(model) > _LONGEST_MODEL:
        raise RequestError("model", model, remedy)
    return model
