from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from turnout.errors import InputError
from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.measure import known_as, measure
from turnout.evaluation.pool import QualityRow, evaluate_pool
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.run import ScoreRow
from turnout.routers.base import Router


@pytest.fixture
def four(make) -> Benchmark:  # type: ignore[no-untyped-def]
    found: Benchmark = make(300, 4)
    return found


def test_single_models_baselines_and_routers(four: Benchmark, by_length: Router) -> None:
    report = evaluate_pool(four, {"mine": by_length}, replicates=100)
    best = report.row("always model-0")
    assert best.remark == "best single, dearest"
    assert best.difference is None
    assert report.row("always model-3").remark == "cheapest"
    oracle, random = report.row("oracle"), report.row("random")
    assert oracle.difference is not None
    assert oracle.difference.low > 0
    assert random.quality.value == pytest.approx(four.quality.mean())
    assert report.row("best model per category").kind == "in-domain"
    assert report.row("mine").aiq < report.row("zero router").aiq < 1


def test_a_router_that_knows_the_outcomes_beats_the_zero_router(four: Benchmark) -> None:
    told = QualityRow(name="told", kind="in-domain", quality=four.quality)
    report = evaluate_pool(four, {}, extra=[told], replicates=100)
    row = report.row("told")
    assert row.quality.value == pytest.approx(report.row("oracle").quality.value)
    assert row.aiq > report.row("zero router").aiq
    assert row.log_aiq > report.row("zero router").log_aiq


def test_with_the_hull_a_router_without_a_clue_is_as_good_as_no_router(make) -> None:  # type: ignore[no-untyped-def]
    four: Benchmark = make(2000, 4)
    clueless = QualityRow(
        name="clueless",
        kind="transfer",
        quality=np.random.default_rng(0).random((four.n, 4)),
    )
    report = evaluate_pool(four, {}, extra=[clueless], replicates=20)
    raw, hull, zero = (report.row(n) for n in ("clueless", "clueless + hull", "zero router"))
    assert raw.aiq < zero.aiq - 0.05
    assert hull.aiq == pytest.approx(zero.aiq, abs=0.01)
    assert hull.kind == "in-domain"
    assert hull.quality.value == pytest.approx(report.row("always model-0").quality.value)


def test_what_this_very_call_cost_is_not_looked_at(four: Benchmark) -> None:
    # Costs that vary from call to call must not change which model is chosen.
    noisy = four.cost_usd * np.random.default_rng(0).permuted(
        np.linspace(0.5, 1.5, four.n)[:, None] * np.ones((1, 4)), axis=0
    )
    noisy *= four.cost_usd.mean(axis=0) / noisy.mean(axis=0)
    flat = QualityRow(name="flat", kind="transfer", quality=np.full((four.n, 4), 0.5))
    for cost in (four.cost_usd, noisy):
        report = evaluate_pool(
            dataclasses.replace(four, cost_usd=cost), {}, extra=[flat], replicates=20
        )
        # All qualities tie, so the cheapest model on average is called every time.
        assert report.row("flat").cost_usd == pytest.approx(cost[:, 3].mean())


def test_every_category_has_its_row(four: Benchmark, by_length: Router) -> None:
    report = evaluate_pool(four, {"mine": by_length}, replicates=20)
    assert [(row.name, row.prompts) for row in report.categories] == [("a", 150), ("b", 150)]
    one, two = report.categories
    for way in ("best single", "oracle", "mine"):
        mean = (one.quality[way] + two.quality[way]) / 2
        name = "always model-0" if way == "best single" else way
        assert mean == pytest.approx(report.row(name).quality.value)
    assert one.best_model == "model-0"
    assert "best model there" in report.to_text()


def test_without_costs_there_is_quality_alone(four: Benchmark, by_length: Router) -> None:
    unpriced = dataclasses.replace(four, cost_usd=np.full((four.n, 4), np.nan), categories=())
    report = evaluate_pool(unpriced, {"mine": by_length}, replicates=20)
    names = [row.name for row in report.rows]
    assert "zero router" not in names
    assert "best model per category" not in names
    assert math.isnan(report.row("mine").aiq)
    data = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert data["rows"][0]["cost_usd"] is None
    assert "mine" in report.to_text()


def test_one_call_serves_two_and_more_models(
    four: Benchmark, pair: Benchmark, by_length: Router
) -> None:
    assert isinstance(measure(four, {"r": by_length}, replicates=20), PoolReport)
    assert not isinstance(measure(pair, {"r": by_length}, replicates=20), PoolReport)
    row = ScoreRow(name="x", kind="in-domain", scores=np.ones(four.n))
    with pytest.raises(InputError, match="takes QualityRows"):
        measure(four, {}, extra=[row])


def test_a_router_can_be_told_the_names_that_it_knows(pair: Benchmark) -> None:
    found = known_as(pair, {"model-1": "small"})
    assert [c.known_as for c in found.candidates] == [None, "small"]
    with pytest.raises(InputError, match="models are model-0, model-1"):
        known_as(pair, {"gpt": "x"})
