"""Holds on idempotency keys in Redis, for all processes that share it. Needs the extra `redis`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from dataclasses import dataclass, field
from typing import Any

from turnout.access.redis_link import RedisLink
from turnout.errors import AccessDownError
from turnout.gateway.kept.idempotency.claims import Taken
from turnout.gateway.kept.keeping import Kept
from turnout.settings import IdempotencySettings

log = logging.getLogger("turnout.gateway")

LEASE_S = 30.0
"""How long a hold outlives the process that has it; while that lives, it is renewed."""
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
"""Between two looks at a key that another process may hold."""

TAKE = """
local f, t, a, at = unpack(redis.call('HMGET', KEYS[1], 'f', 't', 'a', 'at'))
if not f then
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 't', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'mine'}
end
if f ~= ARGV[1] then return {'other'} end
if a then return {'kept', a, tostring(tonumber(redis.call('TIME')[1]) - tonumber(at))} end
return {'running'}
"""
RENEW = """
if redis.call('HGET', KEYS[1], 't') == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
CLOSE = """
local t = redis.call('HGET', KEYS[1], 't')
if t and t ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'f', ARGV[4], 't', ARGV[1], 'a', ARGV[2], 'at', redis.call('TIME')[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""


@dataclass(slots=True, kw_only=True)
class RedisClaims:
    """Implements `Claims` in a Redis.

    Args:
        link: to Redis, of its own: long answers must not hold up the counters.
        prefix: of every name in Redis.
        ttl_s: how long answers are kept.
        lease_s: how long a hold outlives its process.
    """

    link: RedisLink
    prefix: str
    ttl_s: float
    lease_s: float = LEASE_S
    failures: int = 0
    """Answers that could not be kept, because Redis was down."""
    _renewing: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    def take_limits(self, given: IdempotencySettings) -> None:
        """See `Claims`."""
        self.ttl_s = given.ttl_s

    async def take(self, name: str, fingerprint: str, taker: str) -> Taken | Kept:
        """See `Claims`."""
        values = [fingerprint, taker, str(round(self.lease_s * 1e3))]
        try:
            answer = await self.link.ask(TAKE, [self._key(name)], values)
        except asyncio.CancelledError:
            self.link.tell(CLOSE, [self._key(name)], [taker, "", "", ""])  # it may have been taken
            raise
        found: Taken | Kept = "running"
        if answer[0] == "kept":
            read = _read(answer[1], fingerprint, int(answer[2]))
            if read is None:
                raise AccessDownError("the shared answers cannot be read")
            found = read
        elif answer[0] == "other":
            found = "other"
        elif answer[0] == "mine":
            found = "mine"
            self._renewing[taker] = asyncio.create_task(self._renew(name, taker))
        return found

    async def changed(self, name: str, within_s: float, looks: int) -> None:  # noqa: ARG002
        """See `Claims`. Nobody tells: it is looked at again after a while, which grows."""
        pause = min(_LEAST_PAUSE_S * 1.5 ** min(looks, 20), _LONGEST_PAUSE_S)
        await asyncio.sleep(min(pause, within_s))

    async def close(self, name: str, taker: str, kept: Kept | None) -> None:
        """See `Claims`."""
        task = self._renewing.pop(taker, None)
        if task is not None:
            task.cancel()
        if kept is None:
            self.link.tell(CLOSE, [self._key(name)], [taker, "", "", ""])
            return
        values = [taker, _written(kept), str(round(self.ttl_s * 1e3)), kept.fingerprint]
        try:
            await self.link.ask(CLOSE, [self._key(name)], values)
        except AccessDownError as error:
            self.failures += 1
            log.warning("an answer was not kept for its idempotency key: %s", error)

    async def _renew(self, name: str, taker: str) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 3)
            try:
                values = [taker, str(round(self.lease_s * 1e3))]
                await self.link.ask(RENEW, [self._key(name)], values)
            except AccessDownError as error:
                log.warning("a hold on an idempotency key was not renewed: %s", error)

    def _key(self, name: str) -> str:
        return f"{{{self.prefix}}}:once:{name}"


def _written(kept: Kept) -> str:
    """Text, as the link's answers are."""
    fields: dict[str, Any] = {
        "candidate": kept.candidate,
        "content_type": kept.content_type,
        "cost_picousd": kept.cost_picousd,
        "headers": dict(kept.headers),
        "content": base64.b64encode(kept.content).decode(),
    }
    return json.dumps(fields, separators=(",", ":"))


def _read(text: str, fingerprint: str, age_s: int) -> Kept | None:
    try:
        fields = json.loads(text)
        content = base64.b64decode(fields.pop("content"), validate=True)
        return Kept(**fields, content=content, fingerprint=fingerprint, age_s=max(0, age_s))
    except (ValueError, TypeError, KeyError, binascii.Error):
        return None
