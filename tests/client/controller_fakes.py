"""An OpenAI-shaped upstream on a loopback socket, and a router that reads one word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from turnout.errors import RouterError, UnknownNameError
from turnout.types import Candidate, Floats, PairRule, Prediction, Query

STRONG, WEAK = "gpt-4", "gpt-3.5-turbo"
HARD = [{"role": "user", "content": "a hard question"}]
EASY = [{"role": "user", "content": "an easy question"}]


@dataclass
class Upstream:
    """Where the upstream listens, and the requests that it has seen."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        text = body["messages"][-1].get("content") or ""
        if isinstance(text, str) and text.startswith("fail "):
            status = int(text.removeprefix("fail "))
            error = {"message": "as asked", "type": "test", "param": None, "code": "asked"}
            return JSONResponse(
                {"error": error}, status, headers={"retry-after": "7", "x-request-id": "req_1"}
            )
        if body.get("stream"):
            return StreamingResponse(_events(body), media_type="text/event-stream")
        return JSONResponse(_completion(body))


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, **_choice(body)}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        "x_new_field": {"kept": True},
    }


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        call = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city":"Oslo"}'}
        calls = [{"id": "call_1", "type": "function", "function": call}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        return {"finish_reason": "tool_calls", "message": message}
    shaped = body.get("response_format", {}).get("type") == "json_schema"
    content = '{"city":"Oslo","celsius":4}' if shaped else f"from {body['model']}"
    return {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}


def _events(body: dict[str, Any]) -> Iterator[str]:
    message = _choice(body)["message"]
    deltas = [{"role": "assistant"}, *({"content": c} for c in message["content"] or "")]
    for i, delta in enumerate([*deltas, {}]):
        finish = "stop" if i == len(deltas) else None
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


@dataclass(frozen=True)
class WordRouter:
    """Win rate 0.75 where the text holds "hard", else 0.25; "broken" breaks it."""

    name: str = "word"
    fingerprint: str | None = "fp_word"
    knows: tuple[str, ...] | None = None

    def check(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if self.knows is not None and (candidate.known_as or candidate.name) not in self.knows:
                raise UnknownNameError("model", candidate.name, self.knows)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        if any("broken" in q.text for q in queries):
            raise RouterError("the encoder is gone")
        strong = np.array([0.75 if "hard" in q.text else 0.25 for q in queries])
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=_evenly(strong, len(candidates)),
            pair=PairRule("strong"),
        )


def _evenly(strong: np.ndarray, m: int) -> Floats:
    columns = [strong * (m - j) / m for j in range(m)]
    return np.stack(columns, axis=1).astype(np.float32)
