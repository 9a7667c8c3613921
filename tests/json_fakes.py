"""Scripted JSON endpoints on a loopback socket, and the log-probability shapes of real servers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from turnout.cli.local import serving

Answer = Callable[[dict[str, Any]], Any]
"""A request's body → a JSON value, or a ready response, or an awaitable of one."""


@dataclass
class Scripted:
    answer: Answer
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    async def serve(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.bodies.append(body)
        self.paths.append(request.url.path)
        self.headers.append(dict(request.headers))
        found = self.answer(body)
        if isinstance(found, Awaitable):
            found = await found
        if isinstance(found, Response):
            return found
        return Response(json.dumps(found), media_type="application/json")


@contextmanager
def endpoint(answer: Answer) -> Iterator[tuple[str, Scripted]]:
    """Base URL of a server that gives these answers, and what it saw."""
    script = Scripted(answer)
    app = Starlette(routes=[Route("/v1/{rest:path}", script.serve, methods=["POST"])])
    with serving(app) as url:
        yield f"{url}/v1", script


def text_answer(text: str, status: int = 200) -> Answer:
    return lambda _: Response(text, status_code=status)


def slow(answer: Answer, seconds: float) -> Answer:
    async def later(body: dict[str, Any]) -> Any:
        await asyncio.sleep(seconds)
        return answer(body)

    return later


def openai_chat(tokens: Mapping[str, float], first: str | None = None) -> dict[str, Any]:
    """As OpenAI gives it: `bytes` beside each token."""
    top = [
        {"token": t, "logprob": math.log(p), "bytes": list(t.encode())} for t, p in tokens.items()
    ]
    place = {**top[0], "top_logprobs": top}
    if first is not None:
        place["token"] = first
    return _chat([place])


def vllm_chat(tokens: Mapping[str, float]) -> dict[str, Any]:
    """As vLLM gives it: a leading blank token, the sampled one outside of the top."""
    rest = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in tokens.items()]
    blank = {"token": "\n", "logprob": -0.01, "bytes": [10]}
    return _chat([{**blank, "top_logprobs": [blank]}, {**rest[0], "top_logprobs": rest[1:]}])


def llama_chat(tokens: Mapping[str, float]) -> dict[str, Any]:
    """As llama.cpp's server gives it: token ids, no logprob of minus infinity but null-free rows."""
    top = [{"id": i, "token": t, "logprob": math.log(p)} for i, (t, p) in enumerate(tokens.items())]
    return _chat([{**top[0], "top_logprobs": top}])


def legacy(tokens: Mapping[str, float]) -> dict[str, Any]:
    rows = {t: math.log(p) for t, p in tokens.items()}
    first = next(iter(rows))
    logprobs = {"tokens": [first], "token_logprobs": [rows[first]], "top_logprobs": [rows]}
    return {"choices": [{"text": first, "logprobs": logprobs}]}


def _chat(places: list[dict[str, Any]]) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": places[-1]["token"]},
        "logprobs": {"content": places},
        "finish_reason": "stop",
    }
    return {"choices": [choice], "usage": {"prompt_tokens": 90, "completion_tokens": 1}}


def embed(body: dict[str, Any], dimension: int = 64) -> dict[str, Any]:
    """Vectors of the hashing encoder, three times as long, in another order than asked."""
    from turnout.encoders.hashing import HashingEncoder

    vectors = 3 * HashingEncoder(dimension).encode(body["input"])
    rows = [{"index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]
    return {"object": "list", "model": body["model"], "data": rows[::-1]}
