"""A run that is killed: what it leaves, and what the next one makes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from planted import planted_table
from turnout.artifacts.folder import read_artifact
from turnout.cli import cli
from turnout.training.above_length import above_length, sentence
from turnout.training.fit import fit_router
from turnout.training.resume import keep_fold, kept_fold

KILLER = """
import os, signal, sys
from turnout.cli import progress, train
from contextlib import contextmanager
@contextmanager
def deadly(total, *, quiet=False):
    def tell(text):
        if text.startswith(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
    yield tell
train.progress = deadly
train.train(sys.argv[2:])
"""


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    table = planted_table(40)
    path = tmp_path / "outcomes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for prompt, row in zip(table.prompts, table.score.tolist(), strict=True):
            models = dict(zip(table.models, row, strict=True))
            file.write(json.dumps({"prompt": prompt, "models": models}) + "\n")
    return path


def arguments(outcomes: Path, out: Path, *more: str) -> list[str]:
    given = ["linear", "--data", str(outcomes), "--out", str(out), "--encoder", "hashing-64"]
    return [*given, *more]


def train(outcomes: Path, out: Path, *more: str) -> str:
    done = CliRunner().invoke(cli, ["train", *arguments(outcomes, out, *more)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("at", ["encoding", "fold 4", "fitted in"])
def test_a_killed_run_leaves_the_old_artifact_and_the_next_continues(
    at: str, outcomes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made"
    train(outcomes, out)
    old = read_artifact(out)
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, at, *arguments(outcomes, out, "--seed", "5")],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_artifact(out)[2] == old[2]
    said = train(outcomes, out, "--seed", "5")
    kept = {"encoding": 0, "fold 4": 3, "fitted in": 5}[at]
    assert said.count("kept from before") == kept
    assert not out.with_name("made.resume").exists()
    clean = tmp_path / "clean"
    train(outcomes, clean, "--seed", "5")
    for name, array in read_artifact(clean)[1].items():
        assert array.tobytes() == read_artifact(out)[1][name].tobytes(), name


def test_other_options_or_fresh_do_not_continue(outcomes: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", KILLER, "fold 4", *arguments(outcomes, out)], check=False
        )
        assert len(list(out.with_name("made.resume").glob("*/fold-*.npy"))) == 3
    assert "kept" not in train(outcomes, tmp_path / "other", "--seed", "7")
    assert "kept" not in train(outcomes, out, "--fresh")


def test_a_broken_part_is_fitted_again(tmp_path: Path) -> None:
    keep_fold(tmp_path, 0, np.ones((3, 2), np.float32))
    assert kept_fold(tmp_path, 0, (3, 2)) is not None
    assert kept_fold(tmp_path, 0, (4, 2)) is None
    (tmp_path / "fold-0.npy").write_bytes(b"\x93NUMPY broken")
    assert kept_fold(tmp_path, 0, (3, 2)) is None


def test_quiet_tells_no_progress(outcomes: Path, tmp_path: Path) -> None:
    assert "fold" not in train(outcomes, tmp_path / "made", "--quiet").split("out of fold", 1)[0]


def test_the_card_names_the_command_the_models_and_length(outcomes: Path, tmp_path: Path) -> None:
    said = train(outcomes, tmp_path / "made", "--seed", "4")
    assert "prompt length alone" in said
    card = (tmp_path / "made" / "card.md").read_text("utf-8")
    command = "turnout train linear --data outcomes.jsonl --encoder hashing-64 --seed 4"
    assert f"`{command}`" in card
    for text in ("## By model", "## Against prompt length", "## What it is not good for"):
        assert text in card
    assert read_artifact(tmp_path / "made")[0]["recipe"]["command"] == command


def test_the_comparison_with_length_tells_signal_from_noise() -> None:
    made = fit_router("knn", planted_table(60), encoder="hashing-64")
    assert made.manifest["measured"]["above_length"]["metric"] == "mean score"
    pair = planted_table(120).columns(("large", "small"))
    groups = np.arange(len(pair.prompts))
    coin = np.random.default_rng(0).random(pair.score.shape).astype(np.float32)
    known = above_length(pair.prompts, pair.score, pair.score, groups)
    guessed = above_length(pair.prompts, pair.score, coin, groups)
    assert known["metric"] == "APGR"
    assert known["beats"]
    assert known["low"] <= known["difference"] <= known["high"]
    assert not guessed["beats"]
    assert sentence(known).startswith("better than prompt length")
    assert "why_not" in above_length(pair.prompts[:9], pair.score[:9], coin[:9], groups[:9])
