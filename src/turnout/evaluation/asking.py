"""What a report should hold beside its rows, and how that is found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.details import Details
from turnout.evaluation.examples import Example, examples
from turnout.evaluation.intervals import Replicates
from turnout.evaluation.latency import latency
from turnout.evaluation.provenance import Provenance, fingerprint
from turnout.evaluation.reliability import Reliability, reliability
from turnout.evaluation.robustness import RobustnessRow, chooser, middle_worth, robustness
from turnout.evaluation.rows import QualityRow, ScoreRow
from turnout.evaluation.sweeps import by_value
from turnout.routers.base import Router

Row = ScoreRow | QualityRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report should hold beside its rows."""

    robustness: bool = False
    """Perturb the prompts and search gadgets: thousands of predictions a router."""
    latency: bool = False
    """Time single predictions; the numbers differ from run to run."""
    examples: int = 0
    """Right and wrong calls of each router, with their prompts."""
    usd_per_quality: float = math.inf
    """What one unit of quality is worth, for regret; inf counts quality alone."""
    command: str = ""
    """As it was given, to be kept in the report."""
    made_at: str = ""


def details(
    benchmark: Benchmark,
    rows: Sequence[Row],
    routers: Mapping[str, Router],
    asked: Asked,
    replicates: Replicates,
    *,
    seed: int = 0,
) -> Details:
    """Find what was asked for, on the rows that are no baselines.

    Args:
        benchmark: prompts and outcomes.
        rows: of routers and those made elsewhere.
        routers: by the `route` of their row.
        asked: what to find; calibration and fingerprints always are.
        replicates: of the benchmark's groups.
        seed: of everything random.
    """
    opened = [(row, routers[row.route]) for row in rows if row.route in routers]
    turned: list[RobustnessRow] = []
    for row, router in opened if asked.robustness else ():
        turned += robustness(
            row.name, benchmark, chooser(benchmark, router, _knob(benchmark, row)), seed=seed
        )
    shown: list[Example] = []
    for row in rows if asked.examples else ():
        choice = _choice(benchmark, row)
        shown += examples(row.name, benchmark, choice, count=asked.examples, seed=seed)
    timed = opened if asked.latency else []
    return Details(
        reliability=tuple(found for row in rows for found in _checked(benchmark, row, replicates)),
        robustness=tuple(turned),
        latency=tuple(latency(row.name, benchmark, router, seed=seed) for row, router in timed),
        examples=tuple(shown),
        provenance=Provenance(
            data=fingerprint(benchmark),
            artifacts={name: r.fingerprint for name, r in routers.items() if r.fingerprint},
            command=asked.command,
            made_at=asked.made_at,
        ),
    )


def _checked(benchmark: Benchmark, row: Row, replicates: Replicates) -> list[Reliability]:
    """Predicted quality of each model, and of two models the win rate where it is a probability."""
    found = []
    if row.quality is not None:
        for j, candidate in enumerate(benchmark.candidates):
            predicted = np.clip(np.asarray(row.quality, dtype=np.float64)[:, j], 0.0, 1.0)
            got = benchmark.quality[:, j]
            found.append(reliability(row.name, candidate.name, predicted, got, replicates))
    if isinstance(row, ScoreRow) and row.is_probability:
        wins = (benchmark.gain > 0).astype(np.float64)
        what = f"wins of {benchmark.strong.name}"
        found.append(reliability(row.name, what, row.scores, wins, replicates))
    return found


def _knob(benchmark: Benchmark, row: Row) -> float:
    """The middle of a router's knob: half of the calls to the strong model, or half of the span."""
    if isinstance(row, QualityRow):
        return middle_worth(benchmark, row.quality)
    scores = row.scores if row.scores.ndim == 1 else row.scores.mean(axis=0)
    return float(np.quantile(scores, 0.5))


def _choice(benchmark: Benchmark, row: Row) -> NDArray[np.intp]:
    if isinstance(row, QualityRow):
        return by_value(benchmark, row.quality, _knob(benchmark, row))
    scores = row.scores if row.scores.ndim == 1 else row.scores.mean(axis=0)
    return np.where(scores >= _knob(benchmark, row), 0, 1).astype(np.intp)
