"""The command: its options, what it writes, and that a mistake is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from review_made import made_calls, write_log
from turnout.cli import cli
from turnout.errors import DataError, InputError, UnknownNameError
from turnout.settings import MINIMAL


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_log(tmp_path / "log.jsonl", made_calls(40))


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    command = ["review", *map(str, arguments), "--workers", "1"]
    result = CliRunner().invoke(cli, command, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_it_prints_and_writes_the_same_review(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = run(log, "--out", out).stdout
    assert "of them a cheaper model than gpt-4o would serve" in printed
    assert (out / "review.txt").read_text(encoding="utf-8") == printed
    said = json.loads((out / "review.json").read_text(encoding="utf-8"))
    assert said["candidates"] == ["gpt-4o", "gpt-4o-mini"]
    assert said == {**json.loads(run(log, "--json").stdout), "command": said["command"]}
    assert "<!doctype html>" in (out / "review.html").read_text(encoding="utf-8")


def test_results_are_kept_where_the_user_keeps_caches_unless_told_not_to(
    log: Path, tmp_path: Path
) -> None:
    run(log, "--no-cache")
    assert not (tmp_path / "cache").exists()
    run(log)
    assert list((tmp_path / "cache" / "turnout" / "review").glob("*.safetensors"))


def test_standard_input_is_reviewed_and_left_nowhere(log: Path, tmp_path: Path) -> None:
    piped = json.loads(run("-", "--json", stdin=log.read_bytes()).stdout)
    assert piped["calls"] == json.loads(run(log, "--json").stdout)["calls"]
    assert not list((tmp_path / "cache").rglob("stdin-*"))


def test_candidates_come_from_a_configuration(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none-is-used")
    config = tmp_path / "turnout.yaml"
    config.write_text(MINIMAL, encoding="utf-8")
    said = json.loads(run(log, "--json", "--config", config, "--router", "mf").stdout)
    assert said["candidates"] == ["gpt-4.1", "gpt-4.1-mini"]
    assert said["router"] == "mf"


def test_drawn_prompts_are_written_beside_the_report(log: Path, tmp_path: Path) -> None:
    run(log, "--out", tmp_path / "out", "--label", 15)
    lines = (tmp_path / "out" / "to-label.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 15
    assert (tmp_path / "out" / "ask-gpt-4o-mini.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (["--label", "20"], InputError, "--out"),
        (["--cache", "x", "--no-cache"], InputError, "not both"),
        (["--engine-address", "tcp://x:1"], InputError, "--engine dask"),
        (["--weak", "home-made"], InputError, "price"),
        (["--router", "none"], UnknownNameError, "none"),
        (["missing*.jsonl"], DataError, "no such file"),
    ],
)
def test_a_mistake_is_named(
    arguments: list[str], error: type[Exception], match: str, log: Path
) -> None:
    with pytest.raises(error, match=match):
        run(log, *arguments)
