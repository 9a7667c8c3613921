"""`routellm_mf`: RouteLLM's matrix factorization checkpoints, folded to one dot product a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from turnout.encoders.base import Encoder
from turnout.errors import ArtifactError, RouterError
from turnout.routers.base import OpenedArtifact
from turnout.routers.columns import Columns
from turnout.types import Candidate, Floats, PairRule, Prediction, Query, texts

NAME = "routellm_mf"
MOST_LOGIT = 15.0
"""Strengths beyond this many logits from the mean model are cut: float32 cannot tell them from 1."""


@dataclass(frozen=True, kw_only=True)
class RouteLLMFactors:
    """The strength of each model on a prompt is linear in the prompt's embedding.

    RouteLLM (arXiv:2406.18665, section 4.2) scores model m on embedding e by w2 . (v_m * (W1 e)),
    v_m of unit length, and wins by sigmoid of a difference. So each model is one vector
    W1'(w2 * v_m). `quality` is the win rate over the mean of all models of the checkpoint: it
    ranks models, and is not the share of prompts that a model answers well.
    """

    fingerprint: str | None
    encoder: Encoder
    columns: Columns
    directions: Floats
    """(K, d), one row a model, their mean subtracted."""
    name: str = NAME

    @classmethod
    def from_artifact(cls, opened: OpenedArtifact) -> Self:
        """The router of a folder made by `turnout convert routellm-mf`.

        Raises:
            ArtifactError: its manifest states no encoder, or one of another dimension.
        """
        directions = np.asarray(opened.arrays["directions"], dtype=np.float32)
        names = tuple(opened.manifest["columns"]["names"])
        if opened.encoder is None:
            raise ArtifactError(f"{opened.where}: states no encoder; convert the checkpoint again")
        expected = (len(names), opened.encoder.dimension)
        if directions.shape != expected:
            raise ArtifactError(
                f"{opened.where}: directions are {directions.shape}, but {len(names)} models and "
                f"encoder {opened.encoder.name} need {expected}; convert the checkpoint again"
            )
        return cls(
            fingerprint=opened.fingerprint,
            encoder=opened.encoder,
            columns=Columns(names=names),
            directions=directions,
        )

    @property
    def waits(self) -> bool:
        """Whether its encoder calls something."""
        return bool(getattr(self.encoder, "waits", False))

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate must be a model of the checkpoint, by `name` or `known_as`.

        Raises:
            UnknownNameError: one is not.
        """
        self.columns.weights(candidates)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) win rates over the checkpoint's mean model; pairs follow from their odds.

        Raises:
            UnknownNameError: a candidate that the checkpoint does not have.
            RouterError: the encoder gave vectors of another dimension.
        """
        mix, basis = self.columns.weights(candidates)
        rows = self.encoder.encode(texts(queries))
        if rows.shape != (len(queries), self.directions.shape[1]):
            raise RouterError(
                f"encoder {self.encoder.name} gave vectors of shape {rows.shape}; "
                f"router {NAME} needs {(len(queries), self.directions.shape[1])}"
            )
        logit = rows.astype(np.float64) @ (mix.T @ self.directions).T.astype(np.float64)
        cut = np.clip(logit, -MOST_LOGIT, MOST_LOGIT)
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=(1.0 / (1.0 + np.exp(-cut))).astype(np.float32),
            pair=PairRule(kind="odds"),
            basis=basis,
        )
