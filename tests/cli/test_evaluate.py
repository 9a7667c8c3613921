from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from turnout.cli.evaluate import _command, evaluate
from turnout.cli.pool import read_options
from turnout.data.outcomes import read_outcomes
from turnout.errors import InputError, MissingExtraError, UnknownNameError
from turnout.training.fit import fit_router


def run(*args: object) -> Result:
    result = CliRunner().invoke(evaluate, [str(a) for a in args], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def outcomes_file(path: Path, models: tuple[str, ...], n: int = 120) -> Path:
    """Word problems and chat, where only the first model is good at the problems."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        hard = i % 2
        topic = f"{rng.integers(1000)} times {rng.integers(1000)}" if hard else "a short rhyme"
        noise = " ".join("".join(rng.choice(list("abcdefgh"), 6)) for _ in range(4))
        cells = {
            name: {"score": float(rng.random() < (0.9 if j == 0 or not hard else 0.3))}
            | {"cost_usd": 0.01 / 4**j}
            for j, name in enumerate(models)
        }
        rows.append({"prompt": f"{topic} {noise}", "models": cells, "category": "ab"[hard]})
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return outcomes_file(tmp_path / "two.jsonl", ("big", "small"))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return outcomes_file(tmp_path / "three.jsonl", ("big", "mid", "small"))


def test_two_models_give_a_table_json_and_a_picture(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("--data", two, "--routers", "random", "--replicates", 40, "--out", out)
    assert result.exit_code == 0
    assert "strong big: quality" in result.stdout
    assert "prompt length" in result.stdout
    assert "wrote" in result.stderr
    report = json.loads((out / "evaluation.json").read_text())
    assert [row["name"] for row in report["rows"]][-1] == "random router"


def test_three_models_give_the_table_of_pools(three: Path) -> None:
    result = run("--data", three, "--routers", "", "--replicates", 40)
    for name in ("always big", "zero router", "best model per category", "oracle"):
        assert name in result.stdout


def test_two_of_three_models_can_be_compared_as_json(three: Path) -> None:
    args = ("--model", "big", "--model", "small", "--routers", "", "--replicates", 40, "--json")
    report = json.loads(run("--data", three, *args).stdout)
    assert (report["strong"], report["weak"]) == ("big", "small")


def test_an_artifact_measured_on_what_it_was_fitted_on_is_called_so(
    two: Path, tmp_path: Path
) -> None:
    table, made = read_outcomes(two), tmp_path / "made"
    fit_router("linear", table, encoder="hashing-16", source=two.name).write(made)
    args = ("--routers", "linear", "--artifact", made, "--replicates", 20)
    assert "FITTED ON THESE VERY OUTCOMES" in run("--data", two, *args).output
    rows = two.read_text(encoding="utf-8").splitlines()[:80]
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(rows), encoding="utf-8")
    assert "transfer only if none of them is here" in run("--data", other, *args).output


def test_labels_fit_on_one_part_and_report_on_the_other(two: Path) -> None:
    args = ("--routers", "linear,random", "--no-transfer", "--labels", 60, "--replicates", 40)
    report = json.loads(run("--data", two, *args, "--json").stdout)
    row = report["rows"][-1]
    assert (row["name"], row["kind"]) == ("linear, 60 labels", "in-domain")
    assert report["prompts"] <= 60
    assert any("reported on" in note for note in report["notes"])


def test_folds_report_on_every_prompt(three: Path) -> None:
    args = ("--routers", "linear", "--no-transfer", "--folds", 3, "--replicates", 40, "--json")
    report = json.loads(run("--data", three, *args).stdout)
    names = [row["name"] for row in report["rows"]]
    assert names[-2:] == ["linear, 3 folds", "linear, 3 folds + hull"]
    assert report["prompts"] == 120


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--labels", 60, "--folds", 3), "not both"),
        (("--labels", 5), "labels: 5"),
        (("--folds", 1), "folds: 1"),
        (("--artifact", "x", "--routers", "a,b"), "an artifact is of one router"),
        (("--known-as", "big"), "MODEL=NAME"),
        (("--known-as", "huge=x"), "models are big, small"),
        (("--model", "big"), "at least two"),
        (("--model", "big", "--model", "huge"), "the data holds"),
    ],
)
def test_what_cannot_be_done_is_said(two: Path, args: tuple[object, ...], says: str) -> None:
    usual = () if "--artifact" in args else ("--no-transfer", "--routers", "linear")
    with pytest.raises(InputError, match=says):
        run("--data", two, *usual, *args)


def test_only_trainable_routers_can_be_fitted(two: Path) -> None:
    with pytest.raises(InputError, match="can be trained"):
        run("--data", two, "--no-transfer", "--routers", "random", "--folds", 3)


def test_unknown_names_are_listed(two: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no router named 'randm'.*'random'"):
        run("--data", two, "--routers", "randm")
    with pytest.raises(UnknownNameError, match="routellm-gsm8k"):
        run("--data", two, "--routers", "", "--benchmark", "gsm8k")
    with pytest.raises(InputError, match="no such file"):
        run("--data", tmp_path / "absent", "--routers", "")


def test_without_matplotlib_it_says_what_to_install(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MissingExtraError("drawing curves", "plots")

    monkeypatch.setattr("turnout.evaluation.measure.draw", fail)
    result = run("--data", two, "--routers", "", "--replicates", 40, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "pip install 'turnout[plots]'" in result.stderr


def test_mmlu_with_one_router_takes_well_under_a_minute(shared_data: Path) -> None:
    args = ("--benchmark", "routellm-mmlu", "--routers", "random", "--replicates", 200)
    result = run(*args, "--data", shared_data / "routellm")
    assert "14,037 prompts" in result.stdout
    assert "RouteLLM MF (arena + gold)" in result.stdout


def test_a_router_takes_its_options(two: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {when: {characters: {over: 10}}, win_rate: 0.9}\nelse: 0.1\n")
    common = ("--data", two, "--replicates", 20, "--routers")
    with pytest.raises(InputError, match=r"options of router rules: 'fiel' .*Did you mean 'file'"):
        run(*common, "rules", "--option", f"fiel={rules}")
    with pytest.raises(InputError, match="options are of one router"):
        run(*common, "rules,random", "--option", "seed=1")
    one, other, again = (
        json.loads(run(*common, "random", "--option", f"seed={seed}", "--json").stdout)["rows"]
        for seed in (1, 2, 1)
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("0.5", 0.5), ("true", True), ("-2", -2), ("007", "007"), ("1e5", "1e5"),
     ("yes", "yes"), ("http://h/v1", "http://h/v1"), ("a=b", "a=b"), ("", "")],
)  # fmt: skip
def test_options_are_numbers_where_they_look_like_it(text: str, value: object) -> None:
    assert read_options([f"name={text}"]) == {"name": value}
    assert type(read_options([f"name={text}"])["name"]) is type(value)


def test_the_report_says_what_a_shipped_router_was_fitted_on(two: Path) -> None:
    said = run("--data", two, "--routers", "mf,random", "--replicates", 20).stdout
    assert "mf as it ships was fitted on 0 of these 120 prompts word for word" in said
    assert "random as it ships" not in said


def test_the_command_is_kept_without_its_secrets() -> None:
    given = ["evaluate", "--data", "a b.jsonl", "--option", "api_key=sk-1", "--option", "file=x"]
    assert _command(given) == (
        "turnout evaluate --data 'a b.jsonl' --option 'api_key=***' --option file=x"
    )
