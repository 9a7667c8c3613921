"""One request as the gateway works on it: what came, and what each stage has found out so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnout.errors import RequestError
from turnout.gateway.calls.redirecting import check_upstream_is_ours
from turnout.gateway.http.asgi import Call
from turnout.types import Query
from turnout.wire import chat, messages, responses
from turnout.wire.asks import FIELD, Asks, read_asks
from turnout.wire.body import Body, read_body
from turnout.wire.dialects import Dialect
from turnout.wire.reading import Kind, kind

if TYPE_CHECKING:
    from turnout.gateway.kept.idempotency.claims import Claim

_LONGEST_MODEL = 256
_QUERIES: Mapping[Dialect, Callable[[Mapping[str, Any]], Query]] = {
    "chat": chat.read_query,
    "responses": responses.read_query,
    "messages": messages.read_query,
}


@dataclass(slots=True, kw_only=True)
class Request:
    """What a client asks for, in its own dialect."""

    call: Call
    dialect: Dialect
    body: Body
    query: Query
    model: str
    """What `model` says: a route, or a candidate's name."""
    asks: Asks
    """What it asks of routing beside."""
    rename: str | None = None
    """The model that the reply is to name; None: whatever the upstream names."""
    route: str = ""
    """The route that it asks for, its knob included: while this stays the same, so may its model."""
    embeds: bool = False
    """Whether vectors are asked for, from an embedding model of this name."""
    session: str = ""
    """The id of its conversation."""
    claim: Claim | None = None
    """Its hold on its idempotency key, where it has one."""

    @property
    def key(self) -> str:
        """The id of the key that asks; empty where no key is asked for."""
        who = self.call.identity
        return "" if who is None else who.id

    @property
    def stream(self) -> bool:
        """Whether the answer is to come as a stream of events."""
        return is_streamed(self.body.fields) and not self.embeds


def is_streamed(fields: Mapping[str, Any]) -> bool:
    """Whether a request asks for a stream of events."""
    return fields.get("stream") is True


async def read_request(call: Call, dialect: Dialect, max_body_bytes: int) -> Request:
    """Read a request whole.

    Raises:
        RequestError: a field is missing or makes no sense, or names an upstream; no model is asked for.
        BodyTooLargeError: it is longer than `max_body_bytes`.
        ClientLeftError: the client left before all of it came.
    """
    body = read_body(await call.body(max_body_bytes))
    check_upstream_is_ours(body.fields)
    asks = read_asks(call.headers, body.fields)
    if FIELD in body.fields:
        body = body.without(FIELD)
    query = _QUERIES[dialect](body.fields)
    model = asked_model(body.fields)
    return Request(call=call, dialect=dialect, body=body, query=query, model=model, asks=asks)


def asked_model(fields: Mapping[str, Any]) -> str:
    """What `model` says.

    Raises:
        RequestError: it is missing, no text, empty or too long.
    """
    remedy = "give the name of a route or a model; GET /v1/models lists them"
    if "model" not in fields:
        raise RequestError("model", Kind("a missing field"), remedy)
    model = fields["model"]
    if not isinstance(model, str):
        raise RequestError("model", kind(model), remedy)
    if not model or len(model) > _LONGEST_MODEL:
        raise RequestError("model", model, remedy)
    return model
