"""A simulated OpenAI-compatible upstream: answers that say so, and faults on demand.

The demo serves its two models with it, and tests script their faults. It needs no key, and nothing
it says comes from a model.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from turnout.providers.fake_embeddings import embeddings
from turnout.types import estimate_tokens
from turnout.wire.chat import read_query
from turnout.wire.errors import http_error_body
from turnout.wire.sse import DONE, MEDIA_TYPE, event

_CREATED = 1_700_000_000
_ECHOED = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How the next call goes instead of well."""

    status: int = 200
    body: bytes | None = None
    """The whole body of the answer; None is the usual one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Wait before the answer."""
    hang: bool = False
    """Never answer: wait until the caller has gone."""
    cut_after: int | None = None
    """Break the connection after this many chunks of a stream."""
    error_after: int | None = None
    """Send an error event after this many chunks of a stream, and end."""
    hang_after: int | None = None
    """Fall silent after this many chunks of a stream, until the caller has gone."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class FakeUpstream:
    """An ASGI app; `seen` is what it was sent, `script` how the next calls go.

    Args:
        models: the names it serves.
        script: one fault per call, in order; then all goes well.
    """

    def __init__(self, models: Sequence[str], script: Iterable[Fault] = ()) -> None:
        self.models = tuple(models)
        self.script = deque(script)
        self.seen: list[Seen] = []
        self.abandoned = 0
        """Calls whose caller went away before the answer was complete."""
        self._app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        await self._app(scope, receive, send)

    async def _models(self, request: Request) -> Response:  # noqa: ARG002 - a route's signature
        data = [{"id": m, "object": "model", "created": _CREATED, "owned_by": "simulated"}
                for m in self.models]  # fmt: skip
        return JSONResponse({"object": "list", "data": data})

    async def _chat(self, request: Request) -> Response:
        fault, body = await self._read(request)
        if isinstance(body, Response):
            return body
        if body.get("stream"):
            stream = self._stream(request, body, fault)
            return StreamingResponse(stream, headers=dict(fault.headers), media_type=MEDIA_TYPE)
        return JSONResponse(completion(body), fault.status, dict(fault.headers))

    async def _embed(self, request: Request) -> Response:
        fault, body = await self._read(request)
        if isinstance(body, Response):
            return body
        return JSONResponse(embeddings(body), fault.status, dict(fault.headers))

    async def _read(self, request: Request) -> tuple[Fault, dict[str, Any] | Response]:
        """How this call goes, and what it asks; or its answer, where that is scripted."""
        raw = await request.body()
        self.seen.append(Seen(request.url.path, dict(request.headers), raw))
        fault = self.script.popleft() if self.script else Fault()
        if fault.hang:
            await self._until_gone(request)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.body is not None:
            return fault, Response(fault.body, fault.status, dict(fault.headers))
        body: dict[str, Any] = json.loads(raw)
        if body.get("model") not in self.models:
            missing = http_error_body(404, "no such simulated model", code="model_not_found")
            return fault, JSONResponse(missing, 404)
        return fault, body

    async def _stream(
        self, request: Request, body: Mapping[str, Any], fault: Fault
    ) -> AsyncIterator[bytes]:
        for i, chunk in enumerate(stream_chunks(body)):
            if i == fault.cut_after:
                raise ConnectionResetError("scripted: the connection breaks here")
            if i == fault.error_after:
                yield event(http_error_body(500, "scripted: an error in mid-stream"))
                return
            if i == fault.hang_after:
                await self._until_gone(request)
            yield chunk

    async def _until_gone(self, request: Request) -> None:
        try:
            while not await request.is_disconnected():
                await asyncio.sleep(0.005)
        finally:
            self.abandoned += 1


def create_fake_app(models: Sequence[str], script: Iterable[Fault] = ()) -> FakeUpstream:
    """A simulated upstream that serves these models."""
    return FakeUpstream(models, script)


def completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """The simulated answer to a chat request: the same for the same request."""
    message, finish = _message(body)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": _CREATED,
        "model": body["model"],
        "choices": [choice],
        "usage": _usage(body, message),
    }


def stream_chunks(body: Mapping[str, Any]) -> list[bytes]:
    """The same answer as server-sent events."""
    message, finish = _message(body)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    words = re.findall(r"\S+\s*", message["content"] or "")
    deltas.extend({"content": word} for word in words)
    for i, call in enumerate(message.get("tool_calls", ())):
        deltas.append({"tool_calls": [{"index": i, **call}]})
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    head = {"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "created": _CREATED,
            "model": body["model"]}  # fmt: skip
    tail: dict[str, Any] = {"usage": None} if wants_usage else {}
    chunks = [
        event({**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}], **tail})
        for d in deltas
    ]
    last = {"index": 0, "delta": {}, "finish_reason": finish}
    chunks.append(event({**head, "choices": [last], **tail}))
    if wants_usage:
        chunks.append(event({**head, "choices": [], "usage": _usage(body, message)}))
    return [*chunks, DONE]


def _message(body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The assistant's message and its finish reason."""
    query = read_query(body)
    if "tools" in query.needs and body["messages"][-1]["role"] != "tool":
        call = {"id": "call_simulated", "type": "function", "function": _called(body)}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    if "json_schema" in query.needs:
        schema = body["response_format"].get("json_schema", {}).get("schema", {})
        return {"role": "assistant", "content": json.dumps(example(schema))}, "stop"
    said = " ".join(query.text[:_ECHOED].split())
    answer = f"[simulated answer of {body['model']}] You said: {said}"
    return {"role": "assistant", "content": answer}, "stop"


def _called(body: Mapping[str, Any]) -> dict[str, str]:
    """The tool that is forced, or the first one, with an example of its arguments."""
    tools = [t.get("function", {}) for t in body.get("tools") or []] or body.get("functions") or []
    choice = body.get("tool_choice")
    forced = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    tool = next((t for t in tools if t.get("name") == forced), tools[0])
    arguments = example(tool.get("parameters", {}))
    return {"name": tool.get("name", ""), "arguments": json.dumps(arguments)}


def example(schema: Mapping[str, Any]) -> Any:
    """A value of the shape that a JSON schema asks for; references are not followed."""
    if "enum" in schema:
        return schema["enum"][0]
    plain: dict[str, Any] = {
        "string": "[simulated]", "integer": 0, "number": 0.0, "boolean": False, "array": [],
        "null": None,
    }  # fmt: skip
    form = schema.get("type", "object")
    if form in plain:
        return plain[form]
    return {name: example(part) for name, part in schema.get("properties", {}).items()}


def _usage(body: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, int]:
    said = json.dumps(message.get("tool_calls") or message["content"])
    prompt, answer = read_query(body).input_tokens, estimate_tokens(said)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }
