"""The recipe of the universal router on planted outcomes: small, and the router opens from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from pretrained import universal
from pretrained.keyed import Keyed
from pretrained.lowrank import fit_low_rank
from pretrained.outcomes import Cells
from test_build_pretrained import ABILITY, planted_cells

from turnout.artifacts.opening import open_router
from turnout.routers.arrays import sigmoid
from turnout.routers.universal import Universal
from turnout.types import Candidate, Query


def worded(cells: Cells) -> Cells:
    """Planted cells whose prompts say how hard they are, and whose last quarter is for dev."""
    rng = np.random.default_rng(1)
    mean = np.bincount(cells.at, cells.score) / np.bincount(cells.at)
    hard = ["prove the theorem about", "explain in a paragraph", "add two and two for"]
    prompts = tuple(
        f"{hard[int(np.digitize(m, [0.4, 0.8]))]} item {rng.integers(10**6)} {i}"
        for i, m in enumerate(mean)
    )
    train = np.ones(cells.n, dtype=np.bool_)
    train[::4] = False
    tokens = np.full(len(cells.at), 200.0)
    return replace(cells, prompts=prompts, train=train, output_tokens=tokens)


def test_a_planted_low_rank_table_is_recovered() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1500, 5)).astype(np.float32)
    truth = sigmoid(x[:, :1] @ np.linspace(0.5, 3, 6)[None])
    score = (rng.random(truth.shape) < truth).astype(np.float32)
    score[rng.random(truth.shape) < 0.3] = np.nan
    found = fit_low_rank([x], score, np.arange(1000), rank=2, epochs=150).predict(x[1000:])
    error = float(((found - truth[1000:]) ** 2).mean())
    assert error < 0.4 * float(((truth[1000:] - truth.mean(axis=0)) ** 2).mean())


def test_misspelt_texts_differ_and_are_the_same_each_time() -> None:
    text = "What is the sum of these numbers? " * 10
    assert universal.misspelt(text) != text
    assert universal.misspelt(text) == universal.misspelt(text)


def test_arms_of_one_model_keep_their_order_where_they_were_not_run() -> None:
    rng = np.random.default_rng(2)
    n, k = 400, 9
    factors = np.c_[np.ones(n), rng.standard_normal((n, k - 1))].astype(np.float32)
    run = rng.random(n) < 0.25  # of one kind of prompts, where few factors vary
    factors[run, 5:] = 1.0
    logit = factors @ np.r_[0.5, rng.standard_normal(k - 1) / 2]
    names = ("plain", "thinker@low", "thinker@high")
    chance = sigmoid(logit[:, None] + np.asarray([-0.5, 0.0, 1.0]))
    score = (rng.random(chance.shape) < chance).astype(np.float32)
    score[~run, 1:] = np.nan
    keys = Keyed(names=names, basis=names, entries=tuple(np.asarray([e]) for e in range(3)))
    space = universal.fit_space(factors, score, np.ones(n, dtype=np.bool_), keys)
    low, high = (space.vectors_[names.index(f"thinker@{effort}")] for effort in ("low", "high"))
    assert (factors @ high > factors @ low).all()
    assert high[0] - low[0] == pytest.approx(1.0, abs=0.8)
    plain = sigmoid(factors @ space.vectors_[0])
    assert float(np.abs(plain - chance[:, 0]).mean()) < 0.15


def test_a_small_artifact_opens_and_knows_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(universal, "PROTOTYPES", 8)
    monkeypatch.setattr(universal, "FOLDS", 2)
    cells = worded(planted_cells(sets=2, n=120))
    facts = {
        "card": "## Fitted on\n\nplanted sets",
        "command": "test",
        "notes": [],
        "data": {
            "source": "planted",
            "fingerprint": "0",
            "prompts": int(cells.train.sum()),
            "groups": cells.n,
            "outcomes": len(cells.at),
        },
    }
    sound = np.ones(len(cells.entry_set), dtype=np.bool_)
    size = universal.build(cells, sound, facts, tmp_path / "universal")
    assert size > 0
    router = open_router("universal", artifact=tmp_path / "universal")
    assert isinstance(router, Universal)
    assert set(ABILITY) < set(router.space.names)
    assert "small@set-0" in router.space.names
    asked = [Candidate(name=name) for name in ("huge", "small")]
    held = [Query.of(cells.prompts[i]) for i in np.flatnonzero(~cells.train)]
    made = router.predict(held, asked)
    assert (made.quality[:, 0] > made.quality[:, 1]).mean() > 0.9
    assert made.output_tokens is not None
    assert made.output_tokens == pytest.approx(200.0, rel=0.05)
    assert router.reference(asked).score.shape[1] == 2
    assert "planted sets" in (tmp_path / "universal" / "card.md").read_text("utf-8")
    text = b"".join(f.read_bytes() for f in (tmp_path / "universal").iterdir())
    assert b"item" not in text, "no prompt is part of the artifact"
