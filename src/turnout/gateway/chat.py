"""`POST /v1/chat/completions` and `POST /v1/route`: read, decide, call, pass on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from turnout.engine import Engine
from turnout.errors import BodyTooLargeError, RequestError, UpstreamError
from turnout.execution import arun
from turnout.gateway.headers import decision_headers, new_request_id, to_client, to_upstream
from turnout.gateway.models import Catalog
from turnout.gateway.relay import StreamRelay, is_stream, json_bytes, unless_gone, whole_body
from turnout.providers.base import Provider, Reply
from turnout.types import Attempt, Candidate, Decision
from turnout.wire.arms import arm_fields
from turnout.wire.body import Body, read_body
from turnout.wire.chat import read_query
from turnout.wire.errors import error_body, error_status
from turnout.wire.reading import Kind, kind

log = logging.getLogger("turnout.gateway")

_LONGEST_MODEL = 256


@dataclass(frozen=True, slots=True)
class Chat:
    """Serves chat requests over an engine and its providers."""

    engine: Engine
    providers: Mapping[str, Provider]
    catalog: Catalog
    max_body_bytes: int

    async def complete(self, request: Request) -> Response:
        """Answer with the upstream's own bytes, and headers that explain the decision."""
        body = read_body(await read_bytes(request, self.max_body_bytes))
        decision = await self.decide(body)
        explained = decision_headers(decision)
        log.debug("%s: %s serves (%s)", decision.id, decision.model, decision.code)
        try:
            served, reply = await unless_gone(
                request.receive, arun(decision, self._caller(body, request.headers))
            )
        except UpstreamError as error:
            log.warning("%s: %s", decision.id, error)
            return upstream_failure(error, explained)
        headers = {
            "x-request-id": new_request_id(),
            **to_client(reply.headers),
            **explained,
        }
        if is_stream(reply):
            return StreamRelay(reply, candidate=served, headers=headers)
        try:
            content = await unless_gone(request.receive, whole_body(reply))
        except UpstreamError as error:
            log.warning("%s: %s", decision.id, error)
            return upstream_failure(error, explained)
        return Response(content, reply.status, headers)

    async def route(self, request: Request) -> Response:
        """The decision alone; nothing is called."""
        body = read_body(await read_bytes(request, self.max_body_bytes))
        decision = await self.decide(body)
        headers = {
            "content-type": "application/json",
            "x-request-id": new_request_id(),
            **decision_headers(decision),
        }
        return Response(json_bytes(decision.to_dict()), headers=headers)

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
            return await run_in_threadpool(self.engine.decide, query, target)
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

    async def __call__(self, attempt: Attempt) -> tuple[str, Reply]:
        candidate = self.engine.pool[attempt.candidate]
        reply = await self.providers[candidate.provider].chat(
            self.body.with_fields(
                {"model": candidate.model, **arm_fields(candidate, self.body.fields)}
            ),
            candidate=candidate.name,
            headers=self.headers,
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


def upstream_failure(error: UpstreamError, explained: Mapping[str, str]) -> Response:
    """The upstream's own error, byte for byte; ours where it gave none."""
    if error.status is not None:
        headers = {"x-request-id": new_request_id(), **to_client(error.headers), **explained}
        return Response(error.body, error.status, headers)
    headers = {
        "content-type": "application/json",
        "x-request-id": new_request_id(),
        **explained,
    }
    return Response(json_bytes(error_body(error)), error_status(error), headers)


async def read_bytes(request: Request, limit: int) -> bytes:
    """The request's body.

    Raises:
        BodyTooLargeError: it is longer than `limit` bytes; what is longer is not kept.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> BodyTooLargeError:
    remedy = f"send at most {limit} bytes, or raise max_body_bytes in the gateway's settings"
    return BodyTooLargeError("body", Kind("its length"), remedy)


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
