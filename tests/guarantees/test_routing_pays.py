"""`Routing pays` is said by chance as rarely as its confidence says, and the power analysis holds."""

from __future__ import annotations

import math

import numpy as np

from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.intervals import (
    Estimate,
    PairMetrics,
    Replicates,
    Resampler,
    SortedPair,
    percentile_interval,
)
from turnout.evaluation.meter import Meter
from turnout.evaluation.sweeps import hull_sweep
from turnout.evaluation.verdict import Z_LEVEL, outcome_of, prompts_needed
from turnout.types import Candidate, Query

DRAWS, PILOT = 160, 600


def pool(rng: np.random.Generator, n: int = 250, m: int = 4) -> Benchmark:
    """Prompts of unequal difficulty on which models differ in level alone."""
    hard = rng.random((n, 1))
    score = (rng.random((n, m)) < np.linspace(1.2, 0.6, m) - 0.5 * hard).astype(float)
    return Benchmark(
        name="luck",
        queries=tuple(Query.of(str(i)) for i in range(n)),
        candidates=tuple(Candidate(name=f"model-{j}") for j in range(m)),
        quality=score,
        cost_usd=np.geomspace(1e-2, 1e-3, m)[None, :] * (0.5 + rng.random((n, 1))),
        groups=np.arange(n),
    )


def test_a_router_without_a_clue_is_rarely_said_to_pay() -> None:
    told, by_hindsight = 0, 0
    for k in range(DRAWS):
        rng = np.random.default_rng(k)
        benchmark = pool(rng)
        clueless = benchmark.quality.mean(axis=0) + 0.1 * rng.random(benchmark.quality.shape)
        meter = Meter(benchmark, Replicates(Resampler(benchmark.groups, 100, k)))
        metrics = meter.swept(hull_sweep(benchmark, clueless, seed=k))[1]
        told += outcome_of(metrics["net_lift"]) == "pays"
        by_hindsight += outcome_of(metrics["lift"]) == "pays"
    allowed = 0.025
    assert told / DRAWS <= allowed + 3 * math.sqrt(allowed * (1 - allowed) / DRAWS)
    # The lift between two hulls, each picked with hindsight, is no ground for an answer.
    assert by_hindsight > told
    assert by_hindsight / DRAWS > allowed + 3 * math.sqrt(allowed * (1 - allowed) / DRAWS)


def lift(rng: np.random.Generator, n: int, replicates: int = 200) -> Estimate:
    """Part of the gap recovered above a half, of a score that knows a little."""
    score = rng.random(n)
    gain = (rng.random(n) < 0.2 + 0.2 * score).astype(float)
    pair = SortedPair(score, gain)
    draws = PairMetrics.joined(
        [pair.measure(w) for w in Resampler(np.arange(n), replicates).weights()]
    ).apgr_exact
    value = float(pair.measure(np.ones((1, n))).apgr_exact[0])
    found = percentile_interval(value, draws)
    return Estimate(found.value - 0.5, found.low - 0.5, found.high - 0.5)


def test_with_the_prompts_that_are_said_to_be_needed_four_in_five_draws_decide() -> None:
    rng = np.random.default_rng(0)
    pilot = [lift(rng, PILOT, 20) for _ in range(200)]
    effect = float(np.mean([found.value for found in pilot]))
    half = Z_LEVEL * float(np.std([found.value for found in pilot]))
    needed = prompts_needed(Estimate(effect, effect - half, effect + half), PILOT)
    assert needed is not None
    decided = sum(outcome_of(lift(rng, needed)) == "pays" for _ in range(DRAWS))
    assert 0.70 <= decided / DRAWS <= 0.90
