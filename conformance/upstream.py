"""The upstream of a conformance run: simulated answers with cached tokens, and errors on demand.

A request whose text says `scripted:STATUS:TAG` is answered with that status; `GET /count/TAG` says how
many such requests have come, so that a client's retries can be counted from another process.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from turnout.errors import RequestError
from turnout.providers.fake import completion, stream_chunks
from turnout.providers.fake_embeddings import embeddings
from turnout.wire.errors import http_error_body
from turnout.wire.sse import MEDIA_TYPE

CACHED_TOKENS = 3
_SCRIPTED = re.compile(r"scripted:(\d{3}):([\w-]+)")
_DETAILS = f'"prompt_tokens_details":{{"cached_tokens":{CACHED_TOKENS}}},"total_tokens"'


class Upstream:
    """An ASGI app that speaks OpenAI's Chat Completions and Embeddings."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
                Route("/count/{tag}", self._count),
            ]
        )

    async def _count(self, request: Request) -> Response:
        return JSONResponse({"count": self.counts[request.path_params["tag"]]})

    async def _chat(self, request: Request) -> Response:
        raw = await request.body()
        scripted = _SCRIPTED.search(raw.decode())
        if scripted:
            self.counts[scripted[2]] += 1
            status = int(scripted[1])
            error = http_error_body(status, f"scripted: {status}", code="scripted")
            # So short that a client which does not wait finds its upstream fit again.
            return JSONResponse(error, status, {"retry-after-ms": "1"})
        body: dict[str, Any] = json.loads(raw)
        if body.get("stream"):
            chunks = [_with_cached(c.decode()).encode() for c in stream_chunks(body)]
            return StreamingResponse(iter(chunks), media_type=MEDIA_TYPE)
        text = json.dumps(completion(body), separators=(",", ":"))
        return Response(_with_cached(text), media_type="application/json")

    async def _embed(self, request: Request) -> Response:
        try:
            return JSONResponse(embeddings(json.loads(await request.body())))
        except RequestError as error:
            return JSONResponse(http_error_body(400, str(error), code="invalid_value"), 400)


def _with_cached(text: str) -> str:
    return re.sub(r'"total_tokens"', _DETAILS, text)
