from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from turnout.errors import InputError
from turnout.evaluation.asking import Asked
from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.examples import MOST_CHARS, examples
from turnout.evaluation.latency import latency
from turnout.evaluation.measure import measure, write
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.provenance import fingerprint
from turnout.evaluation.report import EvaluationReport
from turnout.evaluation.rows import ScoreRow
from turnout.routers.base import Router
from turnout.types import Query

Make = Callable[..., Benchmark]


def test_prompts_are_in_a_report_only_if_they_are_asked_for(
    pair: Benchmark, by_length: Router
) -> None:
    secret = dataclasses.replace(
        pair, queries=(Query.of("tell nobody"), *pair.queries[1:]), categories=()
    )
    report = measure(secret, {"r": by_length}, replicates=20, asked=Asked(robustness=True))
    assert "tell nobody" not in report.to_json()
    assert "xxxx" not in report.to_json()
    shown = measure(secret, {"r": by_length}, replicates=20, asked=Asked(examples=3))
    assert len(shown.details.examples) == 6
    assert "xxxx" in shown.to_json()
    assert "xxxx" not in shown.to_text()


def test_examples_are_right_and_wrong_calls_where_the_choice_mattered(make: Make) -> None:
    three = make(200, 3)
    choice = np.zeros(200, dtype=np.intp)
    for found in examples("r", three, choice, count=5):
        assert found.chosen == "model-0"
        assert (found.got > found.other_got) == found.is_right
        assert found.chosen != found.other
    assert len(examples("r", three, choice, count=5)) == 10


def test_a_long_prompt_is_cut(make: Make) -> None:
    long = make(40, 2)
    long = dataclasses.replace(long, queries=tuple(Query.of("word " * 999) for _ in long.queries))
    found = examples("r", long, np.ones(40, dtype=np.intp), count=1)
    assert all(len(example.prompt) <= MOST_CHARS for example in found)
    assert all(example.prompt.endswith("…") for example in found)


def test_a_prompt_with_half_a_character_can_be_written(make: Make, tmp_path: Path) -> None:
    odd = make(40, 2)
    odd = dataclasses.replace(odd, queries=tuple(Query.of(f"{i} \ud800") for i in range(40)))
    router = ScoreRow(name="r", kind="transfer", scores=np.arange(40.0))
    write(measure(odd, {}, extra=[router], replicates=20, asked=Asked(examples=2)), tmp_path)
    assert " ?" in (tmp_path / "evaluation.html").read_text("utf-8")


def test_regret_of_a_pair_counts_cost_where_it_is_asked_to(pair: Benchmark) -> None:
    row = ScoreRow(name="r", kind="transfer", scores=np.arange(float(pair.n)))
    found = []
    for worth in (float("inf"), 0.05):
        report = measure(pair, {}, extra=[row], replicates=20, asked=Asked(usd_per_quality=worth))
        assert isinstance(report, EvaluationReport)
        found.append(report.row("r").at_half["regret_oracle"].value)
    assert found[0] != found[1]


def test_without_all_costs_regret_counts_quality_alone(make: Make, by_length: Router) -> None:
    four = make(60, 4)
    cost = four.cost_usd.copy()
    cost[:, 2] = np.nan
    four = dataclasses.replace(four, cost_usd=cost)
    report = measure(
        four, {"r": by_length}, replicates=20, asked=Asked(usd_per_quality=0.01, robustness=False)
    )
    assert isinstance(report, PoolReport)
    assert "regret counts quality alone: not all costs are known" in report.notes
    for name in ("r", "oracle", "attainable ceiling"):
        assert np.isfinite(report.row(name).metrics["regret_oracle"].value)
    assert report.row("oracle").metrics["regret_oracle"].value == 0.0


def test_latency_is_read_off_the_clock_that_is_given(pair: Benchmark, by_length: Router) -> None:
    ticks = iter(np.arange(0, 1e6) * 0.002)
    found = latency("r", pair, by_length, now=lambda: float(next(ticks)))
    assert (found.p50_ms, found.p99_ms) == pytest.approx((2.0, 2.0))
    assert found.prompts == pair.n - 5
    slow = iter(np.arange(0, 1e6))
    assert latency("r", pair, by_length, now=lambda: float(next(slow))).prompts == 4


def test_the_fingerprint_moves_with_every_part_of_the_data(pair: Benchmark) -> None:
    seen = {fingerprint(pair)}
    seen.add(fingerprint(dataclasses.replace(pair, quality=1 - pair.quality)))
    seen.add(fingerprint(dataclasses.replace(pair, cost_usd=pair.cost_usd * 2)))
    seen.add(fingerprint(dataclasses.replace(pair, candidates=pair.candidates[::-1])))
    seen.add(fingerprint(dataclasses.replace(pair, queries=pair.queries[::-1])))
    assert len(seen) == 5
    assert fingerprint(dataclasses.replace(pair, notes=("x",))) in seen


def test_a_report_says_what_it_was_made_from(pair: Benchmark, by_length: Router) -> None:
    asked = Asked(command="turnout evaluate --data x", made_at="2026-11-26 10:00 UTC")
    router = dataclasses.replace(by_length, fingerprint="f00")  # type: ignore[type-var]
    made = json.loads(measure(pair, {"r": router}, replicates=20, asked=asked).to_json())
    assert made["provenance"]["command"] == "turnout evaluate --data x"
    assert made["provenance"]["artifacts"] == {"r": "f00"}
    assert len(made["provenance"]["data"]) == 64


@pytest.mark.parametrize("bad", [1.5, -0.1, float("nan")])
def test_a_quality_that_is_none_is_refused_by_name(pair: Benchmark, bad: float) -> None:
    quality = pair.quality.copy()
    quality[7, 1] = bad
    with pytest.raises(InputError, match=r"quality of 'model-1' on prompt 7.*from 0 to 1"):
        measure(dataclasses.replace(pair, quality=quality), {}, replicates=20)


def test_one_model_is_nothing_to_choose_from(make: Make) -> None:
    with pytest.raises(InputError, match="at least two"):
        measure(make(50, 1), {}, replicates=20)


def test_few_prompts_are_measured_with_a_warning(make: Make, by_length: Router) -> None:
    for m in (2, 4):
        report = measure(make(12, m), {"r": by_length}, replicates=40)
        assert any("12 prompts: below 30" in note for note in report.notes)
        assert report.verdicts


def test_models_that_cost_the_same_or_nothing_are_named(make: Make, by_length: Router) -> None:
    four = make(60, 4)
    same = dataclasses.replace(four, cost_usd=np.full((60, 4), 0.01))
    report = measure(same, {"r": by_length}, replicates=20)
    assert any("all models cost the same" in note for note in report.notes)
    free = four.cost_usd.copy()
    free[:, 3] = 0.0
    report = measure(dataclasses.replace(four, cost_usd=free), {"r": by_length}, replicates=20)
    assert any("no metric over log cost: model-3 cost nothing" in note for note in report.notes)
    assert report.verdicts[0].axis == "dollars"
