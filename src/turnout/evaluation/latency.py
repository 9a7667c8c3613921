"""How long one decision takes: a prediction for a single prompt, as a request has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from turnout.errors import RouterError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.routers.base import Router
from turnout.types import Query

WARM = 5
MOST_PROMPTS = 300
LONGEST_S = 3.0
"""No further prompt is timed after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds of wall time of one router, one prompt at a time, on this machine."""

    router: str
    p50_ms: float
    p99_ms: float
    prompts: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def latency(
    name: str,
    benchmark: Benchmark,
    router: Router,
    *,
    seed: int = 0,
    now: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time a router on prompts of a benchmark, each alone, after a few to warm up.

    Args:
        name: to print.
        benchmark: its prompts, drawn by `seed`, and models.
        router: is timed.
        seed: of the draw.
        now: a clock in seconds.
    """
    order = np.random.default_rng(seed).permutation(benchmark.n)[: WARM + MOST_PROMPTS]
    queries = [benchmark.queries[i] for i in order]
    for query in queries[:WARM]:
        _predict(router, query, benchmark)
    spent: list[float] = []
    for query in queries[min(WARM, len(queries) - 1) :]:
        start = now()
        _predict(router, query, benchmark)
        spent.append((now() - start) * 1e3)
        if sum(spent) > LONGEST_S * 1e3:
            break
    p50, p99 = np.quantile(spent, [0.5, 0.99])
    return Latency(router=name, p50_ms=float(p50), p99_ms=float(p99), prompts=len(spent))


def _predict(router: Router, query: Query, benchmark: Benchmark) -> None:
    """One decision, which takes its time even where the router fails in the end."""
    with suppress(RouterError):
        router.predict([query], benchmark.candidates)
