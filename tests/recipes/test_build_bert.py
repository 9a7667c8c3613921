"""The recipe of the shipped bert on planted outcomes and a tiny base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("onnx", reason="needs the extra bert: pip install 'turnout[bert]'")
pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'turnout[onnx]'")

import build_bert
from build_onnx_encoder import check_base
from build_pretrained import data_facts, ladder_of
from pretrained import loso, transformer
from pretrained.abilities import fit_scale
from pretrained.material import Material
from pretrained.outcomes import Cells
from test_build_pretrained import planted_cells

from tiny_bert import base
from turnout.artifacts.opening import open_router
from turnout.encoders.hashing import HashingEncoder
from turnout.routers.bert import BertRouter
from turnout.routers.inputs import RawRows
from turnout.training.checkpoint import Checkpoint, read_checkpoint
from turnout.types import Candidate, Query

ASKED = [Candidate(name="huge"), Candidate(name="small")]


def worded(cells: Cells) -> Cells:
    """Planted cells whose prompts say how hard they are, in words that the tiny base knows."""
    rng = np.random.default_rng(1)
    mean = np.bincount(cells.at, cells.score) / np.bincount(cells.at)
    kinds = ["hard proof", "sum of two", "easy words"]
    prompts = tuple(
        f"{kinds[int(np.digitize(m, [0.4, 0.8]))]} {' '.join(rng.choice(['of', 'two'], 4))} {i}"
        for i, m in enumerate(mean)
    )
    return replace(cells, prompts=prompts)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return read_checkpoint(base(tmp_path_factory.mktemp("base") / "in")).shortened(32)


@pytest.fixture(scope="module")
def planted(model: Checkpoint) -> tuple[Cells, Material]:
    cells = worded(planted_cells())
    raw = RawRows.of(HashingEncoder(16), cells.prompts)
    raw = replace(raw, vectors=transformer.vectors(model, raw.texts, 32))
    return cells, Material.of(cells, fit_scale(cells), raw)


def test_a_small_artifact_opens_and_knows_hard_from_easy(
    planted: tuple[Cells, Material], model: Checkpoint, tmp_path: Path
) -> None:
    cells, made = planted
    scale = fit_scale(cells)
    units = loso.find_units(cells, scale, made.fit)
    holds = loso.held_out_sets(cells, made.fit)
    judged = build_bert.judge(made, units, holds, layers=2)
    assert judged.result.total > 0.55, "sources left out are ordered by what their prompts say"
    facts = data_facts(cells, scale, made) | {
        "command": "test",
        "dropped": {},
        "evaluation_prompts": 0,
        "base": {"name": "tiny", "licence": "none", "fingerprint": "0"},
        "vocabulary": build_bert.vocabulary_section(
            model.tokenizer, model.tokenizer, list(cells.prompts)
        ),
    }
    out = tmp_path / "bert"
    ladder = ladder_of(cells, scale)
    size = transformer.write(model, made, judged, ladder, facts, out)
    assert size == sum(f.stat().st_size for f in out.iterdir())
    router = open_router("bert", artifact=out)
    assert isinstance(router, BertRouter)
    asked = ["hard proof of two of two 1", "easy words of two of two 2"]
    found = router.predict([Query.of(text) for text in asked], ASKED)
    assert found.basis[0] == "measured outcomes of huge"
    assert (found.quality[:, 0] >= found.quality[:, 1]).all()
    assert found.quality[0, 1] < found.quality[1, 1] - 0.1
    unknown = router.predict([Query.of(asked[0])], [Candidate(name=n) for n in ("a", "b")])
    assert all(basis.startswith("prior: ") for basis in unknown.basis)
    assert unknown.quality[0, 0] >= unknown.quality[0, 1]
    share = float(
        (router.reference_win_rates(ASKED) >= router.threshold_for_share(ASKED, 0.3)).mean()
    )
    assert share == pytest.approx(0.3, abs=0.05)
    assert "no word" in (out / "card.md").read_text("utf-8")
    held = b"".join(f.read_bytes() for f in out.iterdir())
    assert cells.prompts[0].encode() not in held, "no prompt is part of the artifact"


def test_what_is_written_is_what_was_fitted(planted: tuple[Cells, Material]) -> None:
    _, made = planted
    head = transformer.fit_head(made, made.fit)
    weights, term = head.of_tiers()
    vectors, features = made.raw.vectors, made.raw.features
    six = vectors @ weights["head.weight"].T + weights["head.bias"]
    six = six + term.rows(features) @ term.weights_
    rows = np.concatenate([vectors, features], axis=1)
    np.testing.assert_allclose(six, head.logits(rows), atol=1e-3)
    assert (np.diff(head.predict(rows), axis=1) >= 0).all(), "no tier is below a weaker one"


def test_a_held_out_family_is_not_seen(planted: tuple[Cells, Material]) -> None:
    _, made = planted
    held = frozenset({"set-0"})
    changed = made.difficulty.copy()
    changed[made.family == "set-0"] += 3.0
    before, after = (
        loso.predictions(transformer.fits(m), m, [held])[held]
        for m in (made, replace(made, difficulty=changed))
    )
    np.testing.assert_array_equal(before, after)
    assert np.isnan(before[made.family != "set-0"]).all()


def test_other_weights_than_the_checked_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="SHA-256"):
        check_base(base(tmp_path / "other"))
