"""Answers that may be given to one another's questions, what was learned of them, and when they are.

A pool is of one client and one set of instructions; what one client asks teaches nothing about another.
In it, a question is compared with those whose request is the same but for their own words. The nearest
one that agrees in its details (see `details`) is a *pair*, and has a score: the lower bound of the chance
that the answer is the same (`calibration.matching`). The pair is a *match* where errors at such scores were
shown to be rare. A match is not believed for that: it is a hit only once matches, as they were called,
have been compared often enough to show that at most `max_error_rate` of them are wrong; and a share of
them goes on being compared for ever. So the rate of errors is measured on what the cache would have
served, and where it can no longer be shown to be small enough nothing is served.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from turnout.calibration.matching import MOST_OWN, MatchCurve, MatchCut, Seen
from turnout.calibration.proving import shown_below
from turnout.gateway.kept.semantic.details import Details, difference, overlap
from turnout.types import Floats

LEAST = 0.5
"""Similarity below which two questions are no pair."""
AIM = 0.6
"""The cut is set for this part of the error rate that is allowed: then the matches above it can be shown to
keep within it after some hundreds, and not thousands, of comparisons."""
_NEAREST = 8
_KEPT = 1_000
"""Compared matches that the measured rate is of."""


@dataclass(slots=True, eq=False)
class Question:
    """One that was answered; its answer is in the exact cache."""

    id: str
    """Of the decision by which it was."""
    digest: bytes
    """Of its request, under which the answer is kept."""
    details: Details
    own: deque[Seen] = field(default_factory=lambda: deque(maxlen=MOST_OWN))
    place: int = 0
    """Its row in its bucket."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the nearest one that was answered."""

    kept: Question
    seen: Seen
    score: float
    match: bool
    """Whether the kept answer is taken to be the right one."""


class Bucket:
    """Questions of requests that are the same but for them, and their vectors."""

    def __init__(self, dimension: int) -> None:
        self._rows: Floats = np.zeros((1, dimension), dtype=np.float32)
        self.questions: list[Question] = []

    def add(self, question: Question, vector: Floats) -> None:
        """One more."""
        n = len(self.questions)
        if n == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[n] = vector
        question.place = n
        self.questions.append(question)

    def drop(self, question: Question) -> None:
        """One less: the last one takes its place."""
        last = self.questions.pop()
        if last is not question:
            self._rows[question.place] = self._rows[last.place]
            last.place = question.place
            self.questions[question.place] = last

    def nearest(self, vector: Floats) -> Iterator[tuple[Question, float]]:
        """A few with their cosines, nearest first."""
        n = len(self.questions)
        if not n:
            return
        cosines = self._rows[:n] @ vector
        few = np.arange(n) if n <= _NEAREST else np.argpartition(-cosines, _NEAREST)[:_NEAREST]
        for i in few[np.argsort(-cosines[few], kind="stable")]:
            yield self.questions[int(i)], float(cosines[i])


@dataclass(slots=True)
class Pool:
    """What is known of the answers of one client and one set of instructions.

    Args:
        max_error_rate: of hits.
        verify_share: of matches that are compared for ever.
        draw: a number in [0, 1), to choose them.
    """

    max_error_rate: float
    verify_share: float
    draw: Callable[[], float]
    curve: MatchCurve = field(default_factory=MatchCurve)
    cut: MatchCut = field(init=False)
    buckets: dict[bytes, Bucket] = field(default_factory=dict)
    compared: deque[bool] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Of matches that were compared: whether the answer was the same."""
    wrong: int = 0
    """Of those."""
    proven: bool = False
    """Whether errors among matches are shown to be rare enough."""
    stops: int = 0
    """Times that it served, and then no longer."""

    def __post_init__(self) -> None:
        self.cut = MatchCut(AIM * self.max_error_rate)

    def pair(
        self, bucket: Bucket, vector: Floats, details: Details, guarded: Callable[[str], None]
    ) -> Pair | None:
        """The nearest question of a bucket that agrees in its details; None where none is near.

        Args:
            bucket: of its request.
            vector: (d,) of the question, of unit length.
            details: of the question.
            guarded: is told why the nearest one is passed over, where it is.
        """
        first = True
        for kept, cosine in bucket.nearest(vector):
            if cosine < LEAST:
                return None
            why = difference(details, kept.details)
            if not why:
                seen = Seen(cosine, overlap(details, kept.details))
                score = self.curve.low(seen, kept.own)
                return Pair(kept, seen, score, score >= self.cut.cut)
            if first:
                guarded(why)
            first = False
        return None

    @property
    def serving(self) -> bool:
        """Whether there may be hits: errors are rare among matches, and there are scores that match."""
        return self.proven and self.cut.cut < math.inf

    def serves(self, pair: Pair) -> bool:
        """Whether a pair is a hit: a match, of a pool that is proven, and not drawn to be compared."""
        return pair.match and self.proven and self.draw() >= self.verify_share

    def see(self, pair: Pair, same: bool) -> None:
        """Learn that the model's own answer was the same as the kept one, or not."""
        served = self.serving
        if pair.match:
            self._count(same)
        seen = Seen(pair.seen.similarity, pair.seen.overlap, same)
        self.cut.see(pair.score, same)
        self.curve.see(seen)
        pair.kept.own.append(seen)
        self.stops += served and not self.serving

    def _count(self, same: bool) -> None:
        if len(self.compared) == self.compared.maxlen:
            self.wrong -= not self.compared[0]
        self.compared.append(same)
        self.wrong += not same
        self.proven = shown_below(self.wrong, len(self.compared), self.max_error_rate)
