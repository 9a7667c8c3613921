"""Holds on idempotency keys: who serves the first request of a key, and what its answer was."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from turnout.gateway.calls.calling import Answer
from turnout.gateway.kept.keeping import Kept, KeptAnswers, keeping
from turnout.settings import IdempotencySettings
from turnout.store.record import Status
from turnout.wire.dialects import Dialect

if TYPE_CHECKING:
    from turnout.gateway.calls.recording import Entry

Taken: TypeAlias = Literal["mine", "running", "other"]
"""`mine`: serve it; `running`: its first request is under way; `other`: the key is another request's."""

_OWN_TO_EACH = ("x-request-id", "request-id", "retry-after", "retry-after-ms", "x-should-retry")
_OWN_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
"""Headers of an answer that say nothing of a later one."""


class Claims(Protocol):
    """Where holds are kept. A hold is taken in one step, by one of those who ask at once."""

    def take_limits(self, given: IdempotencySettings) -> None:
        """Keep answers by these settings from now on."""
        ...

    async def take(self, name: str, fingerprint: str, taker: str) -> Taken | Kept:
        """Take a key, or be told what stands in the way.

        Args:
            name: of the caller's key; a digest.
            fingerprint: of the request.
            taker: of the one who asks.

        Raises:
            AccessDownError: where they are kept cannot be reached.
        """
        ...

    async def changed(self, name: str, within_s: float, looks: int) -> None:
        """Wait until something may have become of a key that is held, or for so long.

        Args:
            name: of the key.
            within_s: longest wait.
            looks: how often it was waited for before this.
        """
        ...

    async def close(self, name: str, taker: str, kept: Kept | None) -> None:
        """Give a key back: with the answer of its request, or None, so that the next one serves."""
        ...


@dataclass(slots=True)
class Claim:
    """A request's hold on its key."""

    name: str
    fingerprint: str
    longest_bytes: int
    taker: str = field(default_factory=lambda: secrets.token_hex(8))
    kept: Kept | None = None
    """The answer, once it has come whole and well."""

    def keep(self, kept: Kept, headers: Mapping[str, str]) -> None:
        """Its client gets this answer under these headers; one that is too long is not kept."""
        if len(kept.content) <= self.longest_bytes:
            again = _given_again(headers)
            self.kept = replace(kept, headers=again, fingerprint=self.fingerprint)

    def keeping(
        self,
        answer: Answer,
        entry: Entry,
        dialect: Dialect,
        headers: Mapping[str, str],
        ended: Callable[[Status], None],
    ) -> Callable[[Status], None]:
        """What is to be told of the end of an answer, so that it is given again. See `keeping`."""

        def keep(kept: Kept) -> None:
            self.keep(kept, headers)

        return keeping(
            answer, entry, dialect, ended, keep, longest_bytes=self.longest_bytes, encoded=True
        )


def _given_again(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in _OWN_TO_EACH and not name.startswith(_OWN_PREFIXES)
    }


class MemoryClaims:
    """Implements `Claims` for one process.

    Args:
        answers: where answers are kept.
    """

    def __init__(self, answers: KeptAnswers) -> None:
        self._answers = answers
        self._running: dict[str, tuple[str, str, asyncio.Event]] = {}
        """Name → fingerprint, taker, and what is set when it is over."""

    def take_limits(self, given: IdempotencySettings) -> None:
        """See `Claims`."""
        self._answers.take_limits(
            ttl_s=given.ttl_s, max_bytes=given.max_bytes, longest_bytes=given.longest_bytes
        )

    async def take(self, name: str, fingerprint: str, taker: str) -> Taken | Kept:
        """See `Claims`."""
        running = self._running.get(name)
        if running is not None:
            return "running" if running[0] == fingerprint else "other"
        kept = self._answers.find(name.encode())
        if kept is not None:
            return kept if kept.fingerprint == fingerprint else "other"
        self._running[name] = fingerprint, taker, asyncio.Event()
        return "mine"

    async def changed(self, name: str, within_s: float, looks: int) -> None:  # noqa: ARG002
        """See `Claims`."""
        running = self._running.get(name)
        if running is not None:
            try:
                async with asyncio.timeout(within_s):
                    await running[2].wait()
            except TimeoutError:
                return

    async def close(self, name: str, taker: str, kept: Kept | None) -> None:
        """See `Claims`."""
        running = self._running.get(name)
        if running is None or running[1] != taker:
            return
        del self._running[name]
        if kept is not None:
            self._answers.keep(name.encode(), kept)
        running[2].set()
