"""Embeddings: passed through to the model that was asked for, never routed.

Vectors of two models cannot be compared, so no other model stands in for one that fails: only
replicas of the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.engine import Engine
from turnout.errors import NoCandidateError, RequestError, UnknownNameError
from turnout.execution.attempts import Target, Try
from turnout.gateway.calls.calling import Answer, answered_badly, check_object, refuse_page
from turnout.gateway.calls.relay import whole_body
from turnout.gateway.calls.request import Request, asked_model
from turnout.gateway.http.asgi import Call
from turnout.observe.trail import Attempted, Trail
from turnout.pricing import with_list_values
from turnout.providers.base import Provider
from turnout.settings import EmbeddingSettings
from turnout.types import Candidate, Decision, Price, Query
from turnout.wire.asks import FIELD, read_asks
from turnout.wire.body import Body, read_body
from turnout.wire.embeddings import PATH, read_embeddings, read_embeddings_reply
from turnout.wire.reading import Kind


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model that embeds, its endpoints, and the length of vector that it is asked for."""

    candidate: Candidate
    targets: tuple[Target, ...]
    dimensions: int | None = None


Embeddings = Mapping[str, EmbeddingModel]
"""The embedding models of a gateway, by name."""


def build_embeddings(given: tuple[EmbeddingSettings, ...]) -> dict[str, EmbeddingModel]:
    """The embedding models that the settings name, with list prices where none is given."""
    return {model.name: _model(model) for model in given}


def _model(given: EmbeddingSettings) -> EmbeddingModel:
    name = given.model or given.name
    price = None if given.price is None else Price.per_million(given.price.input_usd, 0)
    candidate = Candidate(
        name=given.name, upstream_model=name, provider=given.provider or "", price=price
    )
    own = Target(given.name, given.provider or "", name)
    replicas = (Target(given.name, r.provider, r.model or name) for r in given.replicas)
    return EmbeddingModel(with_list_values(candidate), (own, *replicas), given.dimensions)


async def read_embeddings_request(call: Call, max_body_bytes: int) -> Request:
    """Read a request whole.

    Raises:
        RequestError: the input is not texts or token ids; no model is asked for; something is
            asked of routing.
        BodyTooLargeError: it is longer than `max_body_bytes`.
        ClientLeftError: the client left before all of it came.
    """
    body = read_body(await call.body(max_body_bytes))
    asks = read_asks(call.headers, body.fields)
    for name in asks.given():
        if name != "decision_only":
            remedy = "leave it out: embeddings are never routed"
            raise RequestError(f"turnout.{name}", Kind("what it asks"), remedy)
    if FIELD in body.fields:
        body = body.without(FIELD)
    model = asked_model(body.fields)
    asked = read_embeddings(body.fields)
    query = Query(text="", input_tokens=asked.input_tokens, max_output_tokens=0)
    return Request(
        call=call, dialect="chat", body=body, query=query, model=model, asks=asks, embeds=True
    )


def decide_embeddings(
    engine: Engine, models: Embeddings, request: Request, barred: Mapping[str, str]
) -> Decision:
    """The model that was asked for, by its name.

    Args:
        engine: makes decisions.
        models: those that make embeddings.
        request: as it came.
        barred: models that its caller may not use, or cannot pay, and why.

    Raises:
        UnknownNameError: no such embedding model here.
        NoCandidateError: it is barred.
    """
    found = models.get(request.model)
    if found is None:
        raise UnknownNameError("model", request.model, models, hint=_HINT)
    if request.model in barred:
        raise NoCandidateError({request.model: barred[request.model]})
    return engine.named(request.query, found.candidate)


_HINT = " These are the models that make embeddings; the settings name them under `embeddings`."


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCaller:
    """Makes attempts for one request for embeddings: its body goes up with `model` replaced."""

    model: EmbeddingModel
    providers: Mapping[str, Provider]
    body: Body
    headers: Mapping[str, str]
    trail: Trail
    made: list[str] = field(default_factory=list)
    """Models that were called, in order."""

    async def __call__(self, todo: Try) -> Answer:
        """Make one attempt.

        Raises:
            UpstreamError: it failed.
        """
        target, name = todo.target, self.model.candidate.name
        provider = self.providers[target.provider]
        self.made.append(name)
        if self.trail.trace is None:
            return await self._attempt(target, provider, self.headers)
        attempted = Attempted(
            candidate=name,
            model=target.model,
            provider=target.provider,
            dialect=provider.dialect,
            fields=self.body.fields,
            operation="embeddings",
        )
        with self.trail.traced(attempted) as more:
            return await self._attempt(target, provider, {**self.headers, **more})

    async def _attempt(
        self, target: Target, provider: Provider, headers: Mapping[str, str]
    ) -> Answer:
        name = self.model.candidate.name
        start = time.perf_counter()
        try:
            reply = await provider.post(
                PATH, self._sent(target), candidate=name, headers=headers, stream=False
            )
            content = await whole_body(reply, name)
        finally:
            waited_s = time.perf_counter() - start
            self.trail.upstream_s += waited_s
        if reply.status >= 400:
            raise answered_badly(reply, name, provider.dialect, content)
        refuse_page(reply, name)
        answer = Answer(
            candidate=name,
            provider=target.provider,
            target=target.key,
            asked=target.model,
            status=reply.status,
            headers=reply.headers,
            content=content,
            first_byte_s=waited_s,
        )
        if "content-encoding" not in reply.headers:
            check_object(content, name)
            reading, answer.model = read_embeddings_reply(content)
            answer.usage = reading.usage
        return answer

    def _sent(self, target: Target) -> bytes:
        fields: dict[str, Any] = {"model": target.model}
        if self.model.dimensions is not None and "dimensions" not in self.body.fields:
            fields["dimensions"] = self.model.dimensions
        return self.body.with_fields(fields)
