from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from planted import planted_table
from turnout.cli import cli
from turnout.data.audit import audit
from turnout.data.seen import SeenPrompts
from turnout.data.table import OutcomeTable


def kinds(table: OutcomeTable, dev: OutcomeTable | None = None) -> dict[str, str]:
    return {finding.kind: finding.found for finding in audit(table, dev)}


def test_each_fault_is_found_where_it_is_and_only_there() -> None:
    clean = planted_table(40)
    before = kinds(clean)
    prompts = (*clean.prompts[:20], *(p.upper() + "!" for p in clean.prompts[:20]))
    assert "20 of 40" in kinds(replace(clean, prompts=prompts))["duplicates"]
    assert "duplicates" not in before

    score = clean.score.copy()
    score[:, 2] = 0.0
    assert "small scores 0 on all" in kinds(replace(clean, score=score))["constant_column"]
    score = clean.score.copy()
    score[:7, 1:] = np.nan
    assert kinds(replace(clean, score=score))["one_model_prompts"].startswith("7 of 40")
    assert "one_model_prompts" not in before
    score[:, 1] = np.nan
    assert "medium has 0" in kinds(replace(clean, score=score))["missing_cells"]
    assert "0.05" in kinds(replace(clean, score=clean.score / 20))["narrow_scores"]
    assert "single_model" in kinds(clean.columns(("large",)))
    assert "few_prompts" in before


def test_ties_and_collapse() -> None:
    table = planted_table(40)
    level = np.ones_like(table.score)
    found = kinds(replace(table, score=level))
    assert "on 100%" in found["ties"]
    assert "large on 100%" in found["ties"]
    assert "large is best or level on 100%" in found["label_collapse"]
    apart = np.tile(np.asarray([0.2, 0.5, 0.8], np.float32), (40, 1))
    apart[::2] = apart[::2, ::-1]
    assert not {"ties", "label_collapse"} & kinds(replace(table, score=apart)).keys()


def test_what_is_measured_on_must_not_be_fitted_on() -> None:
    table = planted_table(60)
    dev = replace(table.rows(range(3)), prompts=tuple(p.upper() for p in table.prompts[:3]))
    assert kinds(table, dev)["across_splits"].startswith("3 of 3")
    other = replace(dev, prompts=("a", "b quite other text", "c"))
    assert "across_splits" not in kinds(table, other)


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    rows = [{"prompt": f"word {'x' * i} y", "models": {"a": 1, "b": i % 2}} for i in range(30)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    shown = CliRunner().invoke(cli, ["audit", str(path), "--json"])
    assert shown.exit_code == 0, shown.output
    assert "label_collapse" in {f["kind"] for f in json.loads(shown.output)["findings"]}
    strict = CliRunner().invoke(cli, ["audit", str(path), "--strict"])
    assert strict.exit_code == 1
    assert "- label_collapse: a is best or level on 100% of prompts" in strict.output


def test_prompts_that_shipped_artifacts_know_are_named_by_artifact() -> None:
    table = planted_table(40)
    seen = SeenPrompts.of(
        table.prompts[:10], np.asarray([1, 3] * 5, dtype=np.uint8), [("knn", "mf"), ("universal",)]
    )
    found = next(f for f in audit(table, seen=seen) if f.kind == "seen_by_shipped")
    assert found.numbers["artifacts"] == {
        "knn, mf": {"exact": 10, "near": 0},
        "universal": {"exact": 5, "near": 0},
    }
    assert found.numbers["rows"] == list(range(10))
    assert "10 of 40 prompts (25.0%)" in found.found
    rest = table.rows(np.arange(40) >= 10)
    assert "seen_by_shipped" not in {f.kind for f in audit(rest, seen=seen)}
    assert "seen_by_shipped" not in kinds(table)


def test_languages_are_counted_and_code_and_short_texts_are_unknown(tmp_path: Path) -> None:
    prompts = [
        "What is the tallest mountain of the world, and who climbed it first?",
        "Quelle est la plus haute montagne du monde et qui l'a gravie en premier ?",
        "Was ist der höchste Berg der Welt, und wer hat ihn zuerst bestiegen?",
        "hm?",
        "def f(x): return [g(y) for y in x if (y > 0)]; print(f([1, 2, 3]));",
    ]
    file = tmp_path / "votes.jsonl"
    rows = [
        {"prompt": p, "model_a": "big", "model_b": f"small-{i % 2}", "winner": "model_a"}
        for i, p in enumerate(prompts)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said = CliRunner().invoke(cli, ["audit", str(file)], catch_exceptions=False).output
    assert "languages: unknown 2, en 1, fr 1, de 1" in said
    assert "5 votes read as scores" in said
    told = CliRunner().invoke(cli, ["audit", str(file), "--json"], catch_exceptions=False).output
    found = json.loads(told)
    assert found["languages"] == {"unknown": 2, "en": 1, "fr": 1, "de": 1}
    # Votes leave cells empty and scores shared: that is no finding.
    assert {f["kind"] for f in found["findings"]} == {"few_prompts", "constant_column"}
