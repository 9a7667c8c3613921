"""A router that fails on some prompts, as a judge without a usable answer does, is measured all the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from turnout.errors import RouterError
from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.latency import latency
from turnout.evaluation.measure import measure
from turnout.evaluation.rows import predict_quality
from turnout.types import Candidate, PairRule, Prediction, Query


@dataclass
class Failing:
    """Takes every prompt for easy, and fails on those of these numbers."""

    on: frozenset[str]
    once: bool = False
    """Only the first time."""
    asked: list[int] = field(default_factory=list)
    """Sizes of what was asked together."""
    name: str = "failing"
    fingerprint: str | None = None
    waits: bool = True

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Any will do."""

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        self.asked.append(len(queries))
        for query in queries:
            if query.text in self.on:
                self.on = frozenset() if self.once else self.on
                raise RouterError("the judge's answer has no token")
        quality = np.full((len(queries), len(candidates)), 0.5, dtype=np.float32)
        quality[:, -1] = 0.75
        names = tuple(c.name for c in candidates)
        return Prediction(candidates=names, quality=quality, pair=PairRule("difference"))


def failing(benchmark: Benchmark, count: int, *, once: bool = False) -> Failing:
    return Failing(frozenset(q.text for q in benchmark.queries[3 : 3 + count]), once)


def test_its_failures_are_calls_of_the_strongest_model(make) -> None:  # type: ignore[no-untyped-def]
    benchmark: Benchmark = make(600, 2)
    assert len({q.text for q in benchmark.queries}) == 600
    router = failing(benchmark, 5)
    found = predict_quality(router, benchmark.queries, benchmark.candidates)
    assert router.asked == [512, *[1] * 512, 88]
    assert (found.failed, found.why) == (5, "the judge's answer has no token")
    assert found.rate[3:8].tolist() == [1.0] * 5
    assert (np.delete(found.rate, range(3, 8)) < 0.5).all()
    assert found.prediction.quality[3].tolist() == [1.0, 0.0]


def test_what_fails_once_is_asked_again(make) -> None:  # type: ignore[no-untyped-def]
    benchmark: Benchmark = make(100, 2)
    found = predict_quality(
        failing(benchmark, 1, once=True), benchmark.queries, benchmark.candidates
    )
    assert found.failed == 0
    assert found.note("failing") == ""
    assert (found.rate < 0.5).all()


@pytest.mark.parametrize("models", [2, 3])
def test_the_report_counts_them(make, models: int) -> None:  # type: ignore[no-untyped-def]
    benchmark: Benchmark = make(100, models)
    report = measure(benchmark, {"failing": failing(benchmark, 10)}, replicates=20)
    said = (
        "failing failed on 10 of 100 prompts, for which the strongest model is called; one because"
    )
    (note,) = [note for note in report.notes if note.startswith(said)]
    assert note in json.loads(report.to_json())["notes"]
    assert note in report.to_text()
    whole = measure(benchmark, {"failing": failing(benchmark, 0)}, replicates=20)
    assert not [note for note in whole.notes if "failed on" in note]


@pytest.mark.parametrize("models", [2, 3])
def test_above_a_tenth_it_is_given_up(make, models: int) -> None:  # type: ignore[no-untyped-def]
    benchmark: Benchmark = make(100, models)
    with pytest.raises(
        RouterError, match=r"failed on 11 of 14 prompts, one because the judge's.*mend it"
    ):
        measure(benchmark, {"failing": failing(benchmark, 11)}, replicates=20)


def test_a_decision_that_fails_takes_its_time(make) -> None:  # type: ignore[no-untyped-def]
    benchmark: Benchmark = make(40, 2)
    assert latency("failing", benchmark, failing(benchmark, 37)).prompts == 35
