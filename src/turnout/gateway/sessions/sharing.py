"""Conversations that gateways share over Redis: whichever of them a request comes to goes on with it.

The table in memory stays in front. A request that begins a conversation asks nobody. One that goes on with
a conversation asks Redis whether another gateway has served it since, and waits for that a few
milliseconds at most: a Redis that is slow, down or empty costs no more than that this gateway goes on with
what it knows itself. What an answer changes is written behind it, and where that fails it is not tried
again: what comes with the next answer is newer.

A conversation's name in Redis is its id, a hash that holds the caller's key. Its value is either

    STAMP JSON    the conversation (`turnout.conversations.written`), and who wrote it
    sess_…        the id of the conversation that made a response, under the response's own hashed id

and lives as long as in memory. Its age is read off the time that it has left, so that no clocks are compared.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from turnout.access.redis_link import AGAIN_S, RedisLink
from turnout.conversations.table import Held, Table
from turnout.conversations.written import read_held, write_held
from turnout.errors import AccessDownError
from turnout.settings import Settings

log = logging.getLogger("turnout.gateway")

WHAT = "the shared conversations"
Found: TypeAlias = Literal["taken_over", "own", "unknown", "late", "down", "unreadable"]
"""What asking brought: another gateway's version, nothing newer than ours, nothing, or no answer."""
FOUND: tuple[Found, ...] = ("taken_over", "own", "unknown", "late", "down", "unreadable")

_READ = """
local id, found = ARGV[1], redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 5) == 'sess_' then
  id = found
  found = redis.call('GET', ARGV[2] .. id)
end
if not found then return {id, '', 0} end
return {id, found, redis.call('PTTL', ARGV[2] .. id)}
"""
_WRITE = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) and 1"
_THERE = "return redis.call('EXISTS', KEYS[1])"

_LATE_IN_ROW = 3
"""Answers in a row that came too late, after which nobody asks for a second."""
_OVER_AFTER_S = 2.0
"""After a conversation has been forgotten here, when it is looked whether it goes on elsewhere."""
_MOST_WAITING = 10_000
"""Conversations whose change is to be written, and as many that may be over."""
_LOST = "the conversations shared with other gateways could not be read: decided without them"


