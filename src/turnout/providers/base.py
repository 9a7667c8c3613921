"""The seam between a chosen candidate and the endpoint that serves it: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from turnout.wire.dialects import Dialect


class Reply(Protocol):
    """What an upstream answers, while it is still arriving."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """All response headers, names in lower case."""
        ...

    async def chunk(self) -> bytes | None:
        """The next piece of the body, as its headers here say that it is encoded; None at its end.

        Raises:
            UpstreamError: the connection broke or fell silent.
        """
        ...

    async def hand(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Give the rest of the body to `take` as it arrives.

        Args:
            take: takes a piece, and says whether it wants another one now. It is called wherever
                the bytes arrive, so it must be quick.

        Returns:
            What came with the body's end, which `take` did not get; None where `take` wants no more
            for now: call this again.

        Raises:
            UpstreamError: the connection broke or fell silent.
        """
        ...

    def rest(self) -> bytes | None:
        """The rest of the body, where all of it is here already; None: read it by `chunk`."""
        ...

    def close(self) -> None:
        """Give the connection back, or cut it where the body was not read to its end."""
        ...


async def hand_chunks(reply: Reply, take: Callable[[bytes], bool]) -> bytes | None:
    """`Reply.hand` over `Reply.chunk`, for bodies whose pieces need work before they are taken."""
    while (piece := await reply.chunk()) is not None:
        if not take(piece):
            return None
    return b""


class Provider(Protocol):
    """One call to one upstream, without policy. Open it with `async with`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def dialect(self) -> Dialect:
        """The API that it speaks."""
        ...

    @property
    def stream_usage(self) -> bool:
        """Whether it may be asked for the usage of a chat stream where the client did not ask."""
        ...

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        candidate: str,
        headers: Mapping[str, str],
        stream: bool = False,
    ) -> Reply:
        """Send a request and return once status and headers are in, whatever the status.

        Args:
            path: below the base URL, such as `/chat/completions`.
            body: JSON, sent as it is.
            candidate: for errors.
            headers: the client's headers to pass on. Keys are the provider's own.
            stream: whether a stream was asked for, whose first byte should come soon.

        Raises:
            UpstreamTimeoutError: no answer within the provider's time limits.
            UpstreamError: it could not be reached, or its answer is not HTTP.
        """
        ...
