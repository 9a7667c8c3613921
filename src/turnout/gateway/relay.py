"""An upstream's answer, read whole or passed on as it arrives."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnout.errors import UpstreamError
from turnout.gateway.asgi import Call, ClientLeftError
from turnout.providers.base import Reply
from turnout.wire import sse

if TYPE_CHECKING:
    from turnout.gateway.calling import Answer

log = logging.getLogger("turnout.gateway")

MOST_BODY_BYTES = 64 << 20
"""Longest answer that is read whole."""


def is_stream(reply: Reply) -> bool:
    """Whether an answer is a stream of events that can be followed (not an encoded one)."""
    form = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return form == sse.MEDIA_TYPE and "content-encoding" not in reply.headers


async def whole_body(reply: Reply, candidate: str = "the upstream") -> bytes:
    """The body of an answer that is not a stream.

    Raises:
        UpstreamError: it broke off, or is longer than is read.
    """
    pieces, size = [], 0
    try:
        while (piece := await reply.chunk()) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BODY_BYTES:
                message = f"the answer of {candidate} is longer than {MOST_BODY_BYTES} bytes"
                raise UpstreamError(message, candidate=candidate)
    finally:
        reply.close()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def relay_stream(call: Call, answer: Answer, headers: Mapping[str, str]) -> None:
    """Pass events on as they arrive; end quietly, with the upstream cut off, when the client leaves.

    A stream that breaks off, or ends before it is complete, ends with an error event in the client's
    dialect and without that dialect's last event.
    """
    try:
        async with call.unless_gone():
            await call.begin(answer.status, headers)
            if answer.content:
                await call.piece(answer.content)
            await _pass_on(call, answer)
            await call.piece(b"", more=False)
    except ClientLeftError:
        log.info("client left during the stream of %s; upstream cut off", answer.candidate)
    finally:
        if answer.reply is not None:
            answer.reply.close()


async def _pass_on(call: Call, answer: Answer) -> None:
    reply, passing = answer.reply, answer.passing
    if reply is None or passing is None:
        return  # it was over before it began to be passed on
    try:
        while (chunk := await reply.chunk()) is not None:
            if data := passing.feed(chunk):
                await call.piece(data)
    except UpstreamError as error:
        log.warning("stream broke off: %s", error)
        if data := passing.fail(error):
            await call.piece(data)
        return
    if data := passing.end(answer.candidate):
        await call.piece(data)
    if not passing.ended:
        log.warning("stream of %s ended before its answer was complete", answer.candidate)
