"""An upstream's answer, read whole or passed on as it arrives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from turnout.errors import UpstreamError
from turnout.gateway.http.asgi import Call, ClientLeftError
from turnout.providers.base import Reply
from turnout.store.record import Status
from turnout.wire import sse

if TYPE_CHECKING:
    from turnout.gateway.calls.calling import Answer

log = logging.getLogger("turnout.gateway")

EVENTS = f"{sse.MEDIA_TYPE}; charset=utf-8"
"""The media type of a stream of events."""
MOST_BODY_BYTES = 64 << 20
"""Longest answer that is read whole."""


def is_stream(reply: Reply) -> bool:
    """Whether an answer is a stream of events that can be followed (not an encoded one)."""
    form = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return form == sse.MEDIA_TYPE and "content-encoding" not in reply.headers


async def whole_body(reply: Reply, candidate: str) -> bytes:
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


async def relay_stream(
    call: Call, answer: Answer, headers: Mapping[str, str], ended: Callable[[Status], None]
) -> None:
    """Pass events on as they arrive; end quietly, with the upstream cut off, when the client leaves.

    A stream that breaks off, or ends before it is complete, ends with an error event in the client's
    dialect and without that dialect's last event.

    Args:
        call: the client's.
        answer: with the beginning of its stream.
        headers: to the client.
        ended: told how it went, before the client sees the end.
    """
    try:
        async with call.unless_gone():
            await call.begin(answer.status, headers)
            await _pass(call, answer, answer.content)
            ended(await _pass_on(call, answer))
            await call.piece(b"", more=False)
    except ClientLeftError:
        ended("left")
        log.info("client left during the stream of %s; upstream cut off", answer.candidate)
    except asyncio.CancelledError:
        ended("partial")  # this process ends, and its time for running answers is over
        raise
    finally:
        if answer.reply is not None:
            answer.reply.close()


async def _pass(call: Call, answer: Answer, data: bytes) -> None:
    if data:
        answer.passed(data)
        await call.piece(data)


async def _pass_on(call: Call, answer: Answer) -> Status:
    """The rest of a stream, and how it ended."""
    reply, passing = answer.reply, answer.passing
    if reply is None or passing is None:  # it was over before it began to be passed on
        return "ok" if passing is None or passing.ended else "partial"
    left = b""

    def take(chunk: bytes) -> bool:
        """Pass a piece on where it arrives, without a turn of this task for each."""
        nonlocal left
        data = passing.feed(chunk)
        if not data:
            return True
        answer.passed(data)
        if call.piece_now(data):
            return True
        left = data
        return False

    try:
        while not await reply.hand(take):
            await call.piece(left)  # its client does not read so fast
    except UpstreamError as error:
        log.warning("stream broke off: %s", error)
        await call.piece(passing.fail(error))  # no event of the answer's: it is not counted
        return "partial"
    last = passing.end(answer.candidate)
    if passing.ended:
        await _pass(call, answer, last)
        return "ok"
    await call.piece(last)
    log.warning("stream of %s ended before its answer was complete", answer.candidate)
    return "partial"
