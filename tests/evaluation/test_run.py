from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turnout.errors import InputError
from turnout.evaluation.benchmarks import Benchmark, PublishedRow
from turnout.evaluation.rules import LENGTH, ORACLE, RANDOM, TABLE
from turnout.evaluation.run import ScoreRow, evaluate_pair, score_rows
from turnout.routers.base import Router
from turnout.types import Candidate, PairRule, Prediction, Query


def test_every_row_stands_beside_the_baselines(pair: Benchmark, by_length: Router) -> None:
    report = evaluate_pair(pair, {"mine": by_length}, replicates=200)
    names = [row.name for row in report.rows]
    assert names == ["always weak", "always strong", RANDOM, LENGTH, TABLE, ORACLE, "mine"]
    mine, length = report.row("mine"), report.row(LENGTH)
    # The fake router *is* prompt length, so the paired difference is nothing at all.
    assert mine.metrics["apgr_exact"] == length.metrics["apgr_exact"]
    assert mine.difference is not None
    assert (mine.difference.value, mine.difference.low, mine.difference.high) == (0, 0, 0)
    assert length.difference is None
    assert mine.kind == "transfer"


@pytest.mark.parametrize(
    ("rule", "is_probability"),
    [("difference", True), ("logistic", True), ("weak_fails", False), ("strong", False)],
)
def test_only_a_win_rate_that_means_the_gain_is_checked_against_it(
    pair: Benchmark, by_length: Router, rule: Any, is_probability: bool
) -> None:
    class Ruled:
        name, fingerprint, check = "ruled", None, by_length.check

        def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
            found = by_length.predict(queries, candidates)
            return dataclasses.replace(found, pair=PairRule(rule, a=1.0))

    row = evaluate_pair(pair, {"mine": Ruled()}, replicates=20).row("mine")
    assert ("brier" in row.calibration) == is_probability


def test_intervals_hold_their_value_and_paired_ones_are_narrower(pair: Benchmark) -> None:
    rng = np.random.default_rng(0)
    length = np.asarray([len(q.text) for q in pair.queries], dtype=float)
    near = ScoreRow(name="near", kind="in-domain", scores=length + rng.normal(0, 3, pair.n))
    report = evaluate_pair(pair, {}, extra=[near], replicates=300)
    row = report.row("near")
    for name, found in row.metrics.items():
        assert found.low <= found.value <= found.high, name
    assert row.difference is not None
    apgr = row.metrics["apgr_exact"]
    assert row.difference.high - row.difference.low < apgr.high - apgr.low


def test_random_is_half_and_the_oracle_is_best(pair: Benchmark) -> None:
    report = evaluate_pair(pair, {}, replicates=200)
    random, oracle = report.row(RANDOM).metrics, report.row(ORACLE).metrics
    assert random["apgr"].low < 0.5 < random["apgr"].high
    assert oracle["apgr_exact"].value > report.row(LENGTH).metrics["apgr_exact"].value


def test_the_same_seed_gives_the_same_report(pair: Benchmark, by_length: Router) -> None:
    one, two = (evaluate_pair(pair, {"r": by_length}, replicates=60, seed=5) for _ in range(2))
    assert one.to_json() == two.to_json()
    assert one.to_json() != evaluate_pair(pair, {"r": by_length}, replicates=60).to_json()


def test_the_order_of_the_prompts_changes_no_value(pair: Benchmark, by_length: Router) -> None:
    order = np.random.default_rng(1).permutation(pair.n)
    one = evaluate_pair(pair, {"r": by_length}, replicates=20).row("r")
    two = evaluate_pair(pair.rows(order), {"r": by_length}, replicates=20).row("r")
    for name, found in one.metrics.items():
        assert found.value == pytest.approx(two.metrics[name].value), name


def test_published_rows_are_printed_beside_and_not_measured(pair: Benchmark) -> None:
    row = PublishedRow(router="Theirs", cpt50=0.354, cpt80=0.7155, apgr=0.603, source="a paper")
    report = evaluate_pair(dataclasses.replace(pair, published=(row,)), {}, replicates=20)
    theirs = report.row("Theirs")
    assert theirs.kind == "published"
    assert set(theirs.metrics) == {"cpt50", "cpt80", "apgr"}
    line = next(x for x in report.to_text().splitlines() if x.startswith("Theirs"))
    assert line.split()[1:] == ["published", "35.4", "71.5", "0.603", "-", "-", "-"]


def test_json_is_json_and_has_no_nan(pair: Benchmark, by_length: Router) -> None:
    unpriced = dataclasses.replace(pair, cost_usd=np.full((pair.n, 2), np.nan))
    report = evaluate_pair(unpriced, {"r": by_length}, replicates=20)
    data = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
    row = next(r for r in data["rows"] if r["name"] == "r")
    assert row["metrics"]["apgr_usd"]["value"] is None
    assert row["curve_dollars"] is None
    assert data["cost_usd"] is None
    assert data["prompts"] == 200
    assert data["groups"] == 100


def test_a_router_named_like_a_baseline_keeps_its_own_row(
    pair: Benchmark, by_length: Router
) -> None:
    report = evaluate_pair(pair, {"random": by_length}, replicates=20)
    assert report.row("random").kind == "baseline"
    assert report.row("random router").kind == "transfer"


def test_without_a_gap_the_report_says_why_there_are_no_numbers(pair: Benchmark) -> None:
    turned = dataclasses.replace(pair, quality=pair.quality[:, ::-1])
    report = evaluate_pair(turned, {}, replicates=20)
    assert "the strong model is not better here" in report.notes[-2]
    line = next(x for x in report.to_text().splitlines() if x.startswith(LENGTH))
    assert set(line.split()[3:]) == {"-"}


def test_rows_that_do_not_fit_are_refused(pair: Benchmark) -> None:
    for scores, says in ((np.ones(3), "give one for each"), (np.full(200, np.nan), "finite")):
        with pytest.raises(InputError, match=says):
            score_rows(pair, [ScoreRow(name="x", kind="transfer", scores=scores)])


def test_the_table_reads_as_reviewed(pair: Benchmark, by_length: Router) -> None:
    report = evaluate_pair(pair, {"mine": by_length}, replicates=100)
    golden = Path(__file__).with_name("golden_report.txt")
    assert report.to_text() == golden.read_text(encoding="utf-8")
