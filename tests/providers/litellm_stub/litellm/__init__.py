"""Stands in for litellm where that is not installed: what a call does is in the name of its model."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

sys.stdout.write("printed at import: stdout-canary\n")
sys.stderr.write("stderr-canary\n")
if os.environ.get("STUB_BREAKS"):
    raise RuntimeError("import-canary")


class Thing:
    """Like litellm's pydantic objects."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def model_dump(self, *, exclude_none: bool) -> dict[str, Any]:
        assert exclude_none
        found: dict[str, Any] = json.loads(json.dumps(self.body))
        return found


class StubError(Exception):
    def __init__(self, message: str, status_code: int, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.message, self.status_code = message, status_code
        self.response = type("Response", (), {"headers": dict(headers or {})})()


class RateLimitError(StubError):
    pass


class ContextWindowExceededError(StubError):
    pass


class APIConnectionError(StubError):
    pass


class Timeout(StubError):  # noqa: N818 - litellm's name
    pass


def _chunk(model: str, **delta: Any) -> Thing:
    choice = {"index": 0, "delta": delta}
    return Thing({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model,
                  "choices": [choice]})  # fmt: skip


USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "cost": 0.5}


async def _stream(model: str, how: str) -> AsyncIterator[Thing]:
    named = model.partition("/")[2]
    if how == "bad-first":
        raise RateLimitError("slow down", 429)
    yield _chunk(named, role="assistant", content="one ")
    if how == "die":
        os._exit(7)
    if how == "cut":
        raise APIConnectionError("it broke", 500)
    if how == "hang":
        await _until_given_up()
    yield _chunk(named, content="two")
    last = _chunk(named)
    last.body["choices"][0]["finish_reason"] = "stop"
    yield last
    yield Thing({**last.body, "choices": [], "usage": USAGE})


async def _until_given_up() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        Path(os.environ["STUB_NOTES"]).write_text("given up", encoding="utf-8")
        raise


async def acompletion(**asked: Any) -> Any:
    model = asked["model"]
    how = model.rpartition("/")[2]
    if asked.get("stream"):
        return _stream(model, how)
    if how == "die":
        os._exit(7)
    if how == "block":
        time.sleep(60)
    if how == "hang":
        await _until_given_up()
    if how == "limit":
        message = f"too many with {os.environ['STUB_SECRET']} and {asked['api_key']}"
        raise RateLimitError(message, 429, {"retry-after": "3"})
    if how == "long":
        raise ContextWindowExceededError("too long", 400)
    if how == "gone":
        raise APIConnectionError("nobody there", 500)
    if how == "late":
        raise Timeout("too late", 408)
    if how == "bug":
        raise TypeError("bug-canary")
    settings = {n: globals().get(n) for n in ("suppress_debug_info", "telemetry", "callbacks")}
    said = {"asked": asked, "environ": dict(os.environ), "settings": settings}
    choice = {"index": 0, "message": {"role": "assistant", "content": json.dumps(said)},
              "finish_reason": "stop"}  # fmt: skip
    return Thing({"id": "c", "object": "chat.completion", "created": 1,
                  "model": model.partition("/")[2], "choices": [choice], "usage": USAGE})  # fmt: skip
