"""One answer for a request that comes twice under one `Idempotency-Key`.

The first one is served to its end, even though its client leaves: it may come again. Those that come
meanwhile wait for it. What fails is not kept, and then the next one in line is the first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from turnout.access.redis_link import RedisLink
from turnout.errors import AccessDownError, KeyInUseError, KeyReusedError, RequestError
from turnout.gateway.calls.request import Request
from turnout.gateway.http.admission import deadline_s
from turnout.gateway.http.asgi import Call
from turnout.gateway.kept.caching import scope_of
from turnout.gateway.kept.idempotency.claims import Claim, Claims, MemoryClaims, Taken
from turnout.gateway.kept.idempotency.shared import RedisClaims
from turnout.gateway.kept.keeping import Kept, KeptAnswers
from turnout.settings import IdempotencySettings, Settings
from turnout.wire.reading import Kind

log = logging.getLogger("turnout.gateway")

HEADER = "idempotency-key"
REPLAYED = "idempotent-replayed"
"""Of an answer that is given again, as Stripe names it."""
LONGEST_KEY = 255
_LEAST_TIMEOUT_S = 2.0
"""Of steps in Redis that carry whole answers."""


class Once:
    """Serves requests that have a key.

    Args:
        given: how long answers are kept, and how long the first one is waited for.
        claims: where holds and answers are.
        local: where they are while `claims` cannot be reached; None refuses such requests.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        given: IdempotencySettings,
        claims: Claims,
        *,
        local: Claims | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given, self._claims, self._local, self._clock = given, claims, local, clock
        self.counts: Counter[str] = Counter()
        """Requests by what became of them: `first`, `replayed`, `reused`, `in_use`."""

    def take_limits(self, given: IdempotencySettings) -> None:
        """Go on under other settings; those who wait have begun with the old ones."""
        self._given = given
        for claims in (self._claims, self._local):
            if claims is not None:
                claims.take_limits(given)

    @property
    def link(self) -> RedisLink | None:
        """To Redis, where the answers are there."""
        return self._claims.link if isinstance(self._claims, RedisClaims) else None

    async def serve(self, request: Request, answer: Callable[[Request], Awaitable[None]]) -> None:
        """Serve a request, or give the answer of the one before it.

        Args:
            request: with the header.
            answer: serves it anew.

        Raises:
            RequestError: the key is empty or too long.
            KeyReusedError: its caller has sent another request under this key.
            KeyInUseError: the first request of the key is still under way.
            AccessDownError: the shared answers cannot be reached.
            ClientLeftError: the client left while it was waited.
        """
        if request.asks.decision_only:  # nothing is called
            await answer(request)
            return
        call = request.call
        claim = Claim(_name(request), _fingerprint(request), self._given.longest_bytes)
        claims, taken = await self._take(call, claim)
        if isinstance(taken, Kept):
            self.counts["replayed"] += 1
            await _replay(call, taken)
            return
        if taken == "other":
            self.counts["reused"] += 1
            remedy = (
                "use a new key for each request; a key is used again to send the same one again"
            )
            raise KeyReusedError(HEADER, Kind("the key of another request"), remedy)
        self.counts["first"] += 1
        # An upstream would take the keys of all callers for those of one.
        del call.headers[HEADER]
        call.stays, request.claim = True, claim
        try:
            await answer(request)
        finally:
            await claims.close(claim.name, claim.taker, claim.kept)

    async def _take(self, call: Call, claim: Claim) -> tuple[Claims, Taken | Kept]:
        """Take the key, waiting while its first request is under way."""
        claims, taken = await self._look(self._claims, claim)
        if taken != "running":
            return claims, taken
        until = self._clock() + self._given.wait_s
        looks = 0
        async with call.unless_gone(deadline_s(call.headers)):
            while taken == "running":
                left_s = until - self._clock()
                if left_s <= 0:
                    self.counts["in_use"] += 1
                    raise KeyInUseError(self._given.wait_s)
                await claims.changed(claim.name, left_s, looks)
                looks += 1
                claims, taken = await self._look(claims, claim)
        return claims, taken

    async def _look(self, claims: Claims, claim: Claim) -> tuple[Claims, Taken | Kept]:
        try:
            return claims, await claims.take(claim.name, claim.fingerprint, claim.taker)
        except AccessDownError:
            if self._local is None:
                raise
            log.warning("idempotency keys hold in this process alone: the shared ones are away")
            claims = self._local
            return claims, await claims.take(claim.name, claim.fingerprint, claim.taker)


def _name(request: Request) -> str:
    """Of a key and its caller; a digest, because keys may be anything.

    Raises:
        RequestError: it is empty or too long.
    """
    key = request.call.headers[HEADER]
    if not 0 < len(key) <= LONGEST_KEY:
        remedy = f"give 1 to {LONGEST_KEY} characters, a new UUID for each request, or leave it out"
        raise RequestError(HEADER, Kind(f"a key of {len(key)} characters"), remedy)
    whose = request.key or scope_of(request.call.headers)
    return hashlib.sha256(f"{whose}\0{key}".encode()).hexdigest()


def _fingerprint(request: Request) -> str:
    """Of all that a request asks for, however its body is spaced and ordered."""
    whole = [request.dialect, request.embeds, request.body.fields, request.asks.given()]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


async def _replay(call: Call, kept: Kept) -> None:
    """Give an answer again, under the headers that it had; nothing is called and nothing recorded."""
    call.trail.model = kept.candidate
    headers = {
        **kept.headers,
        **call.own_id(),
        "content-type": kept.content_type,
        REPLAYED: "true",
        "age": str(kept.age_s),
    }
    await call.answer(200, headers, kept.content)


@asynccontextmanager
async def running_once(settings: Settings) -> AsyncIterator[Once]:
    """What serves requests with keys, while the block runs.

    It is in Redis where the counters are.

    Raises:
        MissingExtraError: Redis needs its client.
    """
    given, counters = settings.idempotency, settings.counters
    memory = MemoryClaims(
        KeptAnswers(ttl_s=given.ttl_s, max_bytes=given.max_bytes, longest_bytes=given.longest_bytes)
    )
    if counters is None:
        yield Once(given, memory)
        return
    url = "" if counters.redis_url is None else counters.redis_url.get_secret_value()
    timeout_s = max(counters.timeout_s, _LEAST_TIMEOUT_S)
    link = RedisLink(url=url, timeout_s=timeout_s, what="the shared idempotency keys")
    shared = RedisClaims(link=link, prefix=counters.prefix, ttl_s=given.ttl_s)
    async with link.running():
        yield Once(given, shared, local=memory if counters.when_down == "local" else None)
