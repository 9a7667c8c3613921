from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from planted import planted_prompts, planted_table
from turnout import __version__
from turnout.cli import main

PRICED = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-nano")


@dataclass(frozen=True)
class Ran:
    """What a command wrote, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Run(Protocol):
    def __call__(self, *args: object, stdin: bytes = b"") -> Ran: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`turnout` in this process, at a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in args])
        out, err = capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Outcomes of three models with list prices on 40 prompts, as JSONL."""
    table = planted_table(40)
    path = tmp_path / "outcomes.jsonl"
    rows = (
        {"prompt": p, "models": dict(zip(PRICED, s, strict=True))}
        for p, s in zip(table.prompts, table.score.tolist(), strict=True)
    )
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_help_is_what_people_read(run: Run) -> None:
    golden = Path(__file__).parent / "golden_help.txt"
    found = run("--help")
    assert found.code == 0
    assert found.out == golden.read_text()


@pytest.mark.parametrize("command", ["route", "train"])
def test_every_option_is_explained(run: Run, command: str) -> None:
    found = run(command, "--help")
    assert found.code == 0
    assert "--router" in found.out or "ROUTER" in found.out


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out == f"turnout, version {__version__}\n"


def test_python_m_turnout_is_turnout() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "turnout", "route", "--router", "rules", b"caf\xc3\xa9 \xff?"],
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "café" in found.stdout.decode()
    wrong = subprocess.run(
        [sys.executable, "-m", "turnout", "route", "--router", "nope", "hi"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: no router named 'nope'; known: ")
    assert len(wrong.stderr.splitlines()) == 1


def test_a_router_is_trained_and_then_routes(run: Run, outcomes: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "linear"
    trained = run(
        "train", "linear", "--data", outcomes, "--out", out, "--encoder", "hashing-64", "--seed", 3
    )
    assert trained.code == 0, trained.err
    assert "linear fitted on 40 prompts and 3 models" in trained.out
    assert "out of fold: Brier" in trained.out
    assert "note: 40 prompts: below 300 labels" in trained.out
    assert "fold 1 of 5" in trained.err
    usage = trained.out.splitlines()[-1]
    assert usage.startswith("use it: turnout route --router linear --artifact ")
    args = usage.removeprefix("use it: turnout ").removesuffix("PROMPT").split()
    routed = run(*args, "--threshold", 0.0, "--json", "Hello there, how is the river today?")
    assert routed.code == 0, routed.err
    assert routed.json[0]["quality"].keys() == set(PRICED)
    assert not routed.json[0]["fallback"]
    again = run("train", "linear", "--data", outcomes, "--out", out, "--encoder", "hashing-64")
    assert again.code == 0, again.err


def test_json_has_what_a_machine_needs(run: Run, artifacts: Path) -> None:
    found = run(
        "route", "--router", "mf", "--artifact", artifacts / "mf", "--strong", "large",
        "--weak", "medium", "--json", "Prove it", "اكتب قصيدة",
    )  # fmt: skip
    assert found.code == 0, found.err
    first, second = found.json
    assert first.keys() == {
        "prompt", "id", "model", "router", "policy", "threshold", "win_rate", "code", "reason",
        "attempts", "quality", "spread", "expected_cost_usd", "input_tokens",
            "expected_output_tokens", "basis", "certificate", "excluded", "fallback",
        "propensity", "artifact", "notes", "elapsed_us",
        "asked", "experiment", "route", "shadow",
    }  # fmt: skip
    assert first["prompt"] == "Prove it"
    assert second["prompt"] in found.out  # readable, not escaped
    assert first["model"] in ("large", "medium")
    assert 0.0 <= first["win_rate"] <= 1.0
    assert first["router"] == "mf"
    assert first["attempts"][0]["model"] == first["model"]


def test_the_printed_route_decides_the_same(run: Run, artifacts: Path) -> None:
    common = (
        "route", "--router", "mf", "--artifact", artifacts / "mf", "--strong", "large",
        "--weak", "medium",
    )  # fmt: skip
    prompts = planted_prompts(8, seed=9)
    shown = run(*common, *prompts).out
    (route,) = {line.split("'")[1] for line in shown.splitlines() if "model='" in line}
    threshold = route.removeprefix("router-mf-")
    assert len(threshold) <= 13
    models = [line.split()[0] for line in shown.splitlines() if "←" in line]
    again = run(*common, "--threshold", threshold, "--json", *prompts).json
    assert [d["model"] for d in again] == models
    assert len(models) == 8


def test_it_says_why_in_words(run: Run) -> None:
    found = run("route", "--router", "rules", "--threshold", 0.5, "Prove the theorem of Fermat.")
    lines = found.out.splitlines()
    assert lines[0] == "gpt-4o  ←  Prove the theorem of Fermat."
    assert lines[1].startswith("  why      gpt-4o wins over gpt-4o-mini at a rate of 0.800")
    assert any(line.startswith("  cost     gpt-4o 0.00") for line in lines)
    assert lines[-1].startswith("  as       model='router-rules-0.5'")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("prompts.txt", "one prompt\n\nanother prompt\n"),
        (
            "prompts.jsonl",
            '{"prompt": "one prompt"}\n'
            '{"messages": [{"role": "user", "content": "another prompt"}]}',
        ),
    ],
)
def test_prompts_come_from_a_file_or_standard_input(
    run: Run, tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    for found in (
        run("route", "--router", "rules", "--file", path, "--json"),
        run("route", "--router", "rules", "--file", "-", "--json", stdin=content.encode()),
        run("route", "--router", "rules", "--json", stdin=content.encode()),
    ):
        assert found.code == 0, found.err
        assert [d["prompt"] for d in found.json] == ["one prompt", "another prompt"]


def test_a_lone_surrogate_is_shown_and_not_a_crash(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "half an emoji \\ud83d"}')
    found = run("route", "--router", "rules", "--file", path, "--json")
    assert found.code == 0, found.err
    assert found.json[0]["prompt"] == "half an emoji ?"  # as the gateway reads it
    assert run("route", "--router", "rules", "--file", path).code == 0


BAD = [
    (("route", "--router", "mff", "hi"), "no router named 'mff'.*Did you mean 'mf'"),
    (("route", "--router", "rules", "  "), "prompt: '  '.*give a text to route"),
    (("route", "--router", "rules"), "it holds no prompt"),
    (("route", "--router", "rules", "--file", "nowhere.txt"), "nowhere.txt.*No such file"),
    (("route", "--router", "rules", "--file", "x", "hi"), "prompts or a file, not both"),
    (("route", "--router", "rules", "--threshold", "1.5", "hi"), "threshold: 1.5.*from 0 to 1"),
    (("route", "--router", "rules", "--threshold", "nan", "hi"), "threshold: nan.*from 0 to 1"),
    (("route", "--router", "rules", "--strong-share", "0.5", "hi"), "turnout calibrate"),
    (("route", "--router", "random", "--strong-share", "2", "hi"), "from 0 to 1"),
    (
        ("route", "--router", "rules", "--threshold", "0", "--strong-share", "0", "hi"),
        "not both",
    ),
    (("route", "--router", "rules", "--artifact", "x", "hi"), "is not trained: leave it out"),
    (("route", "--router", "mf", "--artifact", "nowhere", "hi"), "nowhere.*`turnout train`"),
    (("route", "--router", "rules", "--strong", "a", "--weak", "a", "hi"), "'a'.*once"),
    (
        ("route", "--router", "rules", *(x for name in PRICED for x in ("--model", name)),
         "--strong-share", "0.5", "hi"),
        "three or more models give --threshold",
    ),
    (
        ("route", "--router", "rules", "--model", "a", "--model", "b", "--model", "c", "hi"),
        "price: 'a'.*give a price",
    ),
    (("route", "--router", "rules", "--strong", "", "hi"), "models: ''.*name of a model"),
    (
        ("route", "--router", "rules", "--model", "a", "--model", "b", "--weak", "c", "hi"),
        "weak: 'c'.*with --model",
    ),
    (
        ("route", "--config", "x.yaml", "--price", "gpt-4o=1,2", "hi"),
        "price: .*gpt-4o=1,2.*with --config",
    ),
    (
        ("train", "linear", "--data", "OUTCOMES", "--out", "x", "--encoder", "hashing-99999999999"),
        "dimension: 99999999999.*at most",
    ),
    (("train", "linear", "--data", "nowhere.jsonl", "--out", "x"), "nowhere.jsonl"),
    (("train", "rules", "--data", "OUTCOMES", "--out", "x"), "trainable router.*linear"),
    (("train", "linear", "--data", "OUTCOMES", "--out", "OUTCOMES"), "is not an artifact"),
    (("train", "linear", "--data", "OUTCOMES", "--out", "x", "--encoder", "no"), "encoder.*'no'"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(a)[:60] for a, _ in BAD])
def test_an_error_is_one_line_and_never_a_traceback(
    run: Run, outcomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found = run(*(str(outcomes) if a == "OUTCOMES" else a for a in args))
    assert found.code == 2
    assert found.out == ""
    *progress, error = found.err.splitlines()
    assert all(line.startswith("  ") for line in progress)
    assert error.startswith("error: ")
    assert re.search(message, error), error


def test_a_trained_router_asked_for_models_it_does_not_know_says_which_it_does(
    run: Run, artifacts: Path
) -> None:
    found = run("route", "--router", "mf", "--artifact", artifacts / "mf", "hi")
    assert found.code == 2
    assert "no model in the artifact named 'gpt-4o'; known: large, medium, small." in found.err


@pytest.mark.parametrize(
    "args",
    [
        ("rout",),
        ("route", "--no-such-option"),
        ("train", "linear"),
        ("train",),
        ("train", "linear", "--data", "x", "--out", "y", "--seed", "-1"),
    ],
)
def test_misuse_of_the_command_line_is_explained(run: Run, args: tuple[str, ...]) -> None:
    found = run(*args)
    assert found.code == 2
    assert "Usage: " in found.err
    assert "Traceback" not in found.err


def test_the_hint_after_training_names_the_best_model_first(run: Run, tmp_path: Path) -> None:
    rows = (
        {"prompt": p, "models": {"worse": 0, "better": i % 2}}
        for i, p in enumerate(planted_table(40).prompts)
    )
    path = tmp_path / "outcomes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = run(
        "train", "linear", "--data", path, "--out", tmp_path / "made", "--encoder", "hashing-16"
    )
    assert "--strong better --weak worse PROMPT" in found.out


def test_prices_are_taken_from_the_command_line(run: Run, artifacts: Path) -> None:
    priced = ("--price", "large=5,20", "--price", "medium=0.5,2", "--price", "small=0.05,0.2")
    names = ("--model", "large", "--model", "medium", "--model", "small")
    ran = run(
        "route", "--router", "linear", "--artifact", artifacts / "linear", *names, *priced,
        "--threshold", "1", "--json", "Say hello to the river.",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    cost = ran.json[0]["expected_cost_usd"]
    assert cost["large"] == pytest.approx(10 * cost["medium"])


@pytest.mark.parametrize("price", ["huge=1,1", "large", "large=1", "large=a,b", "large=-1,1"])
def test_an_unusable_price_says_what_to_give(run: Run, price: str) -> None:
    ran = run("route", "--router", "random", "--strong", "large", "--price", price, "Hello.")
    assert ran.code == 2
    assert "MODEL=IN,OUT" in ran.err or "not negative" in ran.err


def test_candidates_may_come_from_a_configuration(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "turnout.yaml"
    config.write_text(
        "providers: {up: {base_url: 'http://127.0.0.1:9/v1'}}\n"
        "candidates:\n"
        "  - {name: dear, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}\n"
        "  - {name: cheap, price: {input_usd: 0, output_usd: 0}, context_tokens: 1000}\n"
        "routers: {rules: {}}\n"
    )
    given = ("route", "--config", config, "--router", "rules", "--json")
    assert run(*given, "Hi there").json[0]["model"] == "cheap"
    ran = run("route", "--config", config, "--router", "mf", "Hi there")
    assert ran.code == 2
    assert "known: rules" in ran.err
