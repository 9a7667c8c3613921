"""What a replay says of each setting."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts, planted_table
from turnout.artifacts.opening import open_router
from turnout.evaluation.intervals import Resampler
from turnout.evaluation.replay import Replay
from turnout.evaluation.replay_folder import predict
from turnout.evaluation.replay_measure import _estimates, replay_report, sweep
from turnout.evaluation.replay_predictions import StoredPredictions
from turnout.types import PICO, Price, Query

N = 80
PAIR = (CANDIDATES[0], CANDIDATES[2])
CHEAP = {"large": Price.per_million(0.01, 0.02)}


@pytest.fixture(scope="module")
def stored(artifacts: Path) -> StoredPredictions:
    router = open_router("linear", artifact=artifacts / "linear")
    queries = [Query.of(text) for text in planted_prompts(N, seed=5)]
    return predict(router, queries, CANDIDATES).with_outcomes(planted_table(N, seed=5))


@pytest.fixture(scope="module")
def pair(artifacts: Path) -> StoredPredictions:
    router = open_router("linear", artifact=artifacts / "linear")
    queries = [Query.of(text) for text in planted_prompts(N, seed=5)]
    return predict(router, queries, PAIR).with_outcomes(planted_table(N, seed=5))


def test_a_model_alone_has_its_own_means(stored: StoredPredictions) -> None:
    replay = Replay(stored)
    report = replay_report(stored, replay, [0.5], replicates=50)
    assert stored.outcomes is not None
    for j, candidate in enumerate(CANDIDATES):
        row = report.row(f"always {candidate.name}")
        assert row.share == {c.name: float(c.name == candidate.name) for c in CANDIDATES}
        assert row.expected_cost_usd == pytest.approx(replay.cost_picousd[:, j].mean() / PICO)
        assert row.measured_quality is not None
        assert row.measured_quality.value == pytest.approx(stored.outcomes.score[:, j].mean())
        assert row.measured_quality.low <= row.measured_quality.value <= row.measured_quality.high
        assert row.measured_cost_usd is not None  # 20 tokens in, 100 out, priced
        assert candidate.price is not None
        picousd = candidate.price.cost_picousd(input_tokens=20, output_tokens=100)
        assert row.measured_cost_usd.value == pytest.approx(picousd / PICO)


def test_new_prices_count_what_changes_and_what_keeping_the_old_decisions_costs(
    stored: StoredPredictions,
) -> None:
    same = replay_report(stored, Replay(stored), [0.5], replicates=50).row("threshold 0.5")
    assert same.changed == 0
    assert same.kept_cost_usd == same.expected_cost_usd
    new = replay_report(stored, Replay(stored, prices=CHEAP), [0.5], replicates=50)
    row = new.row("threshold 0.5")
    old, now = Replay(stored).decide(0.5), Replay(stored, prices=CHEAP).decide(0.5)
    assert row.changed == (old != now).sum() > 0
    kept = Replay(stored, prices=CHEAP).cost_picousd[np.arange(N), old].mean() / PICO
    assert row.kept_cost_usd == pytest.approx(kept)
    fewer = replay_report(stored, Replay(stored, models=["medium", "small"]), [0.0], replicates=50)
    assert np.isnan(fewer.row("threshold 0").kept_cost_usd)
    assert any("a win rate, not a share" in note for note in fewer.notes)


def test_a_sweep_between_two_models_goes_by_equal_steps_of_the_strong_share(
    pair: StoredPredictions,
) -> None:
    replay = Replay(pair)
    thresholds = sweep(replay, pair, 5)
    assert thresholds[0] == 0.0
    assert thresholds[-1] == 1.0
    report = replay_report(pair, replay, thresholds, replicates=50)
    shares = [row.share["large"] for row in report.rows[: len(thresholds)]]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert shares[1:4] == pytest.approx([0.75, 0.5, 0.25], abs=0.05)


def test_a_sweep_of_more_models_goes_by_equal_steps_of_the_knob(stored: StoredPredictions) -> None:
    assert sweep(Replay(stored), stored, 5) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_rows_on_the_hull_are_those_that_no_mix_dominates(stored: StoredPredictions) -> None:
    report = replay_report(stored, Replay(stored), [0.0, 0.3, 0.6, 1.0], replicates=50)
    points = []
    for row in report.rows:
        assert row.measured_cost_usd is not None
        assert row.measured_quality is not None
        points.append((row.measured_cost_usd.value, row.measured_quality.value, row.on_hull))
    corners = sorted({(c, q) for c, q, on in points if on})
    assert len(corners) >= 2
    for cost, quality, _ in points:
        best = np.interp(cost, [c for c, _ in corners], [q for _, q in corners])
        assert quality <= best + 1e-12


def test_intervals_are_those_of_the_paired_bootstrap_over_groups() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.random((400, 2)), np.arange(400) // 2
    values[:, 1] = values[:, 0] + 0.1
    found = _estimates(values, groups, 4000, 0)
    draws = Resampler(groups, 4000, 1).means(values)
    for j, estimate in enumerate(found):
        low, high = np.quantile(draws[:, j], [0.025, 0.975])
        assert estimate.low == pytest.approx(low, abs=0.004)
        assert estimate.high == pytest.approx(high, abs=0.004)
    assert found[1].low - found[0].low == pytest.approx(0.1)  # the same draws


def test_what_is_not_known_is_not_measured(stored: StoredPredictions) -> None:
    assert stored.outcomes is not None
    score = stored.outcomes.score.copy()
    score[29:, 0] = np.nan
    few = replace(stored, outcomes=replace(stored.outcomes, score=score))
    report = replay_report(few, Replay(few), [0.5], replicates=50)
    assert report.row("threshold 0.5").measured_quality is None
    assert any("nothing is measured: 29 prompts" in note for note in report.notes)
    blank = replace(stored.outcomes, output_tokens=np.full((N, 3), np.nan, dtype=np.float32))
    unpriced = replace(stored, outcomes=blank)
    report = replay_report(unpriced, Replay(unpriced), [0.5], replicates=50)
    assert report.row("threshold 0.5").measured_cost_usd is None
    assert report.row("threshold 0.5").measured_quality is not None
    assert any("no recorded tokens to price" in note for note in report.notes)


def test_an_old_price_keeps_the_recorded_cost_and_a_new_one_takes_tokens(
    stored: StoredPredictions,
) -> None:
    assert stored.outcomes is not None
    paid = np.full((N, 3), 0.25, dtype=np.float32)
    known = replace(stored, outcomes=replace(stored.outcomes, cost_usd=paid))
    report = replay_report(known, Replay(known, prices=CHEAP), [0.5], replicates=50)
    for name, usd in (("large", (20 * 0.01 + 100 * 0.02) / 1e6), ("small", 0.25)):
        measured = report.row(f"always {name}").measured_cost_usd
        assert measured is not None
        assert measured.value == pytest.approx(usd)


def test_a_quality_by_place_in_the_pool_is_told_when_the_pool_changes(
    stored: StoredPredictions,
) -> None:
    placed = replace(stored, basis=("prior: place 1 of 3 in the pool's order", "outcomes", ""))
    report = replay_report(placed, Replay(placed, models=["large", "small"]), [0.5], replicates=50)
    assert any("qualities of large rest on their place" in note for note in report.notes)
    report = replay_report(placed, Replay(placed), [0.5], replicates=50)
    assert not any("rest on their place" in note for note in report.notes)


def test_prompts_that_nobody_can_serve_are_told_and_count_in_no_mean(
    stored: StoredPredictions,
) -> None:
    out = stored.out.copy()
    out[:7, 1:] = True
    narrow = replace(stored, out=out)
    replay = Replay(narrow, models=["medium", "small"])
    report = replay_report(narrow, replay, [0.5], replicates=50)
    row = report.row("threshold 0.5")
    assert row.unserved == 7
    assert sum(row.share.values()) == pytest.approx((N - 7) / N)
    served = replay.chosen(replay.cost_picousd, replay.decide(0.5))[7:]
    assert row.expected_cost_usd == pytest.approx(served.mean() / PICO)
    assert report.measured_prompts == N - 7
    assert row.measured_quality is not None
    assert np.isfinite(row.measured_quality.value)
    assert "7 prompts that no candidate of this pool can serve" in report.notes


def test_json_and_text_say_the_same(stored: StoredPredictions) -> None:
    report = replay_report(stored, Replay(stored, prices=CHEAP), [0.25], replicates=50)
    found = json.loads(report.to_json())
    assert found["prices"]["large"] == {"input_usd": 0.01, "output_usd": 0.02}
    assert [row["name"] for row in found["rows"]][:1] == ["threshold 0.25"]
    text = report.to_text()
    assert "large 0.01/0.02" in text
    assert f"{found['rows'][0]['expected_cost_usd']:.6f}" in text
    assert "measured quality" in text
    bare = replace(stored, outcomes=None)
    assert "measured" not in replay_report(bare, Replay(bare), [0.25]).to_text()
