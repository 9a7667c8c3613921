"""`turnout routerarena`: from a query list to a checked and scored submission."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planted import planted_prompts
from turnout.cli import cli, main

POOL = ["--strong", "gpt-4o", "--weak", "gpt-4o-mini"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["routerarena", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    prompts = planted_prompts(40)
    queries = [{"global index": f"AIME_{i}", "prompt_formatted": p} for i, p in enumerate(prompts)]
    turned = [{**q, "prompt_formatted": f"Please: {q['prompt_formatted']}"} for q in queries[:10]]
    for name, rows in (
        ("router_data", queries),
        ("router_data_10", queries[:4]),
        ("router_robustness", turned),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    outcomes = [
        {"prompt": p, "models": {"gpt-4o": {"score": 1, "cost_usd": 0.002},
                                 "gpt-4o-mini": {"score": i % 2, "cost_usd": 0.0001}}}
        for i, p in enumerate(prompts)
    ]  # fmt: skip
    (tmp_path / "outcomes.jsonl").write_text("\n".join(map(json.dumps, outcomes)))
    return tmp_path


def test_a_submission_is_written_checked_and_scored(home: Path) -> None:
    said = run("predict", "router_data.json", "--out", "sub", "--name", "mine", *POOL,
               "--robustness", "router_robustness.json", "--optimality", "router_data_10.json")  # fmt: skip
    assert "40 queries decided by router-blend-" in said
    stated = json.loads((home / "sub" / "config" / "mine.json").read_text())
    assert stated == {
        "pipeline_params": {"router_name": "mine", "models": ["gpt-4o", "gpt-4o-mini"]}
    }
    entries = json.loads((home / "sub" / "predictions" / "mine.json").read_text())
    assert [e["global index"] for e in entries[:40]] == [f"AIME_{i}" for i in range(40)]
    assert sum(e["for_optimality"] for e in entries) == 4
    assert all(e["generated_result"] is e["cost"] is e["accuracy"] is None for e in entries)
    assert (
        len(json.loads((home / "sub" / "predictions" / "mine-robustness.json").read_text())) == 10
    )
    predictions = "sub/predictions/mine.json"
    assert "is valid: 40 queries, 4 for optimality" in run(
        "check", predictions, "--queries", "router_data.json"
    )
    found = json.loads(
        run(
            "score",
            predictions,
            "--outcomes",
            "outcomes.jsonl",
            "--json",
            "--robustness",
            "sub/predictions/mine-robustness.json",
        )
    )
    right = [e["prediction"] == "gpt-4o" or int(e["global index"][5:]) % 2 for e in entries[:40]]
    assert found["accuracy"]["value"] == pytest.approx(sum(right) / 40)
    assert found["robustness_pairs"] == 10
    assert found["optimal_selection"] is not None
    text = run("score", predictions, "--outcomes", "outcomes.jsonl")
    assert "USD per 1,000 queries" in text


def test_decisions_are_those_of_turnout_route(home: Path) -> None:
    run("predict", "router_data.json", "--out", "sub", "--threshold", "0.6", *POOL)
    entries = json.loads((home / "sub" / "predictions" / "turnout.json").read_text())
    prompts = [e["prompt"] for e in entries]
    routed = CliRunner().invoke(
        cli, ["route", "--json", "--threshold", "0.6", *POOL, *prompts], catch_exceptions=False
    )
    decisions = [json.loads(line) for line in routed.stdout.splitlines()]
    assert [e["prediction"] for e in entries] == [d["model"] for d in decisions]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "p.json", "--queries", "router_data.json"], "name the pool with --models"),
        (["check", "p.json", "--queries", "router_data.json", "--models", "gpt-4o"], "39 problems"),
        (["score", "p.json"], "no entry has one"),
        (["predict", "router_data.json", "--out", "sub", "--threshold", "2"], "threshold: 2.0"),
        (["predict", "router_data.json", "--out", "sub", "--name", "../x"], "name: '../x'"),
        (["predict", "outcomes.jsonl", "--out", "sub"], "outcomes.jsonl:1 global index"),
    ],
)
def test_what_cannot_be_used_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    first = json.loads((home / "router_data.json").read_text())[0]
    row = {"global index": "AIME_0", "prompt": first["prompt_formatted"], "prediction": "gpt-4o"}
    (home / "p.json").write_text(json.dumps([row]))
    with pytest.raises(SystemExit):
        main(["routerarena", *arguments])
    assert says in capsys.readouterr().err
