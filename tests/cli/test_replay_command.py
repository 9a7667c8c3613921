"""`turnout replay` on folders of predictions and on recorded decisions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from planted import SUCCESS, planted_prompts
from turnout.cli import cli, main

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str) -> str:
        result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return go


@pytest.fixture
def error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert ended.value.code == 2
        return capsys.readouterr().err

    return go


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.jsonl"
    rows = [
        {
            "prompt": prompt,
            "models": {
                name: {"score": float((i * 37 % 100) / 100 < SUCCESS[kind][i % 4]),
                       "input_tokens": 20, "output_tokens": 100 + i % 7}
                for name, kind in (("gpt-4", "large"), ("mixtral", "small"))
            },
        }
        for i, prompt in enumerate(planted_prompts(60))
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def saved(outcomes: Path, run: Run) -> Path:
    run("evaluate", "--data", str(outcomes), "--routers", "blend,linear", "--replicates", "20",
        "--save-predictions", "kept")  # fmt: skip
    return outcomes.parent / "kept" / "blend"


def test_evaluate_saves_a_folder_a_router_and_replay_reads_it(saved: Path, run: Run) -> None:
    assert (saved.parent / "linear" / "manifest.json").is_file()
    found = json.loads(run("replay", str(saved), "--json", "--price", "gpt-4=1,2"))
    assert found["router"] == "blend"
    assert found["policy"] == "threshold"
    assert found["prices"]["gpt-4"] == {"input_usd": 1.0, "output_usd": 2.0}
    assert found["measured_prompts"] == 60
    names = [row["name"] for row in found["rows"]]
    assert names[0] == "threshold 0"
    assert names[-2:] == ["always gpt-4", "always mixtral"]
    text = run("replay", str(saved), "--threshold", "0.5", "--threshold", "0.6", "--drop", "gpt-4")
    assert "policy only_candidate" in text
    assert "threshold 0.6" in text


def test_a_price_list_in_each_format(saved: Path, run: Run, tmp_path: Path) -> None:
    for name, text in (
        ("p.yaml", "gpt-4: {input_usd: 1, output_usd: 2}\nother: {input_usd: 1, output_usd: 1}\n"),
        ("p.json", '{"gpt-4": {"input_usd": 1, "output_usd": 2}}'),
        ("p.csv", "model,input_usd,output_usd\ngpt-4,1,2\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = json.loads(
            run("replay", str(saved), "--json", "--prices", name, "--price", "mixtral=3,4")
        )
        assert found["prices"] == {
            "gpt-4": {"input_usd": 1.0, "output_usd": 2.0},
            "mixtral": {"input_usd": 3.0, "output_usd": 4.0},
        }
        assert any("prices 1 of 2 models; mixtral keep theirs" in note for note in found["notes"])


@pytest.mark.parametrize(
    "models", [("gpt-4o", "gpt-4o-mini"), ("gpt-4o", "gpt-4.1-mini", "gpt-4o-mini")]
)
def test_recorded_decisions_replay_to_themselves(
    run: Run, tmp_path: Path, models: tuple[str, ...]
) -> None:
    (tmp_path / "prompts.txt").write_text("\n".join(planted_prompts(30)), encoding="utf-8")
    named = [word for name in models for word in ("--model", name)]
    text = run("route", "--json", "--file", "prompts.txt", "--threshold", "0.55", *named)
    (tmp_path / "decisions.jsonl").write_text(text, encoding="utf-8")
    found = json.loads(run("replay", "decisions.jsonl", "--json", "--sweep", "3"))
    assert found["compared_with"] == "what was recorded"
    recorded = found["rows"][0]
    assert (recorded["name"], recorded["changed"]) == ("as recorded", 0)
    said = [json.loads(line)["model"] for line in text.splitlines()]
    assert recorded["share"] == {name: said.count(name) / 30 for name in models}
    dear = json.loads(
        run(
            "replay",
            "decisions.jsonl",
            "--json",
            "--threshold",
            "0.55",
            "--price",
            "gpt-4o=0.01,0.01",
        )
    )
    live = run("route", "--json", "--file", "prompts.txt", "--threshold", "0.55", *named,
               "--price", "gpt-4o=0.01,0.01")  # fmt: skip
    again = [json.loads(line)["model"] for line in live.splitlines()]
    assert dear["rows"][0]["share"] == {name: again.count(name) / 30 for name in models}
    assert dear["rows"][0]["changed"] == sum(a != b for a, b in zip(said, again, strict=True))


def test_outcomes_join_recorded_decisions(run: Run, outcomes: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\n".join(planted_prompts(60)), encoding="utf-8")
    text = run("route", "--json", "--file", "prompts.txt", "--strong", "gpt-4", "--weak", "mixtral",
               "--price", "mixtral=1,1")  # fmt: skip
    (tmp_path / "d.jsonl").write_text(text, encoding="utf-8")
    found = json.loads(run("replay", "d.jsonl", "--json", "--outcomes", str(outcomes)))
    assert found["measured_prompts"] == 60
    assert found["rows"][0]["measured_quality"]["low"] is not None
    assert found["rows"][0]["measured_cost_usd"] is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "gpt-4,mixtrall"], "no candidate named 'mixtrall'.*Did you mean 'mixtral'"),
        (["--drop", "gpt-5"], "drop: 'gpt-5' .*give one of gpt-4, mixtral"),
        (["--drop", "gpt-4", "--drop", "mixtral"], "keep at least one"),
        (["--price", "=1,2"], "price: '=1,2' .*MODEL=IN,OUT for one of gpt-4, mixtral"),
        (["--price", "gpt-9=1,2"], "for one of gpt-4, mixtral"),
        (["--price", "gpt-4=1"], "USD per million tokens"),
        (["--price", "gpt-4=-1,2"], "not negative"),
        (["--threshold", "1.5"], "threshold: 1.5"),
        (["--artifact", "x"], "leave it out"),
        (["--router", "mf"], "predictions of blend"),
        (["--price", "gpt-4=1,2", "--price", "gpt-4=1,3"], "price: 'gpt-4' .*one price for each"),
        (["--prices", "twice.yaml"], "twice.yaml: 'gpt-4' .*one price for each"),
        (["--prices", "twice.csv"], "twice.csv: 'gpt-4' .*one price for each"),
        (["--prices", "absent.yaml"], "absent.yaml.*cannot be read"),
        (["--prices", "bad.yaml"], "bad.yaml gpt-4 output_usd: None .*USD per million"),
        (["--prices", "bad.csv"], "bad.csv:2 gpt-4 input_usd: 'free'"),
        (["--prices", "nameless.csv"], "nameless.csv:2 model: ''"),
        (["--prices", "list.json"], "give MODEL: "),
        (["--prices", "others.json"], "others.json has a price of none of gpt-4, mixtral"),
        (["--outcomes", "other.jsonl"], "no prompt with a score"),
    ],
)
def test_what_cannot_be_used_is_named(
    saved: Path, error: Run, tmp_path: Path, arguments: list[str], says: str
) -> None:
    for name, text in (
        ("bad.yaml", "gpt-4: {input_usd: 1}"),
        ("bad.csv", "model,input_usd,output_usd\ngpt-4,free,1\n"),
        ("twice.yaml", "gpt-4: {input_usd: 1, output_usd: 1}\n" * 2),
        ("twice.csv", "model,input_usd,output_usd\ngpt-4,1,1\ngpt-4,1,2\n"),
        ("nameless.csv", "model,input_usd,output_usd\n,1,1\n"),
        ("list.json", "[1]"),
        ("others.json", '{"gpt-9": {"input_usd": 1, "output_usd": 1}}'),
        ("other.jsonl", '{"prompt": "?", "models": {"gpt-4": 1, "mixtral": 0}}'),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    said = error("replay", str(saved), *arguments)
    assert re.search(says, said), said


def test_the_hull_of_an_artifact_that_is_not_at_hand_is_asked_for(
    run: Run, error: Run, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("\n".join(planted_prompts(5)), encoding="utf-8")
    text = run("route", "--json", "--file", "prompts.txt", "--threshold", "0.5", "--model", "gpt-4o",
               "--model", "gpt-4.1-mini", "--model", "gpt-4o-mini")  # fmt: skip
    decisions = [{**json.loads(line), "artifact": "0123456789abcdef"} for line in text.splitlines()]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, decisions)), encoding="utf-8")
    said = error("replay", "d.jsonl")
    assert "hull of artifact 0123456789abcdef; give its folder with --artifact" in said
    assert "within_price" in run(
        "replay", "d.jsonl", "--policy", "within_price", "--threshold", "0.5"
    )


def test_nothing_to_save_is_an_error(outcomes: Path, error: Run) -> None:
    said = error("evaluate", "--data", str(outcomes), "--routers", "", "--save-predictions", "kept")
    assert "name a router to predict with" in said
