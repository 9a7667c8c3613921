"""The gateway that one writes in an afternoon: FastAPI, httpx, nothing else. A peer of `run.py`."""

import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

app = FastAPI()
upstream = httpx.AsyncClient(
    base_url=os.environ["UPSTREAM"],
    headers={"authorization": "Bearer up"},
    limits=httpx.Limits(max_connections=1000, max_keepalive_connections=1000),
    timeout=60,
)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/chat/completions")
async def complete(request: Request) -> Response:
    body = await request.json()
    if not body.get("stream"):
        answer = await upstream.post("/chat/completions", json=body)
        return Response(answer.content, answer.status_code, media_type="application/json")
    sent = upstream.build_request("POST", "/chat/completions", json=body)
    answer = await upstream.send(sent, stream=True)

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in answer.aiter_raw():
            yield piece
        await answer.aclose()

    return StreamingResponse(pieces(), answer.status_code, media_type="text/event-stream")
