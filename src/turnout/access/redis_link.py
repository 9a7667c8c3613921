"""The way to a Redis: scripts sent together over one connection, and what happens while it is down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from turnout.alongside import alongside
from turnout.errors import AccessDownError, MissingExtraError

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("turnout.access")

MOST_AT_ONCE = 256
"""Steps that are sent together. Steps wait for those before them, so that a process needs one connection,
and many requests one turn of Redis."""
MOST_WAITING = 100_000
"""Steps that are kept for a Redis that is down; of more, the oldest are given up and counted."""
AGAIN_S = 1.0
"""Between two tries of a Redis that is down."""
COUNTERS = "the shared counters"
DOWN = f"{COUNTERS} cannot be reached"


@dataclass(slots=True)
class _Step:
    """One script to run."""

    script: str
    keys: list[str]
    values: list[str]
    done: asyncio.Future[Any] | None
    """None where nobody waits for it."""
    kept: bool = True
    """Where nobody waits for it: whether it is kept until Redis is back, or given up."""


@dataclass(slots=True, kw_only=True)
class RedisLink:
    """Runs scripts in a Redis. `running` opens it.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: longest wait for a batch of steps.
        what: is in it, for messages.
        clock: monotonic seconds.
    """

    url: str
    timeout_s: float
    what: str = COUNTERS
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    """Times that Redis could not be reached, or was too slow."""
    given_up: int = 0
    """Steps that nobody waited for and that never reached Redis."""
    _redis: Redis | None = field(default=None, init=False)
    _waiting: deque[_Step] = field(default_factory=deque, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _idle: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _down_until: float = field(default=0.0, init=False)
    _digests: dict[str, str] = field(default_factory=dict, init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected while the block runs; what waits at its end is sent then, if Redis answers.

        Raises:
            MissingExtraError: the client is not installed.
        """
        self._redis = _client(self.url, self.timeout_s, self.what)
        try:
            async with alongside(self._send()):
                try:
                    yield
                finally:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(4 * self.timeout_s):
                            await self.flush()
        finally:
            await self._redis.aclose()

    @property
    def down(self) -> bool:
        """Whether Redis failed a moment ago, so that nothing is asked of it."""
        return self.clock() < self._down_until

    @property
    def redis(self) -> Redis:
        """The client, inside `running`."""
        if self._redis is None:
            raise RuntimeError(f"{self.what} can be asked inside `running` only")
        return self._redis

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the client raises where Redis is down."""
        from redis.exceptions import RedisError

        return (RedisError, OSError, TimeoutError)

    async def ask(self, script: str, keys: list[str], values: list[str]) -> Any:
        """Run a script and wait for its answer.

        Raises:
            AccessDownError: Redis is down; the script may have run all the same.
        """
        if self.down:
            raise self._unreachable()
        done = asyncio.get_running_loop().create_future()
        self._put(_Step(script, keys, values, done))
        return await done

    def tell(self, script: str, keys: list[str], values: list[str], *, kept: bool = True) -> None:
        """Run a script soon; while Redis is down, when it is back, or (`kept=False`) not at all."""
        if self.down and not kept:
            self.given_up += 1
        else:
            self._put(_Step(script, keys, values, None, kept))

    async def flush(self) -> None:
        """Wait until all that was told has reached Redis."""
        while self._waiting or not self._idle.is_set():
            self._wake.set()
            await asyncio.sleep(0.001)

    def _put(self, step: _Step) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.given_up += 1
        self._waiting.append(step)
        self._wake.set()

    async def _send(self) -> None:
        """Send what waits, one batch after the other, for as long as the process serves."""
        while True:
            self._idle.set()
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._idle.clear()
                if self.down:
                    await asyncio.sleep(min(self._down_until - self.clock(), AGAIN_S))
                    continue
                size = min(MOST_AT_ONCE, len(self._waiting))
                await self._run([self._waiting.popleft() for _ in range(size)])

    async def _run(self, batch: list[_Step]) -> None:
        try:
            async with asyncio.timeout(self.timeout_s):
                answers = await self._execute(batch)
        except self.errors as error:
            self._fail(batch, error)
            with suppress(*self.errors):  # what is half read must not answer a later step
                await self.redis.connection_pool.disconnect()
            return
        if self._down_until:
            log.warning("%s: they answer again", self.what)
            self._down_until = 0.0
        for step, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                log.error("%s refused a step: %s", self.what, answer)
                answer = AccessDownError(f"{self.what} failed")
            if step.done is None or step.done.done():
                continue
            if isinstance(answer, Exception):
                step.done.set_exception(answer)
            else:
                step.done.set_result(answer)

    async def _execute(self, batch: list[_Step]) -> list[Any]:
        from redis.exceptions import NoScriptError

        answers = await self._pipe(batch)
        lost = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:  # Redis was started anew
            self._digests.clear()
            for i, answer in zip(lost, await self._pipe([batch[i] for i in lost]), strict=True):
                answers[i] = answer
        return answers

    async def _pipe(self, batch: list[_Step]) -> list[Any]:
        for script in {step.script for step in batch} - self._digests.keys():
            self._digests[script] = str(await self.redis.script_load(script))
        async with self.redis.pipeline(transaction=False) as pipe:
            for step in batch:
                pipe.evalsha(self._digests[step.script], len(step.keys), *step.keys, *step.values)
            return list(await pipe.execute(raise_on_error=False))

    def _fail(self, batch: list[_Step], error: Exception) -> None:
        """Redis is down: who waits is told, what nobody waits for is kept."""
        self.failures += 1
        if not self._down_until:
            log.error("%s cannot be reached: %s", self.what, type(error).__name__)
        self._down_until = self.clock() + AGAIN_S
        waiting = [*batch, *self._waiting]
        self._waiting.clear()
        for step in waiting:
            if step.done is None:
                if step.kept:
                    self._waiting.append(step)
                else:
                    self.given_up += 1
            elif not step.done.done():
                step.done.set_exception(self._unreachable())

    def _unreachable(self) -> AccessDownError:
        return AccessDownError(f"{self.what} cannot be reached", retry_after_s=AGAIN_S)


def _client(url: str, timeout_s: float, what: str) -> Redis:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise MissingExtraError(f"{what} in Redis", "redis") from None
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=4,
    )
