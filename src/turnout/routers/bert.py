"""`bert`: a small transformer that reads the prompt, fitted to the outcomes as a whole.

RouteLLM's BERT router (arXiv:2406.18665, section 4.2) classifies battles; here one output a column
predicts its quality. Served in int8 by ONNX Runtime on one thread, without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from turnout.encoders.transformer import TokenModel
from turnout.errors import ArtifactError, InputError
from turnout.routers.arrays import sigmoid
from turnout.routers.assembling import read_columns, read_pair
from turnout.routers.base import OpenedArtifact
from turnout.routers.feature_term import FeatureTerm
from turnout.routers.inputs import plain
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.trained import ColumnRouter
from turnout.types import Candidate, Floats, Prediction, Query

NAME = "bert"
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
WINS = "routellm"
"""Outputs of a converted checkpoint: logits of strong wins, tie, weak wins."""


@dataclass(frozen=True, kw_only=True)
class BertRouter(ColumnRouter):
    """Predicts with a fine-tuned transformer; opened from an artifact."""

    model: TokenModel
    wins: bool
    """Whether it says who wins, as RouteLLM's checkpoints do, and not the quality of columns."""
    platt: Platt | None
    term: FeatureTerm | None
    """What features of the whole prompt add to the model's outputs; None of a converted checkpoint."""
    waits: bool = True
    """Some ten milliseconds a prompt: servers run it off their loop."""

    @classmethod
    def from_artifact(cls, opened: OpenedArtifact) -> Self:
        """The router of a folder made by `turnout train bert` or `turnout convert routellm-bert`.

        Raises:
            ArtifactError: its model does not fit its manifest.
            MissingExtraError: onnxruntime is not installed.
        """
        manifest, arrays = opened.manifest, opened.arrays
        names, wins = tuple(manifest["columns"]["names"]), manifest.get("outputs") == WINS
        model = TokenModel(
            opened.read(MODEL),
            opened.read(TOKENIZER),
            most_tokens=int(manifest["max_tokens"]),
            where=opened.where,
        )
        expected = 3 if wins else len(names)
        if model.width != expected:
            raise ArtifactError(
                f"{opened.where}: the model has {model.width} outputs, its manifest {expected}; "
                "train it again"
            )
        part = {k.partition("/")[::2]: a for k, a in arrays.items()}
        known = {name: a for (kind, name), a in part.items() if kind == "reference"}
        platt = {name: a for (kind, name), a in part.items() if kind == "platt"}
        features = {name: a for (kind, name), a in part.items() if kind == "features"}
        return cls(
            name=NAME,
            fingerprint=opened.fingerprint,
            model=model,
            columns=read_columns(manifest["columns"]),
            pair=read_pair(manifest["pair"]),
            wins=wins,
            platt=Platt.from_arrays(platt) if platt else None,
            term=FeatureTerm.from_arrays(features) if features else None,
            known=Reference.from_arrays(known) if known else Reference.of_nothing(len(names)),
        )

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality; a note says where a prompt was cut to fit.

        Raises:
            RouterError: the model fails.
        """
        texts = [q.text if self.wins else plain(q.text) for q in queries]
        runs = [self.model.run(text) for text in texts]
        width = 3 if self.wins else len(self.columns.names)
        logits = np.stack([r[0] for r in runs]) if runs else np.zeros((0, width), np.float32)
        if self.term is not None:
            logits = logits + self.term.of(texts)
        made = self.prediction(self.column_quality(logits), candidates)
        if not any(cut for _, cut in runs):
            return made
        note = f"read the head and tail of a long prompt, {self.model.most_tokens} tokens at most"
        if self.term is not None:
            note += ", and counted the whole of it"
        return replace(made, notes=tuple(note if cut else "" for _, cut in runs))

    def column_quality(self, logits: Floats) -> Floats:
        """(n, K) quality by column of (n, k) outputs; tiers of a ladder keep their order."""
        if self.wins:
            return _wins(logits)
        quality = np.asarray(sigmoid(logits), dtype=np.float32)
        if self.platt is not None:
            quality = self.platt.apply(quality)
        return self.columns.ordered(quality)

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """What is known of these candidates from prompts that were held out of the fit.

        Raises:
            InputError: a converted checkpoint, which brings no outcomes.
        """
        if self.wins:
            raise InputError(
                "artifact", NAME, "a converted checkpoint has no outcomes: give a threshold"
            )
        return super().reference(candidates)

    def mixture(self, candidates: Sequence[Candidate]) -> tuple[Floats, tuple[str, ...]]:
        """(K, m) weights and what each candidate's rests on; a converted checkpoint takes any two.

        Raises:
            UnknownNameError: a candidate that is no column.
            InputError: more or fewer than two, of a converted checkpoint.
        """
        if not self.wins:
            return super().mixture(candidates)
        if len(candidates) != 2:
            names = [c.name for c in candidates]
            raise InputError("candidates", names, "this checkpoint takes a strong and a weak model")
        places = tuple(f"the checkpoint's {place} model" for place in ("strong", "weak"))
        return np.eye(2, dtype=np.float32), places


def _wins(logits: Floats) -> Floats:
    """(n, 2) RouteLLM's win rate, 1 - (p(tie) + p(weak wins)), and what is left of 1."""
    power = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-1e30))
    strong = power[:, 0] / power.sum(axis=1)
    return np.stack([strong, 1.0 - strong], axis=1).astype(np.float32)
