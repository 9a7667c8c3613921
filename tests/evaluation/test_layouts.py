"""What is peculiar to each published layout."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from layouts_made import LAYOUTS, MODELS, made
from turnout.errors import DataError
from turnout.evaluation.benchmarks import llmrouterbench, open_benchmark, routerarena, routerbench


def edited(path: Path, change: object) -> None:
    """Change the rows of a JSONL file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(rows)  # type: ignore[operator]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_routerbench_as_it_is_published_is_a_pickle_and_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "routerbench_0shot.pkl"
    path.write_bytes(pickle.dumps({"prompt": ["x"]}))
    with pytest.raises(DataError, match=r"pickle is never opened.*read_pickle.*to_parquet"):
        open_benchmark("routerbench", path)


def test_the_messages_of_a_routerbench_prompt_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    header = "sample_id,prompt,eval_name,a,b,a|total_cost,b|total_cost\n"
    row = """1,"['Think first.', 'What is it?']",e,1,0,0.1,0.2\n"""
    path.write_text(header + row, encoding="utf-8")
    assert routerbench.read_table(path).prompts == ("Think first.\nWhat is it?",)


def test_a_prompt_that_merely_looks_like_a_list_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    header = "sample_id,prompt,eval_name,a,b,a|total_cost,b|total_cost\n"
    path.write_text(header + "1,[sic] and so on [1],e,1,0,0.1,0.2\n", encoding="utf-8")
    assert routerbench.read_table(path).prompts == ("[sic] and so on [1]",)


def test_a_cost_column_without_its_scores_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("prompt,a,a|total_cost,b|total_cost\nx,1,0.1,0.2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"x.csv:2: 'b' .*no column of its scores"):
        routerbench.read_table(path)


def test_failed_and_ungraded_answers_of_routerarena_are_counted(tmp_path: Path) -> None:
    LAYOUTS["routerarena, cache"].write(tmp_path, made(50))

    def change(rows: list[dict[str, object]]) -> None:
        rows[0]["success"] = False
        rows[1]["evaluation_result"] = None
        rows[2]["invented"] = 1

    edited(tmp_path / "small.jsonl", change)
    found = open_benchmark("routerarena", tmp_path)
    assert found.n == 48
    assert "1 answers failed or were cut off: left out" in found.notes
    assert "1 answers are not graded: left out" in found.notes
    assert any("'invented' (first at small.jsonl:3) is not read" in note for note in found.notes)


def test_a_global_index_names_its_data_set() -> None:
    assert routerarena.category_of("Ethics_commonsense_12") == "Ethics_commonsense"
    assert routerarena.index_of({"global_index": "AIME_1"}) == "AIME_1"
    assert routerarena.index_of({"global index": "AIME_1"}) == "AIME_1"


def test_failed_calls_of_llmrouter_are_no_wrong_answers(tmp_path: Path) -> None:
    LAYOUTS["llmrouter, routing"].write(tmp_path, made(50))
    file = tmp_path / "routing_data" / "default_routing_test_data.jsonl"
    edited(file, lambda rows: rows[0].update(response="ERROR: timeout", performance=0.0))
    found = open_benchmark("llmrouter", tmp_path)
    assert found.n == 49
    assert "1 calls failed: left out" in found.notes


def test_llmrouter_has_costs_for_one_file_too_and_none_without_prices(tmp_path: Path) -> None:
    LAYOUTS["llmrouter, routing"].write(tmp_path, made(100))
    file = tmp_path / "routing_data" / "default_routing_test_data.jsonl"
    assert open_benchmark("llmrouter", file).has_costs
    (tmp_path / "llm_candidates" / "default_llm.json").unlink()
    assert not open_benchmark("llmrouter", file).has_costs


def test_a_price_of_llmrouter_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    LAYOUTS["llmrouter, routing"].write(tmp_path, made())
    prices = tmp_path / "llm_candidates" / "default_llm.json"
    prices.write_text('{"small": {"input_price": "cheap"}}', encoding="utf-8")
    with pytest.raises(DataError, match=r"default_llm.json small: .*USD per million"):
        open_benchmark("llmrouter", tmp_path)


def test_llmrouterbench_counts_the_latest_run_and_no_demo(tmp_path: Path) -> None:
    LAYOUTS["llmrouterbench"].write(tmp_path, made())
    one = next(tmp_path.rglob("*20250102*.json"))
    demo = json.loads(one.read_text()) | {"demo": True}
    (one.parent / "x-20260101_000000.json").write_text(json.dumps(demo))
    table = llmrouterbench.read_table(tmp_path)
    assert not (table.score == np.float32(0.123)).any()
    assert "1 files are demos: left out" in table.notes
    assert any("older runs" in note for note in table.notes)


def test_a_model_that_cost_nothing_has_no_known_cost(tmp_path: Path) -> None:
    LAYOUTS["llmrouterbench"].write(tmp_path, made())
    for file in tmp_path.rglob("*.json"):
        result = json.loads(file.read_text())
        if result["model_name"] == MODELS[1]:
            result["records"] = [{**r, "cost": 0.0} for r in result["records"]]
            file.write_text(json.dumps(result))
    table = llmrouterbench.read_table(tmp_path)
    assert np.isnan(table.cost_usd[:, table.models.index(MODELS[1])]).all()
    assert np.isfinite(table.cost_usd[:, table.models.index(MODELS[0])]).all()


def test_llmrouterbench_counts_answers_without_a_score(tmp_path: Path) -> None:
    LAYOUTS["llmrouterbench"].write(tmp_path, made())
    one = next(tmp_path.rglob("*20250102*.json"))
    result = json.loads(one.read_text())
    result["records"][0]["score"] = None
    result["records"][1] |= {"prompt": "", "origin_query": ""}
    one.write_text(json.dumps(result))
    notes = llmrouterbench.read_table(tmp_path).notes
    assert "1 answers have no score: left out" in notes
    assert "1 records have no prompt: left out" in notes
    one.write_text(json.dumps(result)[:-40])
    with pytest.raises(DataError, match=r"json:1: .*cut short"):
        llmrouterbench.read_table(tmp_path)


def test_tokens_are_kept_beside_costs(tmp_path: Path) -> None:
    found = open_benchmark("outcomes", LAYOUTS["outcomes, csv"].write(tmp_path, made()))
    assert found.input_tokens is not None
    assert found.output_tokens is not None
    assert (found.output_tokens == 50).all()
    part = found.rows(np.arange(3))
    assert part.output_tokens is not None
    assert part.output_tokens.shape == (3, 2)
