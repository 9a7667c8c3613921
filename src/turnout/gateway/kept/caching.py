"""An exact cache: the same request of the same client gets the same answer again, for a while.

In memory, of bounded size. A request is the same when its whole body, its dialect, what it says to
upstreams in headers, and the candidate that was decided for are; a client is told by its credentials.
Only answers that came whole and well are kept, and only of requests that ask for no chance
(`temperature` 0) or ask to be cached.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from turnout.errors import RequestError
from turnout.gateway.calls.calling import Answer
from turnout.gateway.calls.recording import Entry
from turnout.gateway.calls.request import Request
from turnout.gateway.http.asgi import Call
from turnout.gateway.http.headers import header_safe, to_upstream
from turnout.gateway.kept.idempotency.claims import Claim
from turnout.gateway.kept.keeping import Kept, KeptAnswers, keeping
from turnout.settings import CacheSettings
from turnout.store.record import Status
from turnout.wire.dialects import Dialect

HEADER = "x-turnout-cache"
_TRACES = ("traceparent", "tracestate", "idempotency-key")
"""Headers that differ from request to request, and change no answer."""
_ELSEWHERE = (
    "previous_response_id", "conversation", "prompt", "background", "container", "mcp_servers",
    "web_search_options",
)  # fmt: skip
"""Fields by which an answer depends on more than the request."""
_PLAIN_TOOLS = (None, "function", "custom")


@dataclass(slots=True)
class CacheCounts:
    """What became of requests that may be cached."""

    hits: int = 0
    misses: int = 0


class ExactCache:
    """Keeps answers. One for a process, used by its event loop alone.

    Args:
        given: for how long, and how much.
        clock: monotonic seconds.
    """

    def __init__(
        self, given: CacheSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.kept = KeptAnswers(
            ttl_s=given.ttl_s,
            max_bytes=given.max_bytes,
            longest_bytes=given.longest_bytes,
            clock=clock,
        )
        self.counts = CacheCounts()

    def find(self, digest: bytes) -> Kept | None:
        """What is kept for a request that may be answered from here."""
        kept = self.kept.find(digest)
        if kept is None:
            self.counts.misses += 1
        else:
            self.counts.hits += 1
        return kept

    def state(self) -> dict[str, int]:
        """JSON-ready."""
        return {
            "hits": self.counts.hits,
            "misses": self.counts.misses,
            "answers": len(self.kept),
            "bytes": self.kept.bytes,
        }


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Tells one request of one client from all others."""

    cache: ExactCache
    dialect: Dialect
    digest: bytes
    read: bool = True
    """Whether it may be answered with what is kept; else the new answer takes its place."""

    def find(self) -> Kept | None:
        """What is kept for it; None where it is to be answered anew."""
        return self.cache.find(self.digest) if self.read else None

    def keeping(
        self, answer: Answer, entry: Entry, ended: Callable[[Status], None]
    ) -> Callable[[Status], None]:
        """What is to be told of the end of an answer, so that it is kept if it came well.

        Args:
            answer: of which nothing has passed yet.
            entry: of its request, which knows the cost in the end.
            ended: is told first.
        """
        kept = self.cache.kept
        return keeping(
            answer,
            entry,
            self.dialect,
            ended,
            partial(kept.keep, self.digest),
            longest_bytes=kept.longest_bytes,
        )


async def answer_kept(
    call: Call,
    kept: Kept,
    entry: Entry,
    explained: Mapping[str, str],
    claim: Claim | None = None,
) -> None:
    """Answer with what is kept, and record that nothing was called.

    Args:
        call: the client's.
        kept: for its request.
        entry: of its request.
        explained: headers of the decision.
        claim: the request's hold on its idempotency key.
    """
    headers = {
        **call.own_id(),
        **explained,
        "content-type": kept.content_type,
        "x-turnout-model": header_safe(kept.candidate),
        "x-turnout-cost-usd": "0",
        HEADER: "hit",
        "age": str(kept.age_s),
    }
    if claim is not None:
        claim.keep(kept, headers)
    entry.hit(kept.candidate, http_status=200, saved_picousd=kept.cost_picousd)
    await call.answer(200, headers, kept.content)


def cache_key(cache: ExactCache | None, request: Request, candidate: str) -> CacheKey | None:
    """The key of a request that may be cached; None for another.

    Args:
        cache: None caches nothing.
        request: as it came.
        candidate: that was decided for.

    Raises:
        RequestError: `x-turnout-cache` says neither on nor off.
    """
    headers = request.call.headers
    if cache is None:
        return None
    asked = headers.get(HEADER, "").strip().lower()
    if asked not in ("", "on", "off"):
        raise RequestError(HEADER, headers[HEADER], "give on or off, or leave it out")
    control = headers.get("cache-control", "").lower()
    if asked == "off" or "no-store" in control or request.asks.explain:
        return None
    fields = request.body.fields
    if not _depends_on_itself(fields) or not (asked == "on" or fields.get("temperature") == 0):
        return None
    said = {n: v for n, v in to_upstream(headers).items() if n not in _TRACES}
    whole = [
        scope_of(headers),
        request.dialect,
        candidate,
        request.rename,
        said,
        {name: value for name, value in fields.items() if name != "model"},
    ]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return CacheKey(cache, request.dialect, digest, "no-cache" not in control)


def scope_of(headers: Mapping[str, str]) -> str:
    """Whose answers a request is given: those of the same credentials, whatever they may be."""
    sent = headers.get("authorization", ""), headers.get("x-api-key", "")
    return hashlib.sha256("\0".join(sent).encode("latin-1", "replace")).hexdigest()


def _depends_on_itself(fields: Mapping[str, Any]) -> bool:
    """Whether the answer depends on nothing but the request: no state elsewhere, no hosted tools."""
    if any(fields.get(name) for name in _ELSEWHERE):
        return False
    tools = fields.get("tools")
    return not isinstance(tools, list) or all(
        isinstance(tool, Mapping) and tool.get("type") in _PLAIN_TOOLS for tool in tools
    )
