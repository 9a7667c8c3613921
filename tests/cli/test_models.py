"""`turnout models`: anchors out, labels in, and an artifact that routes with the new model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from planted import planted_prompts
from turnout.artifacts.opening import open_router
from turnout.cli import cli
from turnout.errors import DataError, InputError
from turnout.routers.universal import Universal
from turnout.types import Candidate, Price, Query
from universal_made import planted_scores, write_universal


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_universal(tmp_path_factory.mktemp("universal") / "base")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five models on 400 prompts; `newcomer` does as `medium` does."""
    file = tmp_path_factory.mktemp("outcomes") / "outcomes.jsonl"
    prompts = planted_prompts(400)
    like = {"large": "large", "a": "large", "b": "medium", "c": "small", "small": "small"}
    columns = {name: planted_scores(prompts, m, seed=i) for i, (name, m) in enumerate(like.items())}
    rows = [
        {"prompt": p, "models": {name: scores[i] for name, scores in columns.items()}}
        for i, p in enumerate(prompts)
    ]
    _write(file, rows)
    return file


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def label(file: Path, *, to: Path, count: int | None = None) -> Path:
    """The file with the scores of `medium` filled in."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    every = planted_prompts(400)
    score = dict(zip(every, planted_scores(every, "medium", seed=9), strict=True))
    for i, row in enumerate(rows):
        row["score"] = score[row["prompt"]] if count is None or i < count else None
        row["output_tokens"] = 300
    _write(to, rows)
    return to


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_new_model_goes_from_anchors_to_decisions(
    base: Path, outcomes: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "anchors.jsonl"
    said = run("models", "anchors", "--data", outcomes, "--out", asked, "--count", 100)
    assert "100 of 400 prompts" in said
    assert "by the outcomes of 5 models" in said
    assert (
        len({json.loads(line)["prompt"] for line in asked.read_text("utf-8").splitlines()}) == 100
    )
    labelled = label(asked, to=tmp_path / "labelled.jsonl")
    out = tmp_path / "more"
    told = run(
        *("models", "add", "Newcomer", "--outcomes", labelled, "--out", out),
        *("--artifact", base, "--data", outcomes, "--price", "0.5,2"),
    )
    assert "newcomer: 100 anchors" in told
    truth = np.mean(planted_scores(planted_prompts(400), "medium", seed=9))
    estimate = float(told.split("outcomes.jsonl: ")[1].split()[0])
    assert estimate == pytest.approx(truth, abs=0.06)

    router = open_router("universal", artifact=out)
    assert isinstance(router, Universal)
    pool = [Candidate(name=name) for name in ("large", "newcomer", "small", "big")]
    queries = [Query.of(p) for p in planted_prompts(80)]
    found = router.predict(queries, pool)
    hard, easy = found.quality[0::4, 1].mean(), found.quality[3::4, 1].mean()
    assert easy - hard > 0.4  # medium: proofs 0.1, greetings 0.9
    assert found.basis[1] == "100 anchors"
    assert found.output_tokens is not None
    assert found.output_tokens[:, 1].mean() == pytest.approx(300, rel=0.02)
    before = open_router("universal", artifact=base).predict(queries, pool[:1])
    after = router.predict(
        queries, pool[:1]
    )  # alone, as before: sums of other shapes round otherwise
    assert np.array_equal(before.quality, after.quality)

    decided = json.loads(
        run(
            *("route", "--router", "universal", "--artifact", out, "--json"),
            *("--strong", "large", "--weak", "newcomer", "Hello there"),
        )
    )
    assert decided["basis"]["newcomer"] == "100 anchors"
    assert "newcomer" in run("models", "list", "--artifact", out)
    assert "Added without training: newcomer" in (out / "card.md").read_text(encoding="utf-8")


def test_anchors_by_text_alone(base: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(planted_prompts(60)), encoding="utf-8")
    out = tmp_path / "anchors.jsonl"
    said = run(
        *("models", "anchors", "--data", prompts, "--out", out, "--count", 12),
        *("--artifact", base, "--model", "m"),
    )
    assert "12 of 60 prompts" in said
    assert "by text" in said
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert {row["model"] for row in rows} == {"m"}
    with pytest.raises(InputError, match="it exists"):
        run("models", "anchors", "--data", prompts, "--out", out, "--artifact", base)


def test_too_few_labels_are_refused_and_few_are_noted(
    base: Path, outcomes: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "anchors.jsonl"
    run("models", "anchors", "--data", outcomes, "--out", asked, "--count", 60)
    few = label(asked, to=tmp_path / "few.jsonl", count=9)
    add = ("models", "add", "n", "--out", tmp_path / "o", "--artifact", base, "--outcomes")
    with pytest.raises(DataError, match=r"9 scores.*label 10 prompts or more"):
        run(*add, few)
    assert not (tmp_path / "o").exists()
    with pytest.raises(DataError, match="give some scores"):
        run(*add, asked)
    some = label(asked, to=tmp_path / "some.jsonl", count=20)
    assert "note: 20 labels tell little" in run(*add, some)


def test_without_labels_a_price_is_a_prior_and_says_so(base: Path, tmp_path: Path) -> None:
    for name, price in (("dear", "64,64"), ("cheap", "1,1")):
        told = run(
            *("models", "add", name, "--out", tmp_path / name),
            *("--artifact", base, "--price", price),
        )
        assert f"{name}: prior: from its price" in told
    with pytest.raises(InputError, match="--price for a prior"):
        run("models", "add", "unheard-of", "--out", tmp_path / "x", "--artifact", base)
    queries = [Query.of("Hello there")]
    quality = [
        open_router("universal", artifact=tmp_path / name)
        .predict(queries, [Candidate(name=name)])
        .quality[0, 0]
        for name in ("dear", "cheap")
    ]
    assert quality[0] > quality[1] + 0.2


def test_the_router_itself_expects_by_price_and_by_effort(base: Path) -> None:
    router = open_router("universal", artifact=base)
    pool = [
        Candidate(name="unheard-of", price=Price.per_million(64, 64)),
        Candidate(name="unknown"),
        Candidate(name="thinker", effort="medium"),
        Candidate(name="thinker@high"),
        Candidate(name="thinker@low"),
        Candidate(name="thinker"),
    ]
    found = router.predict([Query.of(p) for p in planted_prompts(40)], pool)
    assert found.basis[:2] == ("prior: from its price", "prior: the mean of all known models")
    assert found.basis[2].startswith("prior: thinker@low, moved to effort medium")
    assert found.basis[3] == "outcomes of thinker@high"
    mean = found.quality.mean(axis=0)
    assert mean[4] < mean[2] < mean[3]
    assert mean[5] == mean[2]


def test_an_arm_is_added_beside_its_model(base: Path, outcomes: Path, tmp_path: Path) -> None:
    asked = tmp_path / "anchors.jsonl"
    run("models", "anchors", "--data", outcomes, "--out", asked, "--count", 40)
    labelled = label(asked, to=tmp_path / "labelled.jsonl")
    add = ("models", "add", "thinker", "--outcomes", labelled, "--artifact", base)
    told = run(*add, "--effort", "medium", "--out", tmp_path / "o")
    assert "thinker@medium: 40 anchors" in told
