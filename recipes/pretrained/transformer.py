"""The shipped `bert`: the first layers of a small encoder, frozen, and a head fitted to difficulty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Vector
from pretrained.cards import sections
from pretrained.difficulty import GAIN_SHIFT, GAIN_SLOPE, PRIOR
from pretrained.material import Material, unit_weights
from pretrained.tiers import CENTRES
from pretrained.writing import Judged, Ladder, described
from turnout.artifacts.folder import write_artifact
from turnout.encoders.transformer import TokenModel
from turnout.features import FEATURES
from turnout.routers.arrays import sigmoid
from turnout.routers.bert import MODEL, NAME, TOKENIZER
from turnout.routers.feature_term import FeatureTerm
from turnout.training.card import render_card
from turnout.training.checkpoint import Checkpoint
from turnout.training.graph import build_onnx
from turnout.types import Floats

PENALTY = 1.0
"""In hundredths of the vectors' variance; chosen with whole sources left out (docs/lab-notes.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A pruned encoder, and its vectors of all prompts as it serves them."""

    model: Checkpoint
    tokens: int
    vectors: Floats
    """(n, d) mean of token vectors, of the int8 model."""

    @classmethod
    def of(cls, model: Checkpoint, texts: tuple[str, ...], tokens: int) -> Frozen:
        """Encode texts, one at a time, as when serving."""
        onnx = build_onnx(model.weights, model.shape, top="tokens")
        served = TokenModel(onnx, model.tokenizer, most_tokens=tokens, where="encoder")
        vectors = np.stack([served.run(text)[0].mean(axis=0) for text in texts])
        return cls(model=model, tokens=tokens, vectors=vectors)


@dataclass(frozen=True, slots=True, kw_only=True)
class DifficultyHead:
    """Difficulty = w · vector + bias + prior · features; tier qualities follow on their scale."""

    weight: Vector
    """(d,)"""
    bias: float
    term: FeatureTerm
    """(f, 1): longer questions are harder, by weights that are not fitted."""

    def logits(self, vectors: Floats, features: Floats) -> Floats:
        """(n, 6) logits of tier qualities."""
        hard = vectors @ self.weight + self.bias
        hard = hard + (self.term.rows(features) @ self.term.weights_)[:, 0]
        return np.asarray(GAIN_SLOPE * (CENTRES + GAIN_SHIFT - hard[:, None]), dtype=np.float32)

    def of_tiers(self) -> tuple[dict[str, Floats], FeatureTerm]:
        """`head.weight` (6, d), `head.bias` (6,) of the network, and the term of six outputs."""
        tiers = len(CENTRES)
        weight = np.tile(-GAIN_SLOPE * self.weight, (tiers, 1)).astype(np.float32)
        bias = (GAIN_SLOPE * (CENTRES + GAIN_SHIFT - self.bias)).astype(np.float32)
        spread = np.tile(-GAIN_SLOPE * self.term.weights_, (1, tiers)).astype(np.float32)
        return {"head.weight": weight, "head.bias": bias}, replace(self.term, weights_=spread)


def fit_head(frozen: Frozen, material: Material, use: NDArray[np.bool_]) -> DifficultyHead:
    """Ridge regression of difficulty on vectors; units weigh the same.

    The weights of words and sentences stand outside of the regression, as those of `blend` do.
    """
    use = material.balanced(use)
    weight = unit_weights(material.unit[use])
    x, y = frozen.vectors[use].astype(np.float64), material.difficulty[use]
    mean, level = weight @ x, float(weight @ y)
    x = x - mean
    gram = (x.T * weight) @ x
    gram += PENALTY / 100.0 * np.trace(gram) * np.eye(len(gram))
    slope = np.linalg.solve(gram, (x.T * weight) @ (y - level))
    term = FeatureTerm.standardised(material.raw.features[material.fit], 1)
    for name, value in PRIOR.items():
        term.weights_[FEATURES.index(name), 0] = value
    return DifficultyHead(weight=slope, bias=level - float(mean @ slope), term=term)


def left_out(
    frozen: Frozen, material: Material, holds: list[frozenset[str]]
) -> dict[frozenset[str], Floats]:
    """Per held-out set: (n, 6) tier qualities of its prompts, NaN on all others."""
    found = {}
    for held in holds:
        outside = np.isin(material.family, sorted(held))
        head = fit_head(frozen, material, material.fit & ~outside)
        quality = np.full(material.score.shape, np.nan, dtype=np.float32)
        features = material.raw.features[outside]
        quality[outside] = sigmoid(head.logits(frozen.vectors[outside], features))
        found[held] = quality
    return found


def write(
    frozen: Frozen,
    material: Material,
    judged: Judged,
    ladder: Ladder,
    facts: Mapping[str, Any],
    folder: Path,
) -> int:
    """Fit on all that may be fitted on, and write the artifact; returns its size in bytes.

    Args:
        frozen: the encoder.
        material: what it is fitted on.
        judged: how it predicts sources left out.
        ladder: of models.
        facts: as for the other artifacts, and `base`, `vocabulary` (a section of the card).
        folder: the artifact's own.
    """
    manifest, arrays = described(judged, material, ladder, dict(facts))
    head, term = fit_head(frozen, material, material.fit).of_tiers()
    arrays |= {f"features/{name}": a for name, a in term.arrays().items()}
    model = frozen.model
    onnx = build_onnx({**model.weights, **head}, model.shape, top="mean")
    manifest |= {"max_tokens": frozen.tokens, "base": facts["base"]}
    more = [facts["vocabulary"], sections(NAME, judged.result, judged.length, facts)]
    card = render_card({**manifest, "encoder": facts["base"]}, more="\n\n".join(more))
    files = {MODEL: onnx, TOKENIZER: model.tokenizer}
    write_artifact(folder, manifest, arrays, card, files=files)
    return sum(file.stat().st_size for file in folder.iterdir())
