"""What every reader of a published layout keeps. A new one gets its tests by adding a line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from layouts_made import LAYOUTS, MODELS, Layout, Made, made
from turnout import registry
from turnout.errors import DataError
from turnout.evaluation.benchmarks import Benchmark, open_benchmark

ROUTELLM = {"routellm-mmlu", "routellm-gsm8k", "routellm-mtbench"}
"""Of fixed files and models; tests/evaluation/test_benchmarks.py reads the real ones."""


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def layout(request: pytest.FixtureRequest) -> Layout:
    pytest.importorskip("pyarrow")
    found: Layout = request.param
    return found


def opened(layout: Layout, folder: Path, rows: list[Made]) -> Benchmark:
    return open_benchmark(layout.benchmark, layout.write(folder, rows))


def test_every_benchmark_has_a_layout_here() -> None:
    assert {layout.benchmark for layout in LAYOUTS.values()} | ROUTELLM == set(
        registry.names("benchmarks")
    )


def test_scores_costs_and_categories_are_those_of_the_file(layout: Layout, tmp_path: Path) -> None:
    rows = made()
    found = opened(layout, tmp_path, rows)
    assert [c.name for c in found.candidates] == list(MODELS)
    by = {(row.prompt, row.model): row for row in rows}
    assert {q.text for q in found.queries} == {row.prompt for row in rows}
    for i, query in enumerate(found.queries):
        for j, model in enumerate(MODELS):
            row = by[query.text, model]
            assert found.quality[i, j] == row.score
            if layout.has_costs:  # in USD
                assert found.cost_usd[i, j] == pytest.approx(row.cost_usd, rel=1e-6)
        if layout.has_categories:
            assert found.categories[i] == by[query.text, MODELS[0]].category
    assert found.has_costs is layout.has_costs


def test_near_duplicates_stay_together(layout: Layout, tmp_path: Path) -> None:
    stem = "A train leaves the old station at noon and travels at {} miles an hour, so when"
    twins = [Made(stem.format(k), model, 1.0) for k in (30, 45) for model in MODELS]
    found = opened(layout, tmp_path, [*made(), *twins])
    group = {q.text: g for q, g in zip(found.queries, found.groups, strict=True)}
    assert group[twins[0].prompt] == group[twins[-1].prompt]
    assert len(set(group.values())) == len(group) - 1


def test_conflicting_duplicates_are_counted_and_named(layout: Layout, tmp_path: Path) -> None:
    rows = made()
    again = [replace(row, score=1.0 - row.score) for row in rows[:2]]
    found = opened(layout, tmp_path, [*rows, *again])
    notes = [note for note in found.notes if note.startswith("2 scores conflict")]
    assert len(notes) == 1, found.notes
    assert all(model in notes[0] for model in MODELS)
    assert any("averaged" in note for note in found.notes)
    assert found.quality[[q.text for q in found.queries].index(rows[0].prompt), 0] == 0.5


def test_fields_that_are_not_read_are_named_with_their_place(
    layout: Layout, tmp_path: Path
) -> None:
    path = layout.write(tmp_path, made())
    for file in [path] if path.is_file() else sorted(path.rglob("*.json*")):
        if file.name != "default_llm.json":
            spoil(file, *layout.spoil)
    notes = open_benchmark(layout.benchmark, path).notes
    assert any(re.match(rf"field 'invented' \(first at .*{layout.place}\)", n) for n in notes), (
        notes
    )


def spoil(file: Path, old: str, new: str) -> None:
    if file.suffix != ".parquet":
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        return
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    pq.write_table(
        table.rename_columns([name.replace(old, new) for name in table.column_names]), file
    )


@pytest.mark.parametrize("score", [8.0, -0.5])
def test_a_score_outside_0_to_1_is_refused_with_its_place(
    layout: Layout, tmp_path: Path, score: float
) -> None:
    rows = made()
    with pytest.raises(DataError, match=rf"{layout.place} score of 'big/V1\.2': {score}"):
        opened(layout, tmp_path, [replace(rows[0], score=score), *rows[1:]])


def test_fewer_than_thirty_prompts_are_an_error(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="12 is not usable: at least 30 prompts"):
        opened(layout, tmp_path, made(12))


def test_one_model_alone_is_an_error(layout: Layout, tmp_path: Path) -> None:
    rows = [row for row in made() if row.model == MODELS[1]]
    with pytest.raises(DataError, match="at least two models"):
        opened(layout, tmp_path, rows)


def test_models_can_be_chosen_and_ordered(layout: Layout, tmp_path: Path) -> None:
    path = layout.write(tmp_path, made())
    found = open_benchmark(layout.benchmark, path, MODELS[::-1])
    assert [c.name for c in found.candidates] == list(MODELS[::-1])
    with pytest.raises(DataError, match="gpt-9"):
        open_benchmark(layout.benchmark, path, ["gpt-9", "small"])


def test_another_file_is_refused_with_what_is_wanted(layout: Layout, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "hello"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="give"):
        open_benchmark(layout.benchmark, other)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="give"):
        open_benchmark(layout.benchmark, empty)
