"""A small two-model benchmark and fake routers for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.evaluation.benchmarks import Benchmark
from turnout.types import Candidate, PairRule, Prediction, Query


@dataclass
class ByLength:
    """A fake router: the longer the prompt, the better the first candidate. Knows all models."""

    name: str = "by-length"
    fingerprint: str | None = None

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        first = np.asarray([min(len(q.text), 200) / 200 for q in queries], dtype=np.float32)
        rest = np.linspace(0.5, 0.4, len(candidates))[1:, None] * np.ones(len(queries))
        quality = np.vstack([first[None, :], rest]).T.astype(np.float32)
        names = tuple(c.name for c in candidates)
        return Prediction(candidates=names, quality=quality, pair=PairRule("strong"))


def make_benchmark(n: int = 200, m: int = 2, seed: int = 0, *, costs: bool = True) -> Benchmark:
    """Longer prompts are harder for the weaker models; strong calls cost ten times more."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 100, n)
    ability = np.linspace(1.2, 0.6, m)
    quality = (rng.random((n, m)) < ability - size[:, None] / 200).astype(np.float64)
    cost = np.geomspace(1e-2, 1e-3, m)[None, :] * (1 + rng.random((n, 1)))
    return Benchmark(
        name="made-up",
        queries=tuple(Query.of(f"{i:03d} " + "x" * int(s)) for i, s in enumerate(size)),
        candidates=tuple(Candidate(name=f"model-{j}") for j in range(m)),
        quality=quality,
        cost_usd=cost if costs else np.full((n, m), np.nan),
        groups=np.arange(n) // 2,
        categories=tuple("ab"[i % 2] for i in range(n)),
    )
