"""Answers that are kept to be given again: a store of bounded size, and how an answer gets into it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from turnout.gateway.calls.calling import Answer, Copy
from turnout.gateway.calls.passing import tells_of_error
from turnout.gateway.calls.relay import EVENTS
from turnout.store.record import Status
from turnout.wire.dialects import Dialect

if TYPE_CHECKING:
    from turnout.gateway.calls.recording import Entry

_ENTRY_BYTES = 1_024
"""What an entry takes beside its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as its client got it."""

    candidate: str
    content_type: str
    content: bytes
    cost_picousd: int | None
    """What it cost."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that are to be given again beside its type."""
    fingerprint: str = ""
    """Of its request, where another one may not have it."""
    at: float = 0.0
    """When it was kept, on the store's clock."""
    age_s: int = 0
    """Seconds since then, where it has been found."""


class KeptAnswers:
    """Answers in memory, each for a while, all within a number of bytes. For one event loop.

    Args:
        ttl_s: how long each is kept.
        max_bytes: of all; the ones used longest ago make room.
        longest_bytes: of one; a longer one is not kept.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        ttl_s: float,
        max_bytes: int,
        longest_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.longest_bytes = longest_bytes
        self._ttl_s, self._max_bytes, self._clock = ttl_s, max_bytes, clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.bytes = 0
        """Taken by what is kept."""

    def __len__(self) -> int:
        return len(self._kept)

    def take_limits(self, *, ttl_s: float, max_bytes: int, longest_bytes: int) -> None:
        """Keep by other limits from now on; what is kept already is measured by them too."""
        self._ttl_s, self._max_bytes, self.longest_bytes = ttl_s, max_bytes, longest_bytes
        self._make_room()

    def find(self, digest: bytes) -> Kept | None:
        """What is kept under a digest, with its age; None where nothing is, or not any more."""
        kept, now = self._kept.get(digest), self._clock()
        if kept is None:
            return None
        if now - kept.at >= self._ttl_s:
            self._drop(digest)
            return None
        self._kept.move_to_end(digest)
        return replace(kept, age_s=int(now - kept.at))

    def keep(self, digest: bytes, kept: Kept) -> None:
        """Keep an answer in place of what was kept under its digest."""
        if len(kept.content) > self.longest_bytes:
            return
        self._drop(digest)
        self._kept[digest] = replace(kept, at=self._clock())
        self.bytes += len(kept.content) + _ENTRY_BYTES
        self._make_room()

    def _make_room(self) -> None:
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, digest: bytes) -> None:
        old = self._kept.pop(digest, None)
        if old is not None:
            self.bytes -= len(old.content) + _ENTRY_BYTES


def keeping(
    answer: Answer,
    entry: Entry,
    dialect: Dialect,
    ended: Callable[[Status], None],
    keep: Callable[[Kept], None],
    *,
    longest_bytes: int,
    encoded: bool = False,
) -> Callable[[Status], None]:
    """What is to be told of the end of an answer, so that it is kept if it came whole and well.

    Args:
        answer: of which nothing has passed yet.
        entry: of its request, which knows the cost in the end.
        dialect: the client's.
        ended: is told first.
        keep: is given what came.
        longest_bytes: of a stream that is worth holding on to.
        encoded: whether an encoded answer (gzip, say) may be kept as well.
    """
    if answer.passing is not None and answer.copy is None:
        answer.copy = Copy(longest_bytes)
    elif answer.copy is not None:
        answer.copy.most = max(answer.copy.most, longest_bytes)

    def end(status: Status) -> None:
        ended(status)
        content = answer.content if answer.copy is None else answer.copy.whole()
        if status != "ok" or answer.status != 200 or content is None:
            return
        if "content-encoding" in answer.headers and not encoded:
            return
        stream = answer.copy is not None
        if stream and tells_of_error(dialect, content):
            return  # it came to its end, though not to a good one
        given = answer.headers.get("content-type", "application/json")
        record = entry.trail.record
        kept = Kept(
            candidate=answer.candidate,
            content_type=EVENTS if stream else given,
            content=content,
            cost_picousd=record.cost_picousd if record else None,
        )
        keep(kept)

    return end
