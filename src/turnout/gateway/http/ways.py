"""What a connection asks of those who serve requests without the application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Repeated(Protocol):
    """A head of requests that may come again on a connection."""

    def body_at(self, data: bytes) -> tuple[int, int] | None:
        """Where the body of a request with this head begins in `data`, and how long it is."""
        ...


class Served(Protocol):
    """A request that is served without the application."""

    def gone(self) -> None:
        """Its client has left."""
        ...

    def end(self) -> None:
        """This process ends."""
        ...

    def writable(self) -> None:
        """Its client, who did not read so fast, takes more again."""
        ...


class Express(Protocol):
    """Serves requests that are like those before them, without the application."""

    def head_of(
        self,
        data: bytes,
        method: bytes,
        url: bytes,
        version: str,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> Repeated | None:
        """The head that `data` begins with, as the parser has read it, where it may come again."""
        ...

    def known(self, data: bytes) -> Repeated | None:
        """The head by which `data` begins, where it has come before on any connection."""
        ...

    def begin(self, client: Any, head: Any, body: bytes, since: float) -> Served | None:
        """Serve a request; None: it is for the application.

        Args:
            client: its connection.
            head: of it.
            body: of it.
            since: when its head came without it, by `time.perf_counter`; 0 where they came together.
        """
        ...
