"""The shipped `bert`: the first layers of a small encoder, frozen, and a head fitted to difficulty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Vector
from pretrained.cards import sections
from pretrained.difficulty import GAIN_SHIFT, GAIN_SLOPE, PRIOR
from pretrained.heads import Fit
from pretrained.material import Material, unit_weights
from pretrained.tiers import CENTRES
from pretrained.writing import Judged, Ladder, described
from turnout.artifacts.folder import write_artifact
from turnout.encoders.transformer import TokenModel
from turnout.features import FEATURES
from turnout.routers.arrays import Arrays, sigmoid
from turnout.routers.bert import MODEL, NAME, TOKENIZER
from turnout.routers.feature_term import FeatureTerm
from turnout.routers.inputs import Inputs
from turnout.training.card import render_card
from turnout.training.checkpoint import Checkpoint
from turnout.training.graph import build_onnx
from turnout.types import Floats

PENALTY = 1.0
"""In hundredths of the vectors' variance; chosen with whole sources left out (docs/lab-notes.md)."""


def vectors(model: Checkpoint, texts: Sequence[str], tokens: int) -> Floats:
    """(n, d) mean of token vectors, of the int8 model, one text at a time: as it is served."""
    onnx = build_onnx(model.weights, model.shape, top="tokens")
    served = TokenModel(onnx, model.tokenizer, most_tokens=tokens, where="encoder")
    return np.stack([served.run(text)[0].mean(axis=0) for text in texts])


@dataclass(frozen=True, slots=True, kw_only=True)
class DifficultyHead:
    """Difficulty = w · vector + bias + prior · features; tier qualities follow on their scale."""

    weight: Vector
    """(d,)"""
    bias: float
    term: FeatureTerm
    """(f, 1): longer questions are harder, by weights that are not fitted."""

    def logits(self, rows: Floats) -> Floats:
        """(n, 6) logits of tier qualities, of (n, d + f) vectors and features."""
        d = len(self.weight)
        hard = rows[:, :d] @ self.weight + self.bias
        hard = hard + (self.term.rows(rows[:, d:]) @ self.term.weights_)[:, 0]
        return np.asarray(GAIN_SLOPE * (CENTRES + GAIN_SHIFT - hard[:, None]), dtype=np.float32)

    def predict(self, rows: Floats) -> Floats:
        """(n, 6) qualities of tiers."""
        return np.asarray(sigmoid(self.logits(rows)), dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {"weight": self.weight, **self.term.arrays()}

    def of_tiers(self) -> tuple[dict[str, Floats], FeatureTerm]:
        """`head.weight` (6, d), `head.bias` (6,) of the network, and the term of six outputs."""
        tiers = len(CENTRES)
        weight = np.tile(-GAIN_SLOPE * self.weight, (tiers, 1)).astype(np.float32)
        bias = (GAIN_SLOPE * (CENTRES + GAIN_SHIFT - self.bias)).astype(np.float32)
        spread = np.tile(-GAIN_SLOPE * self.term.weights_, (1, tiers)).astype(np.float32)
        return {"head.weight": weight, "head.bias": bias}, replace(self.term, weights_=spread)


def fit_head(material: Material, use: NDArray[np.bool_]) -> DifficultyHead:
    """Ridge regression of difficulty on vectors; units weigh the same.

    The weights of words and sentences stand outside of the regression, as those of `blend` do.
    """
    use = material.balanced(use)
    weight = unit_weights(material.unit[use])
    x, y = material.raw.vectors[use].astype(np.float64), material.difficulty[use]
    mean, level = weight @ x, float(weight @ y)
    x = x - mean
    gram = (x.T * weight) @ x
    gram += PENALTY / 100.0 * np.trace(gram) * np.eye(len(gram))
    slope = np.linalg.solve(gram, (x.T * weight) @ (y - level))
    term = FeatureTerm.standardised(material.raw.features[material.fit], 1)
    for name, value in PRIOR.items():
        term.weights_[FEATURES.index(name), 0] = value
    return DifficultyHead(weight=slope, bias=level - float(mean @ slope), term=term)


def fits(material: Material) -> Fit:
    """How a head is fitted to the rows that may be used, for leaving sources out."""
    d, f = material.raw.vectors.shape[1], len(FEATURES)
    as_they_are = Inputs(
        encoder=material.raw.encoder,
        lexical=None,
        shift=np.zeros(d + f, dtype=np.float32),
        scale=np.ones(d + f, dtype=np.float32),
        bound=np.full(f, np.inf, dtype=np.float32),
    )
    return lambda use: (as_they_are, fit_head(material, use))


def write(
    model: Checkpoint,
    material: Material,
    judged: Judged,
    ladder: Ladder,
    facts: Mapping[str, Any],
    folder: Path,
) -> int:
    """Fit on all that may be fitted on, and write the artifact; returns its size in bytes.

    Args:
        model: the encoder, with places for as many tokens as are read.
        material: what is fitted on; its rows hold the encoder's vectors.
        judged: how it predicts sources left out.
        ladder: of models.
        facts: as for the other artifacts, and `base`, `vocabulary` (a section of the card).
        folder: the artifact's own.
    """
    manifest, arrays = described(judged, material, ladder, dict(facts))
    head, term = fit_head(material, material.fit).of_tiers()
    arrays |= {f"features/{name}": array for name, array in term.arrays().items()}
    onnx = build_onnx({**model.weights, **head}, model.shape, top="mean")
    manifest |= {"max_tokens": model.shape.most_tokens, "base": facts["base"]}
    more = [facts["vocabulary"], sections(NAME, judged.result, judged.length, facts)]
    card = render_card({**manifest, "encoder": facts["base"]}, more="\n\n".join(more))
    files = {MODEL: onnx, TOKENIZER: model.tokenizer}
    write_artifact(folder, manifest, arrays, card, files=files)
    return sum(file.stat().st_size for file in folder.iterdir())
