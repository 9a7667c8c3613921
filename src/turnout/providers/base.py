"""The seam between a chosen candidate and the endpoint that serves it: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Protocol, Self


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

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, not decoded. Can be read once.

        Raises:
            UpstreamError: the connection broke or fell silent.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back, or cut it where the body was not read to its end."""
        ...


class Provider(Protocol):
    """One call to one upstream, without policy. Open it with `async with`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def chat(self, body: bytes, *, candidate: str, headers: Mapping[str, str]) -> Reply:
        """Send a chat request and return once status and headers are in, whatever the status.

        Args:
            body: JSON, sent as it is.
            candidate: for errors.
            headers: the client's headers to pass on. Keys are the provider's own.

        Raises:
            UpstreamTimeoutError: no answer within the provider's time limits.
            UpstreamError: it could not be reached, or its answer is not HTTP.
        """
        ...
