"""`GET /openapi.json`: the description of the API that `openapi.yaml` beside this module holds."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path

import yaml

from turnout.gateway.http.asgi import Call, json_bytes

FILE = Path(__file__).with_name("openapi.yaml")


@cache
def description() -> bytes:
    """The description as JSON; read when it is first asked for."""
    return json_bytes(yaml.safe_load(FILE.read_text(encoding="utf-8")))


async def describe(call: Call) -> None:
    """Answer with it."""
    content = await asyncio.to_thread(description)
    await call.answer(200, {"content-type": "application/json"}, content)
