"""An upstream's answer, passed on as it arrives; the upstream is cut off when the client leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from turnout.errors import UpstreamError
from turnout.gateway.asgi import Call, ClientLeftError
from turnout.providers.base import Reply
from turnout.wire import sse
from turnout.wire.errors import error_body

log = logging.getLogger("turnout.gateway")


def is_stream(reply: Reply) -> bool:
    """Whether an answer is a stream of events that can be followed (not an encoded one)."""
    form = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return form == sse.MEDIA_TYPE and "content-encoding" not in reply.headers


async def whole_body(reply: Reply) -> bytes:
    """The body of an answer that is not a stream.

    Raises:
        UpstreamError: it broke off.
    """
    pieces = []
    try:
        while (piece := await reply.chunk()) is not None:
            pieces.append(piece)
    finally:
        reply.close()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def relay_stream(
    call: Call, reply: Reply, *, candidate: str, headers: Mapping[str, str]
) -> None:
    """Pass events on as they arrive; end quietly, with the upstream cut off, when the client leaves.

    Bytes are the upstream's own, in whole lines. Where it breaks off before a finish reason or
    `[DONE]`, the stream ends with an error event in OpenAI's form and without `[DONE]`.
    """
    try:
        async with call.unless_gone():
            await call.begin(reply.status, headers)
            await _pass_on(call, reply, candidate)
            await call.piece(b"", more=False)
    except ClientLeftError:
        log.info("client left during the stream of %s; upstream cut off", candidate)
    finally:
        reply.close()


async def _pass_on(call: Call, reply: Reply, candidate: str) -> None:
    lines = sse.WholeLines()
    try:
        while (chunk := await reply.chunk()) is not None:
            if data := lines.feed(chunk):
                await call.piece(data)
    except UpstreamError as error:
        log.warning("stream broke off: %s", error)
        await call.piece(_error_event(error))
        return
    if data := lines.rest():
        await call.piece(data)
    if not lines.ended:
        log.warning("stream of %s ended before its answer was complete", candidate)
        message = f"the answer of {candidate} ended before it was complete"
        await call.piece(_error_event(UpstreamError(message, candidate=candidate)))


def _error_event(error: UpstreamError) -> bytes:
    """An event that also ends whatever event was under way."""
    return b"\n" + sse.event(error_body(error))