@dataclass(slots=True, kw_only=True)
class Sharing:
    """Conversations in Redis. `running` opens it.

    Args:
        link: to Redis, and to nothing else: what is slow here must not be slow for the counters.
        keep_s: how long a conversation is remembered.
        wait_s: longest wait of a request.
        prefix: of every name in Redis.
        clock: monotonic seconds.
    """

    link: RedisLink
    keep_s: float
    wait_s: float
    prefix: str = "turnout"
    clock: Callable[[], float] = time.monotonic
    found: dict[Found, int] = field(default_factory=lambda: dict.fromkeys(FOUND, 0), init=False)
    """What asking brought, counted."""
    _me: str = field(default_factory=lambda: secrets.token_hex(6), init=False)
    _writes: int = field(default=0, init=False)
    _changed: OrderedDict[str, Held | str] = field(default_factory=OrderedDict, init=False)
    _lost: int = field(default=0, init=False)
    _late: int = field(default=0, init=False)
    _asks_from: float = field(default=0.0, init=False)
    _over: deque[tuple[float, str, int]] = field(
        default_factory=lambda: deque(maxlen=_MOST_WAITING), init=False
    )
    _table: Table | None = field(default=None, init=False)

    @property
    def unwritten(self) -> int:
        """Changes that never reached Redis."""
        return self._lost + self.link.given_up

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected while the block runs; what was changed last is written at its end."""
        async with self.link.running():
            learning = asyncio.create_task(self._learn())
            try:
                yield
            finally:
                learning.cancel()
                with suppress(asyncio.CancelledError):
                    await learning
                self._flush()

    def serve(self, table: Table) -> None:
        """From now on it stands behind this table."""
        self._table = table
        table.on_over = self._perhaps_over

    async def read(self, session: str, table: Table) -> tuple[str, str]:
        """Take over what another gateway knows of a conversation, where that is newer.

        Args:
            session: its id, or one that stands for a response.
            table: where it is put.

        Returns:
            The conversation's id, and a note for its decision where nothing could be read.
        """
        now = self.clock()
        if self.link.down or now < self._asks_from:
            self.found["down"] += 1
            return session, _LOST
        try:
            async with asyncio.timeout(self.wait_s):
                answer = await self.link.ask(
                    _READ, [self._name(session)], [session, self._name("")]
                )
        except TimeoutError:
            self._was_late()
            return session, _LOST
        except AccessDownError:
            self.found["down"] += 1
            return session, _LOST
        self._was_in_time()
        name, value, left_ms = str(answer[0]), str(answer[1]), float(answer[2])
        self.found[self._take(table, name, value, left_ms)] += 1
        return name, ""

    def write(self, session: str, held: Held) -> None:
        """Let others know of a conversation, once the answer under way is out of the door."""
        self._change(session, held)

    def made(self, response: str, session: str) -> None:
        """Let others know which conversation made a response.

        Args:
            response: the id that stands for it.
            session: the conversation's.
        """
        self._change(response, session)

    async def flush(self) -> None:
        """Wait until all that was changed has been written, or given up."""
        self._flush()
        await self.link.flush()

    def _take(self, table: Table, session: str, value: str, left_ms: float) -> Found:
        stamp, _, text = value.partition(" ")
        if not stamp:
            return "unknown"
        now = self.clock()
        own = table.find(session, now)
        # What stands there was written here, or taken over from there: what is here goes on from it.
        if own is not None and (stamp == own.stamp or stamp.startswith(self._me)):
            return "own"
        try:
            held = read_held(text, left_s=left_ms / 1e3, now=now)
        except (ValueError, RecursionError):
            return "unreadable"
        held.stamp = stamp
        table.keep(session, held)
        return "taken_over"

    def _change(self, session: str, value: Held | str) -> None:
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._flush)
        if len(self._changed) >= _MOST_WAITING and session not in self._changed:
            self._changed.popitem(last=False)
            self._lost += 1
        self._changed[session] = value

    def _flush(self) -> None:
        """Write what was changed in this turn of the loop, once each."""
        changed, self._changed = self._changed, OrderedDict()
        keep_ms = str(max(1, round(self.keep_s * 1e3)))
        now = self.clock()
        for session, value in changed.items():
            if isinstance(value, Held):
                self._writes += 1
                text = write_held(value, keep_s=self.keep_s, now=now)
                value = f"{self._me}{self._writes:x} {text}"
            self.link.tell(_WRITE, [self._name(session)], [value, keep_ms], kept=False)

    def _was_late(self) -> None:
        self.found["late"] += 1
        self._late += 1
        if self._late >= _LATE_IN_ROW:
            if self._late == _LATE_IN_ROW:
                log.warning(
                    "%s take longer than %g ms: for the time being this gateway goes on with its own",
                    WHAT,
                    self.wait_s * 1e3,
                )
            self._asks_from = self.clock() + AGAIN_S

    def _was_in_time(self) -> None:
        if self._late >= _LATE_IN_ROW:
            log.warning("%s come in time again", WHAT)
        self._late = 0

    def _perhaps_over(self, session: str, requests: int) -> None:
        """A conversation has been forgotten here. It is over unless it goes on elsewhere."""
        self._over.append((self.clock() + _OVER_AFTER_S, session, requests))

    async def _learn(self) -> None:
        """Count conversations as over that no gateway knows any longer: each once."""
        while True:
            await asyncio.sleep(1.0)
            while self._over and self._over[0][0] <= self.clock():
                _, session, requests = self._over.popleft()
                with suppress(AccessDownError):  # then nothing is learned of it
                    there = await self.link.ask(_THERE, [self._name(session)], [])
                    if not int(there) and self._table is not None:
                        self._table.remaining.ended(requests)

    def _name(self, session: str) -> str:
        return f"{{{self.prefix}}}:session:{session}"


def sharing_of(settings: Settings) -> Sharing | None:
    """Conversations in the Redis that settings name for them or for counters; None where there is none.

    Args:
        settings: resolved.
    """
    given, counters = settings.conversations, settings.counters
    url = given.redis_url or (None if counters is None else counters.redis_url)
    if url is None or not given.shared:
        return None
    prefix = given.prefix or ("turnout" if counters is None else counters.prefix)
    link = RedisLink(
        url=url.get_secret_value(),
        timeout_s=0.25 if counters is None else counters.timeout_s,
        what=WHAT,
    )
    return Sharing(link=link, keep_s=given.keep_s, wait_s=given.shared_wait_s, prefix=prefix)
