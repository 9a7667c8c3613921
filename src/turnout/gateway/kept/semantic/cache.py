"""The semantic cache: a question is answered with the kept answer to another one that means the same.

Beside the exact cache, whose answers it gives and whose bounds, scope and end they share. When an answer may
be given is in `pool`; which requests it is for is in `asked`. What is learned takes no call of its own: a
question that is not answered from here goes to the model as always, and its answer is compared with the
kept one in the background.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from turnout.calibration.proving import upper_rate
from turnout.errors import TurnoutError
from turnout.execution.health import BreakerRules, Health
from turnout.gateway.beside import Beside
from turnout.gateway.calls.relay import EVENTS
from turnout.gateway.kept.keeping import Kept, KeptAnswers
from turnout.gateway.kept.semantic.asked import Meant
from turnout.gateway.kept.semantic.comparing import same_answer
from turnout.gateway.kept.semantic.details import Details, details_of
from turnout.gateway.kept.semantic.encoding import Encoding
from turnout.gateway.kept.semantic.pool import Bucket, Pair, Pool, Question
from turnout.settings import SemanticCacheSettings
from turnout.types import Floats
from turnout.wire.dialects import Dialect
from turnout.wire.streams.whole import said_text

log = logging.getLogger("turnout.gateway")

MOST_POOLS = 256
"""Pairs of a client and its instructions that are remembered; those heard of longest ago go first."""
MOST_COMPARING = 64
"""Comparisons under way; beyond that answers are passed over."""
_SHARE = 0.5
"""Of the time in which a client wants its answer to begin: the rest is left to the model."""
_BREAKER = BreakerRules(consecutive=3)
"""Of the encoder: each failure may have held a request up for as long as a decision may take."""
_EARLY_S = 0.002
"""By which a timer of the event loop may go off too early: its clock counts milliseconds."""


@dataclass(slots=True, kw_only=True)
class Sought:
    """A question that may be answered by meaning, and what was found for it."""

    meant: Meant
    details: Details
    vector: Floats
    pair: Pair | None = None
    kept: Kept | None = None
    """The answer of the pair, as long as it is kept."""
    hit: bool = False


class SemanticCache:
    """Finds answers by meaning. One for a process, used by its event loop alone.

    Args:
        given: its bounds.
        encoding: makes vectors.
        beside: threads in which answers are compared.
        answers: of the exact cache.
        draw: a number in [0, 1), by which hits are chosen to be compared.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        given: SemanticCacheSettings,
        encoding: Encoding,
        beside: Beside,
        answers: KeptAnswers,
        draw: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.given, self._encoding, self._answers = given, encoding, answers
        self._beside, self._clock = beside, clock
        self.health = Health(_BREAKER)
        """Of the encoder: while it is out, nothing is looked up."""
        self._draw = draw or random.Random().random  # noqa: S311 - chooses hits, no secret
        self._pools: OrderedDict[bytes, Pool] = OrderedDict()
        self._questions: OrderedDict[bytes, tuple[Question, Pool, bytes]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.guarded: Counter[str] = Counter()
        """Nearest questions that were passed over, by the detail in which they differ."""

    async def look(self, meant: Meant, within_s: float | None = None) -> Sought | None:
        """What is found for a question; None where the encoder fails or is out, and the model answers.

        Args:
            meant: of its request.
            within_s: in which its client wants an answer to begin; None: it does not say.
        """
        vector = await self._vector(meant.text, None if within_s is None else _SHARE * within_s)
        if vector is None:
            return None
        sought = Sought(meant=meant, details=details_of(meant.text), vector=vector)
        pool = self._pools.get(meant.kind)
        bucket = None if pool is None else pool.buckets.get(meant.rest)
        if pool is not None and bucket is not None:
            self._pair(sought, pool, bucket)
        self.counts["hits" if sought.hit else "misses"] += 1
        return sought

    async def _vector(self, text: str, within_s: float | None) -> Floats | None:
        """(d,) of a question; None where the encoder gives none, or is not asked."""
        began = self._clock()
        if not self.health.fit(began):
            self.counts["skipped"] += 1
            return None
        self.health.began(began)
        try:
            vector = await self._encoding.vector(text, within_s)
        except (TurnoutError, TimeoutError) as error:
            self._failed(error, began, within_s)
            return None
        except BaseException:
            self.health.dropped()
            raise
        if self.health.state != "closed":
            log.info("the encoder of the semantic cache is back")
        now = self._clock()
        self.health.succeeded(now, now - began)
        return vector

    def _failed(self, error: Exception, began: float, within_s: float | None) -> None:
        """The encoder gave no vector. Of those that wait for one that is out already, nothing is said.

        A client in a hurry says nothing of the encoder.
        """
        self.counts["failed"] += 1
        was, now = self.health.state, self._clock()
        waited_s = now - began + _EARLY_S
        if within_s is not None and within_s <= waited_s < self._encoding.beside.timeout_s:
            self.health.dropped()
            return
        self.health.failed(now)
        if was == "open":
            return
        log.warning("no vector for the semantic cache: %s", type(error).__name__)
        if self.health.state == "open":
            log.warning(
                "the encoder of the semantic cache failed %d times in a row: it is not asked for %g s",
                self.health.failures, self.health.fit_at(now) - now,
            )  # fmt: skip

    def _pair(self, sought: Sought, pool: Pool, bucket: Bucket) -> None:
        """The nearest question whose answer is still kept."""
        while True:
            pair = pool.pair(bucket, sought.vector, sought.details, self._passed_over)
            if pair is None:
                return
            kept = self._answers.find(pair.kept.digest)
            if kept is not None:
                break
            self._drop(pair.kept.digest)
        sought.pair, sought.kept, sought.hit = pair, kept, pool.serves(pair)
        if sought.hit:
            self._questions.move_to_end(pair.kept.digest)

    def _passed_over(self, why: str) -> None:
        self.guarded[why] += 1

    def learn(self, sought: Sought, digest: bytes, dialect: Dialect, by: str, kept: Kept) -> None:
        """The model has answered a question: compare, in the background, and remember it.

        Args:
            sought: the question.
            digest: of its request, under which the answer is kept.
            dialect: the client's.
            by: the id of its decision.
            kept: the answer.
        """
        if len(self._tasks) >= MOST_COMPARING:
            self.counts["passed_over"] += 1
            return
        task = asyncio.create_task(self._learn(sought, digest, dialect, by, kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _learn(
        self, sought: Sought, digest: bytes, dialect: Dialect, by: str, kept: Kept
    ) -> None:
        """A task's edge: what fails is counted, and nothing comes out of it."""
        try:
            work = partial(self._compared, sought.kept, kept, dialect)
            is_text, same = await self._beside.run(work)
        except (TurnoutError, TimeoutError) as error:
            self.counts["failed"] += 1
            log.warning("answers could not be compared: %s", type(error).__name__)
            return
        pool = self._pool(sought.meant.kind)
        if sought.pair is not None and same is not None:
            self._see(pool, sought.pair, same)
        if is_text:
            self._remember(sought, pool, Question(by, digest, sought.details))

    def _compared(self, old: Kept | None, new: Kept, dialect: Dialect) -> tuple[bool, bool | None]:
        """Whether the new answer is a text, and whether it is the same as the old one."""
        said = _said(new, dialect)
        before = None if old is None else _said(old, dialect)
        if before is None:
            return said is not None, None
        if said is None:  # a call, a refusal, an answer cut short: not what the old one said
            return False, False
        return True, same_answer(before, said, self._encoding.encoder, self.given.same_answer)

    def _see(self, pool: Pool, pair: Pair, same: bool) -> None:
        stops = pool.stops
        pool.see(pair, same)
        self.counts["same" if same else "different"] += 1
        if pair.match:
            self.counts["verified"] += 1
            self.counts["wrong"] += not same
        if pool.stops > stops:
            self.counts["stopped"] += 1
            log.warning(
                "the semantic cache stops serving a client: %d of %d compared hits were wrong, and at most "
                "%.1f%% may be; it goes on when its answers have shown that they are right again",
                pool.wrong, len(pool.compared), 100 * self.given.max_error_rate,
            )  # fmt: skip

    def _pool(self, kind: bytes) -> Pool:
        pool = self._pools.get(kind)
        if pool is None:
            pool = Pool(self.given.max_error_rate, self.given.verify_share, self._draw)
            self._pools[kind] = pool
            if len(self._pools) > MOST_POOLS:
                _, old = self._pools.popitem(last=False)
                for bucket in old.buckets.values():
                    for question in bucket.questions:
                        self._questions.pop(question.digest, None)
        else:
            self._pools.move_to_end(kind)
        return pool

    def _remember(self, sought: Sought, pool: Pool, question: Question) -> None:
        self._drop(question.digest)
        bucket = pool.buckets.get(sought.meant.rest)
        if bucket is None:
            bucket = pool.buckets[sought.meant.rest] = Bucket(len(sought.vector))
        bucket.add(question, sought.vector)
        self._questions[question.digest] = question, pool, sought.meant.rest
        while len(self._questions) > self.given.max_entries:
            self._drop(next(iter(self._questions)))

    def _drop(self, digest: bytes) -> None:
        found = self._questions.pop(digest, None)
        if found is None:
            return
        question, pool, rest = found
        bucket = pool.buckets[rest]
        bucket.drop(question)
        if not bucket.questions:
            del pool.buckets[rest]

    async def settle(self) -> None:
        """Wait for the comparisons under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Cut off what is under way."""
        for task in self._tasks:
            task.cancel()
        await self.settle()

    def compared(self) -> tuple[int, int]:
        """Matches that were wrong, of those that were compared of late, over all clients."""
        pools = list(self._pools.values())
        return sum(p.wrong for p in pools), sum(len(p.compared) for p in pools)

    def clients(self) -> dict[str, int]:
        """Clients with their instructions, by whether their answers have shown to be right enough."""
        pools = list(self._pools.values())
        return {
            "serving": sum(p.serving for p in pools),
            "stopped": sum(p.stops > 0 and not p.serving for p in pools),
            "proving": sum(p.stops == 0 and not p.serving for p in pools),
        }

    def state(self) -> dict[str, Any]:
        """JSON-ready. The error rate is of the matches that were compared of late, over all clients."""
        wrong, compared = self.compared()
        counts = self.counts
        return {
            "hits": counts["hits"],
            "misses": counts["misses"],
            "questions": len(self._questions),
            "verified": counts["verified"],
            "wrong": counts["wrong"],
            "error_rate": wrong / compared if compared else None,
            "error_rate_upper": upper_rate(wrong, compared),
            "max_error_rate": self.given.max_error_rate,
            "clients": self.clients(),
            "encoder": self.health.state,
            "failed": counts["failed"],
            "skipped": counts["skipped"],
            "passed_over": counts["passed_over"],
        }


def _said(kept: Kept, dialect: Dialect) -> str | None:
    return said_text(dialect, kept.content, stream=kept.content_type == EVENTS)
