"""The process that litellm runs in: a small chat endpoint on loopback, for one caller with a token.

Started by `process.py` as `python -m turnout.providers.litellm.child`. On its standard input comes one
line of JSON that says all it is to know; when that input ends, so does the process. On its standard
output it writes a line when it listens, and then one every second as a sign of life. What litellm and
its libraries print goes nowhere: it may hold prompts and keys.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

import uvicorn

from turnout.providers.litellm.answers import body_of, fault_of
from turnout.providers.litellm.asked import RefusedError, check_asked
from turnout.wire.errors import http_error_body

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Complete: TypeAlias = Callable[..., Awaitable[Any]]

BEAT_S = 1.0
"""Between two signs of life."""
DRAIN_S = 5.0
"""For answers under way when it is to end."""
QUIET = {
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_MODE": "PRODUCTION",  # else it reads a .env file
    "LITELLM_LOG": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""By these it fetches nothing of its own: no price list, no catalog, no tokenizer."""
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream")


class ChatEndpoint:
    """Answers `POST /chat/completions` by litellm. An ASGI application.

    Args:
        complete: `litellm.acompletion`.
        token: that the caller brings.
        options: arguments of every call.
        secrets: that no error may quote.
    """

    def __init__(
        self, complete: Complete, *, token: str, options: dict[str, Any], secrets: list[str]
    ) -> None:
        self._complete, self._options, self._secrets = complete, options, secrets
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; when its caller leaves, the call is given up."""
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._authorization):
            await _refuse(send, 401, "this endpoint is the gateway's own", "invalid_api_key")
            return
        if scope["path"] != "/chat/completions" or scope["method"] != "POST":
            await _refuse(send, 404, "POST /chat/completions is all there is here", "not_found")
            return
        body = await _body(receive)
        work = asyncio.create_task(self._answer(body, send))
        left = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, left):
                task.cancel()
            await asyncio.gather(work, left, return_exceptions=True)

    async def _answer(self, body: bytes, send: Send) -> None:
        try:
            asked = check_asked(json.loads(body))
        except RefusedError as error:
            await _refuse(send, 400, str(error), error.code)
            return
        except (ValueError, RecursionError):
            await _refuse(send, 400, "the body is not JSON", "invalid_request")
            return
        model, stream = asked["model"], asked.get("stream") is True
        first: Any = None
        try:
            given = await self._complete(**{**asked, **self._options})
            if stream:  # until its first chunk is there, an error still has a status of its own
                chunks = aiter(given)
                first = await anext(chunks, None)
        except Exception as error:  # noqa: BLE001 - litellm and its providers raise anything
            status, content, more = fault_of(error, self._secrets)
            await _send(send, status, content, _JSON, *_encoded(more))
            return
        if stream:
            await self._stream(send, first, chunks, model)
        else:
            await _send(send, 200, body_of(given, model), _JSON)

    async def _stream(self, send: Send, first: Any, chunks: AsyncIterator[Any], model: str) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [_EVENTS]})
        try:
            if first is not None:
                await _event(send, body_of(first, model))
            async for chunk in chunks:
                await _event(send, body_of(chunk, model))
            await _event(send, b"[DONE]")
        except Exception as error:  # noqa: BLE001 - see above; here it goes into the stream
            _, content, _ = fault_of(error, self._secrets)
            await _event(send, content)
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _event(send: Send, data: bytes) -> None:
    body = b"data: " + data + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _refuse(send: Send, status: int, message: str, code: str) -> None:
    content = json.dumps(http_error_body(status, message, code=code)).encode()
    await _send(send, status, content, _JSON)


async def _send(send: Send, status: int, content: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": content})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def opened(told: dict[str, Any]) -> ChatEndpoint:
    """The endpoint, with litellm imported: that takes seconds.

    Args:
        told: `token`, `options`, `api_key`, `api_base`, `timeout_s` and `secrets`.
    """
    os.environ.update(QUIET)
    litellm = importlib.import_module("litellm")
    for name, value in (("telemetry", False), ("suppress_debug_info", True),
                        ("turn_off_message_logging", True), ("disable_hf_tokenizer_download", True),
                        ("success_callback", []), ("failure_callback", []),
                        ("callbacks", [])):  # fmt: skip
        setattr(litellm, name, value)
    # The gateway tries again, and elsewhere; what tries again beneath it would multiply that.
    options = {**told["options"], "num_retries": 0, "max_retries": 0, "timeout": told["timeout_s"]}
    for name in ("api_key", "api_base"):
        if told[name] is not None:
            options[name] = told[name]
    return ChatEndpoint(
        litellm.acompletion, token=told["token"], options=options, secrets=told["secrets"]
    )


async def serve(app: ChatEndpoint, say: Callable[[bytes], None]) -> None:
    """Serve until the standard input ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=round(DRAIN_S),
        )
    )
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    def await_end() -> None:
        sys.stdin.buffer.read()
        with suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(end)
        time.sleep(DRAIN_S + 1)
        os._exit(1)  # the loop hangs

    threading.Thread(target=await_end, daemon=True).start()
    beating = asyncio.create_task(_beat(server, listener.getsockname()[1], say))
    await server.serve(sockets=[listener])
    beating.cancel()


async def _beat(server: uvicorn.Server, port: int, say: Callable[[bytes], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    say(b'{"port": %d}\n' % port)
    while True:
        await asyncio.sleep(BEAT_S)
        say(b"\n")


def main() -> None:
    """Read what is to be known, import litellm, and serve."""
    told = json.loads(sys.stdin.buffer.readline())
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    logging.disable(logging.CRITICAL)

    def say(line: bytes) -> None:
        with suppress(BrokenPipeError):
            os.write(out, line)

    try:
        app = opened(told)
    except Exception as error:  # noqa: BLE001 - the process edge: the parent logs it
        say(
            json.dumps({"problem": f"litellm cannot be imported ({type(error).__name__})"}).encode()
        )
        sys.exit(1)
    asyncio.run(serve(app, say))


if __name__ == "__main__":
    main()
