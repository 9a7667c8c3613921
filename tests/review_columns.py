"""Columns of made-up logs drawn from a known law, without files: for tests of many runs."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from turnout.review.clusters import Clusters
from turnout.review.columns import Columns
from turnout.review.drawing import Drawing, draw
from turnout.review.knobs import Knob, make_knob
from turnout.review.money import Money, Turns
from turnout.types import Candidate, PairRule, Prediction, Price

CANDIDATES = (
    Candidate(name="strong", price=Price.per_million(2.5, 10)),
    Candidate(name="weak", price=Price.per_million(0.15, 0.6)),
)


class Pair:
    """All of a router that a knob of two candidates asks for."""

    name, fingerprint = "made", None

    def check(self, candidates):
        pass

    def predict(self, queries, candidates):
        names = tuple(c.name for c in candidates)
        empty = np.empty((0, len(names)), np.float32)
        return Prediction(candidates=names, quality=empty, pair=PairRule("difference"))


@dataclass(frozen=True)
class Drawn:
    columns: Columns
    knob: Knob
    money: Money
    turn: Turns
    expected: np.ndarray
    """(n, m) true chance of a good answer."""
    outcome: np.ndarray
    """(n, m) 0 or 1, as a grader sees it."""

    def drawing(self, stays: np.ndarray, setting: int, count: int, seed: int) -> Drawing:
        kinds = Clusters((self.columns.group % np.uint64(3)).astype(np.intp), ("a", "b", "c"))
        return draw(self.columns, kinds, stays, setting, count, seed=seed)

    def kept(self, setting: int) -> float:
        choice = self.knob.choose(self.knob.settings[setting])
        chosen = self.expected[np.arange(len(choice)), choice]
        return float(chosen.mean() / self.expected[:, 0].mean())


def draw_log(rng: np.random.Generator, conversations: int, *, wrong: bool = False) -> Drawn:
    """Conversations of one to six calls that are alike in difficulty, length and price."""
    size = rng.integers(1, 7, size=conversations)
    group = np.repeat(np.arange(conversations), size)
    n = len(group)
    hard = np.clip(rng.beta(2, 2, conversations)[group] + rng.normal(0, 0.1, n), 0, 1)
    tokens_in = np.exp(rng.normal(5.5, 0.6, conversations))[group] * rng.uniform(0.8, 1.2, n)
    tokens_out = np.exp(rng.normal(5, 0.5, n) + hard)
    strong, weak = 1 - 0.25 * hard, 1 - 0.25 * hard - 0.5 * hard**2
    expected = np.stack([strong, weak], axis=1)
    predicted = expected
    if wrong:
        predicted = np.stack([0.9 - 0.1 * hard, 0.85 - 0.3 * hard], axis=1)
    alone = np.stack(
        [tokens_in * a + tokens_out * b for a, b in ((2.5e-6, 1e-5), (1.5e-7, 6e-7))], axis=1
    )
    keys = rng.integers(1, 2**63, size=conversations).astype(np.uint64)
    zeros = {f.name: np.zeros(n, np.uint64) for f in fields(Columns)}
    columns = Columns(
        **{
            **zeros,
            "group": keys[group],
            "near": rng.integers(1, 2**63, size=n).astype(np.uint64),
            "fits": np.full(n, 3, np.uint64),
            "quality": predicted.astype(np.float32),
            "estimated_tokens": tokens_in.astype(np.int32),
            "expected_tokens": np.full((n, 2), 250, np.float32),
        }
    )
    known = np.ones(n, bool)
    nobody = np.full(n, -1, dtype=np.intp)
    return Drawn(
        columns=columns,
        knob=make_knob(columns, Pair(), CANDIDATES),
        money=Money(
            paid=alone[:, 0], recorded=known, alone=alone, cold=np.zeros((n, 2)), unpriced=()
        ),
        turn=Turns(before=nobody, first=np.arange(n), conversations=conversations),
        expected=expected,
        outcome=(rng.random((n, 2)) < expected).astype(float),
    )
