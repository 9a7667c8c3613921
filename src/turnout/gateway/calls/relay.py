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


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether an answer, by its headers, is a stream of events that can be followed (not an encoded one)."""
    form = headers.get("content-type", "").partition(";")[0].strip().lower()
    return form == sse.MEDIA_TYPE and "content-encoding" not in headers


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
            answer.passed(answer.content)
            await call.begin(answer.status, headers, answer.content)
            status, last = await _pass_on(call, answer)
            if not call.piece_now(b""):  # its client has not read so far: it may leave before this
                await call.piece(last)
                last = b""
            ended(status)
            await call.last(last)
    except ClientLeftError:
        ended("left")
        log.info("client left during the stream of %s; upstream cut off", answer.candidate)
    except asyncio.CancelledError:
        ended("partial")  # this process ends, and its time for running answers is over
        raise
    finally:
        if answer.reply is not None:
            answer.reply.close()


async def _pass_on(call: Call, answer: Answer) -> tuple[Status, bytes]:
    """Pass on the rest of a stream; how it ended, and its last bytes, which the client has not got."""
    reply, passing = answer.reply, answer.passing
    if reply is None or passing is None:  # it was over before it began to be passed on
        return "ok" if passing is None or passing.ended else "partial", b""
    left = b""
    feed, passed, write = passing.feed, answer.passed, call.piece_now

    def take(chunk: bytes) -> bool:
        """Pass a piece on where it arrives, without a turn of this task for each."""
        nonlocal left
        data = feed(chunk)
        if not data:
            return True
        passed(data)
        if write(data):
            return True
        left = data
        return False

    try:
        while (rest := await reply.hand(take)) is None:
            await call.piece(left)  # its client does not read so fast
    except UpstreamError as error:
        log.warning("stream broke off: %s", error)
        return "partial", passing.fail(error)  # no event of the answer's: it is not counted
    last = feed(rest) if rest else b""
    end = passing.end(answer.candidate)
    if passing.ended:
        passed(last + end)
        return "ok", last + end
    passed(last)
    log.warning("stream of %s ended before its answer was complete", answer.candidate)
    return "partial", last + end
