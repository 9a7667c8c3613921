"""The cache: the same request of the same client gets the same answer again, for a while.

In memory, of bounded size. A request is the same when its whole body, its dialect, what it says to
upstreams in headers, and the candidate that was decided for are; a client is told by its credentials.
Only answers that came whole and well are kept, and only of requests that ask for no chance
(`temperature` 0) or ask to be cached. Where a request has no answer of its own, and the settings ask for
it, one to another question may be given: see `semantic`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from turnout.gateway.kept.semantic.asked import Meant, meant_by
from turnout.gateway.kept.semantic.cache import SemanticCache, Sought
from turnout.gateway.kept.semantic.pool import Pair
from turnout.settings import CacheSettings
from turnout.store.record import Status
from turnout.types import Decision
from turnout.wire.dialects import Dialect

HEADER = "x-turnout-cache"
BY_MEANING = "by_meaning"
"""The flag of a record, see `turnout.store.record.FLAGS`."""
LONGEST_BODY = 64 << 10
"""Characters of a request beyond which it is not compared by meaning: reading it again takes too long."""
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
class Found:
    """A kept answer that is given again."""

    kept: Kept
    pair: Pair | None = None
    """The question that it was given to; None: this very request."""

    def headers(self) -> dict[str, str]:
        """What its client is told."""
        if self.pair is None:
            return {HEADER: "hit", "age": str(self.kept.age_s)}
        return {
            HEADER: "semantic",
            f"{HEADER}-similarity": f"{self.pair.seen.similarity:.4f}",
            f"{HEADER}-of": self.pair.kept.id,
            "age": str(self.kept.age_s),
        }

    def noted(self, decision: Decision) -> Decision:
        """A decision that says by whose answer it is answered, where that is another's."""
        if self.pair is None:
            return decision
        note = f"answered by meaning with the answer of {self.pair.kept.id}, similarity "
        note += f"{self.pair.seen.similarity:.4f}"
        return replace(decision, notes=(*decision.notes, note))


@dataclass(slots=True)
class CacheKey:
    """Tells one request of one client from all others."""

    cache: ExactCache
    dialect: Dialect
    digest: bytes
    read: bool = True
    """Whether it may be answered with what is kept; else the new answer takes its place."""
    semantic: SemanticCache | None = None
    meant: Meant | None = None
    """What of it may be compared by meaning; None: nothing."""
    sought: Sought | None = None
    """What was found by meaning."""

    async def find(self, within_s: float | None = None) -> Found | None:
        """What is kept for it; None where it is to be answered anew.

        Args:
            within_s: in which its client wants an answer to begin; None: it does not say.
        """
        kept = self.cache.find(self.digest) if self.read else None
        if kept is not None:
            return Found(kept)
        if self.semantic is None or self.meant is None:
            return None
        self.sought = sought = await self.semantic.look(self.meant, within_s)
        if sought is None or not sought.hit or sought.kept is None:
            return None
        return Found(sought.kept, sought.pair)

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
            partial(self._keep, entry.record.id),
            longest_bytes=kept.longest_bytes,
        )

    def _keep(self, by: str, kept: Kept) -> None:
        self.cache.kept.keep(self.digest, kept)
        if self.semantic is not None and self.sought is not None:
            self.semantic.learn(self.sought, self.digest, self.dialect, by, kept)


async def answer_kept(
    call: Call,
    found: Found,
    entry: Entry,
    explained: Mapping[str, str],
    claim: Claim | None = None,
) -> None:
    """Answer with what is kept, and record that nothing was called.

    Args:
        call: the client's.
        found: for its request.
        entry: of its request.
        explained: headers of the decision.
        claim: the request's hold on its idempotency key.
    """
    kept = found.kept
    headers = {
        **call.own_id(),
        **explained,
        "content-type": kept.content_type,
        "x-turnout-model": header_safe(kept.candidate),
        "x-turnout-cost-usd": "0",
        **found.headers(),
    }
    if found.pair is not None:
        entry.record.flags = BY_MEANING
    if claim is not None:
        claim.keep(kept, headers)
    entry.hit(kept.candidate, http_status=200, saved_picousd=kept.cost_picousd)
    await call.answer(200, headers, kept.content)


def cache_key(
    cache: ExactCache | None,
    request: Request,
    candidate: str,
    semantic: SemanticCache | None = None,
) -> CacheKey | None:
    """The key of a request that may be cached; None for another.

    Args:
        cache: None caches nothing.
        request: as it came.
        candidate: that was decided for.
        semantic: None compares nothing by meaning.

    Raises:
        RequestError: `x-turnout-cache` says something else than on, exact or off.
    """
    headers = request.call.headers
    if cache is None:
        return None
    asked = headers.get(HEADER, "").strip().lower()
    if asked not in ("", "on", "off", "exact"):
        raise RequestError(HEADER, headers[HEADER], "give on, exact or off, or leave it out")
    control = headers.get("cache-control", "").lower()
    if asked == "off" or "no-store" in control or request.asks.explain:
        return None
    fields = request.body.fields
    if not _depends_on_itself(fields) or not (asked == "on" or fields.get("temperature") == 0):
        return None
    said = {n: v for n, v in to_upstream(headers).items() if n not in _TRACES}
    base = [scope_of(headers), request.dialect, candidate, request.rename, said]
    whole = [*base, {name: value for name, value in fields.items() if name != "model"}]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    key = CacheKey(cache, request.dialect, digest, "no-cache" not in control)
    short = len(request.body.text) <= LONGEST_BODY
    if semantic is not None and key.read and asked != "exact" and short:
        key.semantic = semantic
        user = headers.get("x-turnout-user", "")
        key.meant = meant_by(semantic.given, request.dialect, fields, base, user)
    return key


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
