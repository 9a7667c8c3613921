"""RouterArena's formula, its files and its score."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import planted_prompts
from turnout.data.table import build_table
from turnout.errors import DataError, InputError
from turnout.evaluation.choices import arena_score
from turnout.evaluation.routerarena import (
    ArenaEntry,
    ArenaQuery,
    check,
    optimality_entries,
    read_entries,
    read_queries,
    require_valid,
    write_json,
)
from turnout.evaluation.routerarena_score import ArenaScore, graded, score
from turnout.types import Outcome

QUERIES = [
    ArenaQuery(index=f"AIME_{i}", prompt=prompt) for i, prompt in enumerate(planted_prompts(40))
]
MODELS = ("big", "small")


def entry(i: int, model: str = "big", **more: object) -> ArenaEntry:
    query = QUERIES[i]
    made = ArenaEntry(index=query.index, prompt=query.prompt, model=model)
    return replace(made, **more)  # type: ignore[arg-type]


def one(accuracy: float, usd_per_1000: float) -> float:
    return float(arena_score(np.asarray([accuracy]), np.asarray([usd_per_1000 / 1000]))[0])


@pytest.mark.parametrize(
    ("accuracy", "usd", "expected"),
    [(0.769, 0.10, 0.7628), (0.781, 0.27, 0.7628), (0.807, 1.00, 0.7628)],
)
def test_the_formula_has_its_known_values(accuracy: float, usd: float, expected: float) -> None:
    assert one(accuracy, usd) == pytest.approx(expected, abs=2e-3)


@given(a=st.floats(0, 1), b=st.floats(0, 1), c=st.floats(1e-4, 1e3), d=st.floats(1e-4, 1e3))
def test_more_accuracy_and_less_cost_are_never_worse(
    a: float, b: float, c: float, d: float
) -> None:
    low, high, cheap, dear = min(a, b), max(a, b), min(c, d), max(c, d)
    assert one(high, cheap) >= one(low, cheap) - 1e-12
    assert one(low, cheap) >= one(low, dear) - 1e-12
    assert 0.0 <= one(a, c) <= 1.0


def test_cost_is_clamped() -> None:
    assert one(0.5, 1e-9) == one(0.5, 0.0044)
    assert one(0.5, 1e9) == one(0.5, 200.0) == 0.0
    assert one(0.0, 200.0) == 0.0


def test_the_score_is_that_of_the_means() -> None:
    entries = [entry(i, accuracy=float(i % 4 > 0), cost_usd=0.001 * (1 + i % 2)) for i in range(40)]
    others = [entry(i, "small", accuracy=0.0, cost_usd=9.0, for_optimality=True) for i in range(9)]
    found = score([*entries, *others], replicates=200)
    assert found.queries == 40
    assert found.accuracy.value == 0.75
    assert found.usd_per_1000.value == pytest.approx(1.5)
    assert found.score.value == pytest.approx(one(0.75, 1.5))
    for estimate in (found.accuracy, found.usd_per_1000, found.score):
        assert estimate.low < estimate.value < estimate.high
    assert found.robustness is None


def test_ungraded_entries_are_counted() -> None:
    entries = [entry(i, accuracy=1.0, cost_usd=0.001) for i in range(20)]
    entries += [entry(i, cost_usd=0.003) for i in range(20, 40)]
    found = score(entries, replicates=50)
    assert (found.ungraded, found.accuracy.value) == (20, 1.0)
    assert found.usd_per_1000.value == pytest.approx(2.0)
    with pytest.raises(InputError, match=r"accuracy: None .*--outcomes"):
        score(entries[20:])
    with pytest.raises(InputError, match="cost: None"):
        score([entry(0, accuracy=1.0)])


def test_robustness_counts_flips_over_the_pairs_that_are_there() -> None:
    entries = [entry(i, accuracy=1.0, cost_usd=0.001) for i in range(20)]
    turned = [entry(i, "small" if i < 5 else "big") for i in range(25)]
    found = score(entries, turned, replicates=50)
    assert found.robustness == 0.75
    assert found.robustness_pairs == 20


def test_optimality_takes_the_cheapest_model_with_a_full_answer() -> None:
    entries = [entry(i, accuracy=1.0, cost_usd=0.004) for i in range(3)]
    entries.append(entry(3, accuracy=0.5, cost_usd=0.004))  # no full answer: not counted
    others = [
        entry(0, "small", accuracy=1.0, cost_usd=0.001, for_optimality=True),
        entry(1, "small", accuracy=0.5, cost_usd=0.001, for_optimality=True),
        entry(3, "small", accuracy=1.0, cost_usd=0.001, for_optimality=True),
    ]
    found = score([*entries, *others], replicates=50)
    assert found.optimal_selection == 0.5
    assert found.optimal_cost == pytest.approx(0.005 / 0.008)
    assert score(entries, replicates=50).optimal_selection is None


def test_grades_come_from_outcomes() -> None:
    table = build_table(
        [Outcome(prompt=q.prompt, model="big", score=1.0, cost_usd=0.5) for q in QUERIES[:30]]
    )
    found = graded([entry(0), entry(1, "small"), entry(35, accuracy=0.25)], table)
    assert [e.accuracy for e in found] == [1.0, None, 0.25]
    assert found[0].cost_usd == 0.5


def test_a_valid_submission_has_every_query_once_and_models_of_the_pool() -> None:
    entries = [entry(i) for i in range(40)]
    entries += optimality_entries(entries, ["AIME_1", "AIME_2"], MODELS)
    assert [(e.index, e.model, e.for_optimality) for e in entries[40:]] == [
        ("AIME_1", "small", True),
        ("AIME_2", "small", True),
    ]
    assert check(entries, QUERIES, MODELS) == []
    require_valid(entries, QUERIES, MODELS, name="mine")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e: e.pop(), "AIME_39: the query has no entry"),
        (lambda e: e.append(e[0]), r"entry 41 \(AIME_0\): entry 1 has this index too"),
        (
            lambda e: e.extend(optimality_entries(e[:1], ["AIME_0"], MODELS) * 2),
            r"entry 42 \(AIME_0\): entry 41 has this index too",
        ),
        (lambda e: e.insert(0, replace(e[0], index="X_1")), r"entry 1 \(X_1\): this index is not"),
        (
            lambda e: e.insert(5, replace(e.pop(5), model="gpt-9")),
            "'gpt-9' is not in the pool: big",
        ),
        (
            lambda e: e.insert(5, replace(e.pop(5), prompt="?")),
            "its prompt is not that of the query",
        ),
    ],
)
def test_what_is_not_valid_is_named(change, says: str) -> None:  # type: ignore[no-untyped-def]
    entries = [entry(i) for i in range(40)]
    change(entries)
    with pytest.raises(DataError, match=says):
        require_valid(entries, QUERIES, MODELS, name="mine")


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(DataError, match="and 20 more"):
        require_valid([], QUERIES, MODELS, name="mine")


def test_a_submission_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    entries = [entry(0), entry(1, "small", accuracy=0.5, cost_usd=0.25, for_optimality=True)]
    write_json(tmp_path / "p" / "x.json", [e.to_dict() for e in entries])
    assert read_entries(tmp_path / "p" / "x.json") == entries
    first = json.loads((tmp_path / "p" / "x.json").read_text())[0]
    assert list(first) == [
        "global index", "prompt", "prediction", "generated_result", "cost", "accuracy",
        "for_optimality",
    ]  # fmt: skip
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "p" / "x.json" / "y.json", [])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"prompt_formatted": "x"}], r"q.json:1 global index: None"),
        ([{"global index": "A_1"}], r"q.json:1 prompt_formatted: None"),
        ([{"global index": "A_1", "prompt": "x"}] * 2, r"q.json:2 global index: 'A_1' .*twice"),
        ([], "holds no query"),
    ],
)
def test_a_query_list_that_cannot_be_used(tmp_path: Path, rows: list[object], says: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=says):
        read_queries(path)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prediction": "a"}, "p.json:1 global index"),
        ({"global index": "A_1"}, "p.json:1 prediction: None"),
        ({"global index": "A_1", "prediction": "a", "accuracy": 2}, "accuracy: 2 .*0 to 1"),
        ({"global index": "A_1", "prediction": "a", "cost": -1}, "cost: -1 .*of USD"),
    ],
)
def test_an_entry_that_cannot_be_used(tmp_path: Path, row: object, says: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps([row]))
    with pytest.raises(DataError, match=says):
        read_entries(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="holds no entry"):
        read_entries(path)


def test_a_score_is_plain_values() -> None:
    found = score([entry(i, accuracy=1.0, cost_usd=0.001) for i in range(30)], replicates=50)
    assert isinstance(found, ArenaScore)
    assert math.isclose(found.score.value, one(1.0, 1.0))
