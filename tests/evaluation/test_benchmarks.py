"""Conformance with RouteLLM's published levels, on its own files, and the user's outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from turnout import registry
from turnout.data.table import build_table
from turnout.errors import DataError, UnknownNameError
from turnout.evaluation.benchmarks import Benchmark, open_benchmark, outcomes, routellm
from turnout.evaluation.metrics import apgr, area, cpt_interpolated, routellm_curve
from turnout.evaluation.run import LENGTH, RANDOM, evaluate_pair
from turnout.types import Outcome

READERS = {
    "routellm-mmlu": routellm.read_mmlu,
    "routellm-gsm8k": routellm.read_gsm8k,
    "routellm-mtbench": routellm.read_mt_bench,
}
# RouteLLM's own evaluation, run once with its dependencies repaired: n, weak, strong.
LEVELS = {
    "routellm-mmlu": (14_037, 68.091, 80.587),
    "routellm-gsm8k": (1_307, 63.734, 85.769),
    "routellm-mtbench": (72, 8.2813, 9.2118),
}
# Its `random` router, one seed, ten runs averaged: CPT50, CPT80, AUC, APGR; and the standard
# deviation of APGR over single runs.
RANDOM_ROWS = {
    "routellm-mmlu": (50.04, 79.32, 74.355, 0.5012, 0.009),
    "routellm-gsm8k": (48.79, 80.16, 74.903, 0.5069, 0.021),
    "routellm-mtbench": (51.29, 78.55, 8.753, 0.5070, 0.069),
}
LENGTH_APGR = {"routellm-mmlu": 0.584, "routellm-gsm8k": 0.599, "routellm-mtbench": 0.556}


@pytest.fixture(scope="session")
def benchmarks(shared_data: Path) -> dict[str, Benchmark]:
    return {name: read(shared_data / "routellm") for name, read in READERS.items()}


@pytest.mark.parametrize("name", LEVELS)
def test_constant_models_have_routellms_levels(benchmarks, name: str) -> None:  # type: ignore[no-untyped-def]
    found, (n, weak, strong) = benchmarks[name], LEVELS[name]
    assert found.n == n
    digits = 3 if found.scale == 100 else 4
    assert round(found.quality_weak.mean() * found.scale, digits) == pytest.approx(weak, abs=1e-4)
    assert round(found.quality_strong.mean() * found.scale, digits) == pytest.approx(
        strong, abs=1e-4
    )


@pytest.mark.parametrize("name", RANDOM_ROWS)
def test_random_has_routellms_numbers_within_its_spread(benchmarks, name: str) -> None:  # type: ignore[no-untyped-def]
    found = benchmarks[name]
    cpt50, cpt80, auc, one, sd = RANDOM_ROWS[name]
    weak, strong = found.quality_weak, found.quality_strong
    level = weak.mean(), strong.mean()
    runs = [np.random.default_rng(k).random(found.n) for k in range(10)]
    curves = [routellm_curve(run, weak, strong) for run in runs]
    spread = 3 * sd * np.sqrt(2 / 10)  # of the difference of two means of ten
    assert np.mean([apgr(c, *level) for c in curves]) == pytest.approx(one, abs=spread)
    gap = level[1] - level[0]
    mean_auc = np.mean([area(c) for c in curves]) * found.scale
    assert mean_auc == pytest.approx(auc, abs=spread * gap * found.scale)
    for part, expected in ((0.5, cpt50), (0.8, cpt80)):
        mean = np.mean([cpt_interpolated(c, *level, part) for c in curves])
        assert mean * 100 == pytest.approx(expected, abs=100 * 2.5 * spread)


@pytest.mark.parametrize("name", LENGTH_APGR)
def test_length_is_the_baseline_that_it_is_known_to_be(benchmarks, name: str) -> None:  # type: ignore[no-untyped-def]
    report = evaluate_pair(benchmarks[name], {}, replicates=40)
    length, random = report.row(LENGTH).metrics["apgr"], report.row(RANDOM).metrics["apgr"]
    assert length.value == pytest.approx(LENGTH_APGR[name], abs=1e-3)
    assert random.low - 0.02 < 0.5 < random.high + 0.02
    assert len([row for row in report.rows if row.kind == "published"]) == 8


def test_costs_follow_prompts_and_recorded_answers(benchmarks) -> None:  # type: ignore[no-untyped-def]
    mmlu, mt = benchmarks["routellm-mmlu"], benchmarks["routellm-mtbench"]
    first = mmlu.queries[0].input_tokens
    assert mmlu.cost_usd[0] == pytest.approx([(first * 10 + 30) / 1e6, (first + 1) * 0.24 / 1e6])
    assert (mt.cost_usd[:, 0] > 100 * mt.cost_usd[:, 1] * 0.2).all()
    assert mt.cost_usd[:, 0].mean() > 0.01  # two answers of some 400 tokens each
    assert len(set(mmlu.categories)) == 57


def test_groups_hold_templates_together(benchmarks) -> None:  # type: ignore[no-untyped-def]
    assert len(np.unique(benchmarks["routellm-mmlu"].groups)) < 11_000
    assert len(np.unique(benchmarks["routellm-gsm8k"].groups)) > 1_200


def test_every_benchmark_comes_in_by_the_registry(tmp_path: Path) -> None:
    names = registry.names("benchmarks")
    assert {"outcomes", *READERS} <= set(names)
    with pytest.raises(UnknownNameError, match="routellm-mmlu"):
        open_benchmark("routellm-mmul", tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        open_benchmark("outcomes", tmp_path / "absent.jsonl")


@pytest.mark.parametrize("read", READERS.values())
def test_a_folder_laid_out_otherwise_is_refused(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="contaminated_prompts"):
        read(tmp_path)
    with pytest.raises(DataError, match="compares gpt-4-1106-preview"):
        read(tmp_path, ["a", "b"])


def test_a_small_folder_in_routellms_layout_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    strong, weak = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
    header = f"prompt,{weak},{strong},{weak}_response,{strong}_response\n"
    (folder / "gsm8k_responses.csv").write_text(
        header + "one,False,True,12345678,1234\ntwo,True,True,a,b\nleaked,False,True,a,b\n"
    )
    (folder / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "leaked"}\n')
    for path in (tmp_path, folder):
        found = routellm.read_gsm8k(path)
        assert found.n == 2
        assert found.quality.tolist() == [[1, 0], [1, 1]]
        assert found.cost_usd[0] == pytest.approx([(10 + 30) / 1e6, 3 * 0.24 / 1e6])
        assert found.notes[0] == "1 of 3 prompts dropped as contaminated"
    (folder / "gsm8k_responses.csv").write_text("prompt\none\n")
    with pytest.raises(DataError, match="lacks the columns"):
        routellm.read_gsm8k(tmp_path)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    rows = []
    for i in range(60):
        models = {
            "small": {"score": i % 2, "cost_usd": 0.001},
            "big": {"score": 1, "cost_usd": 0.01},
            "mid": {"score": float(i % 3 > 0), "cost_usd": 0.002},
        }
        if i < 5:
            models["mid"] = None  # type: ignore[assignment]
        rows.append({"prompt": f"question {'abcdefgh'[i % 8] * (i + 1)}", "models": models})
    path = tmp_path / "traffic.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_own_outcomes_are_ordered_by_mean_score_and_complete(own: Path) -> None:
    found = outcomes.read(own)
    assert [c.name for c in found.candidates] == ["big", "mid", "small"]
    assert found.n == 55
    assert found.has_costs
    assert any("5 prompts left out" in note for note in found.notes)


def test_two_models_of_many_can_be_compared(own: Path) -> None:
    found = outcomes.read(own, ["big", "small"])
    assert found.is_pair
    assert found.n == 60
    assert found.extra_cost_usd == pytest.approx(np.full(60, 0.009))
    with pytest.raises(DataError, match="the data holds"):
        outcomes.read(own, ["big", "huge"])
    with pytest.raises(DataError, match="at least two"):
        outcomes.read(own, ["big"])


def test_missing_costs_come_from_list_prices_and_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.jsonl"
    cell = {"score": 1, "input_tokens": 1000, "output_tokens": 1000}
    path.write_text(
        "\n".join(
            json.dumps({"prompt": f"p {'x' * i}", "models": {"gpt-4o": cell, "gpt-4o-mini": cell}})
            for i in range(30)
        )
    )
    found = outcomes.read(path)
    assert found.has_costs
    assert found.cost_usd[0, 0] > 10 * found.cost_usd[0, 1] > 0
    assert any("60 of 60 from list prices" in note for note in found.notes)


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"prompt": "a", "models": {"x": 1, "y": 0}}\n')
    with pytest.raises(DataError, match="at least 30 prompts"):
        outcomes.read(path)


def test_a_limited_benchmark_says_so(pair: Benchmark) -> None:
    part = pair.limited(50, seed=1)
    assert part.n == 50
    assert part.quality.shape == (50, 2)
    assert "limited to 50 of 200" in part.notes[-1]
    assert pair.limited(None) is pair
    assert pair.limited(500) is pair


def test_who_lacks_scores_or_costs_is_named() -> None:
    def cell(model: str, i: int, cost: float | None) -> Outcome:
        return Outcome(prompt=f"prompt {i}", model=model, score=i % 2, cost_usd=cost)

    rows = [cell(m, i, 0.01 if m == "a" else None) for i in range(50) for m in ("a", "b")]
    rows += [cell("rare", i, 0.01) for i in range(40)]
    benchmark = outcomes.from_table(build_table(rows))
    assert "10 prompts left out: not every model has a score; fewest scores of 3 models" in str(
        benchmark.notes
    )
    assert "rare has 40 of 50" in str(benchmark.notes)
    assert "40 costs are unknown (of b)" in str(benchmark.notes)
    few = [row for row in rows if row.model != "rare" or row.prompt == "prompt 1"]
    with pytest.raises(DataError, match=r"at least 30 prompts.*rare has 1 of 50"):
        outcomes.from_table(build_table(few))
