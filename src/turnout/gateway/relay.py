"""An upstream's answer, passed on as it arrives; the upstream is cut off when the client leaves."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from turnout.errors import UpstreamError
from turnout.providers.base import Reply
from turnout.wire import sse
from turnout.wire.errors import error_body

log = logging.getLogger("turnout.gateway")

T = TypeVar("T")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do some work, and cancel it if the client disconnects first.

    Raises:
        ClientDisconnect: it did.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            await _ended(task)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(task: asyncio.Future[Any]) -> None:
    """Cancel a task that is still running, and wait until it has cleaned up."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()):
            log.debug("while cancelling: %r", error)


def is_stream(reply: Reply) -> bool:
    """Whether an answer is a stream of events that can be followed (not an encoded one)."""
    form = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return form == sse.MEDIA_TYPE and "content-encoding" not in reply.headers


async def whole_body(reply: Reply) -> bytes:
    """The body of an answer that is not a stream.

    Raises:
        UpstreamError: it broke off.
    """
    try:
        return b"".join([chunk async for chunk in reply.chunks()])
    finally:
        await reply.aclose()


class StreamRelay(Response):
    """Passes events on as they arrive.

    Bytes are the upstream's own, in whole lines. Where it breaks off before a finish reason or
    `[DONE]`, the stream ends with an error event in OpenAI's form and without `[DONE]`.
    """

    def __init__(self, reply: Reply, *, candidate: str, headers: Mapping[str, str]) -> None:
        self.status_code = reply.status
        self.background = None
        self.init_headers(headers)
        self._reply, self._candidate = reply, candidate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the stream; end quietly, with the upstream cut off, when the client leaves."""
        try:
            await unless_gone(receive, self._send(send))
        except ClientDisconnect:
            log.info("client left during the stream of %s; upstream cut off", self._candidate)
        finally:
            await self._reply.aclose()

    async def _send(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async for data in self._events():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncIterator[bytes]:
        lines = sse.WholeLines()
        try:
            async for chunk in self._reply.chunks():
                if data := lines.feed(chunk):
                    yield data
        except UpstreamError as error:
            log.warning("stream broke off: %s", error)
            yield _error_event(error)
            return
        if data := lines.rest():
            yield data
        if not lines.ended:
            log.warning("stream of %s ended before its answer was complete", self._candidate)
            message = f"the answer of {self._candidate} ended before it was complete"
            yield _error_event(UpstreamError(message, candidate=self._candidate))


def _error_event(error: UpstreamError) -> bytes:
    """An event that also ends whatever event was under way."""
    return b"\n" + sse.event(error_body(error))


def json_bytes(value: Any) -> bytes:
    """Compact JSON in ASCII: safe whatever a client sent."""
    return json.dumps(value, separators=(",", ":")).encode()
