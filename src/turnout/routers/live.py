"""`knn_live`: a fitted router whose errors on recent, similar prompts are taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.routers.arrays import Arrays, unit
from turnout.routers.base import OpenedArtifact
from turnout.routers.learning import LearningRouter, live_arrays
from turnout.routers.trained import TrainedRouter
from turnout.types import Floats

WIDTH = 0.3
"""Cosine below 1 at which a live neighbour's weight falls to 1/e."""


@dataclass(frozen=True, slots=True)
class Memory:
    """An immutable snapshot of the newest outcomes, oldest first."""

    rows: Floats
    """(n, d) unit input rows."""
    model: NDArray[np.int32]
    """(n,) place in `models`."""
    residual: Floats
    """(n,) score minus what the fitted router predicted."""
    models: tuple[str, ...]

    def with_more(self, rows: Floats, keys: Sequence[str], residual: Floats, most: int) -> Memory:
        """A snapshot with newer outcomes; of more than `most`, the oldest are gone (a ring)."""
        models = tuple(dict.fromkeys((*self.models, *keys)))
        place = {name: i for i, name in enumerate(models)}
        model = np.asarray([place[key] for key in keys], dtype=np.int32)
        return Memory(
            rows=np.concatenate([self.rows, unit(rows)])[-most:],
            model=np.concatenate([self.model, model])[-most:],
            residual=np.concatenate([self.residual, residual])[-most:].astype(np.float32),
            models=models,
        )


class LiveKnn(LearningRouter):
    """Quality = the fitted router's + the weighted mean residual of the nearest live outcomes.

    A live neighbour at cosine c weighs exp((c - 1) / WIDTH); the fitted prediction, which over a
    `knn` artifact is that of the offline neighbours, counts as `prior` neighbours at cosine 1 with
    a residual of 0. So without live outcomes nothing changes, and where many are near, they decide.
    kNN routing: arXiv:2505.12601. The memory is a ring: the newest `memory` outcomes stay, so that
    a model that drifts is seen as it is now.

    Args:
        memory: outcomes kept at most.
        neighbours: live outcomes of a model that count at most.
        prior: how many neighbours the fitted prediction is worth.
    """

    NAME: ClassVar[str] = "knn_live"

    def __init__(
        self,
        base: TrainedRouter,
        opened: OpenedArtifact,
        *,
        memory: int = 5_000,
        neighbours: int = 50,
        prior: float = 3.0,
    ) -> None:
        for field, value in (("memory", memory), ("neighbours", neighbours)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(field, value, "give a whole number of 1 or more")
        if not 0.0 < prior < float("inf"):
            raise InputError("prior", prior, "give a positive number")
        super().__init__(base, opened)
        self.most, self.neighbours, self.prior = memory, neighbours, float(prior)
        d = len(base.inputs.shift)
        self._memory = Memory(
            np.empty((0, d), dtype=np.float32),
            np.empty(0, dtype=np.int32),
            np.empty(0, dtype=np.float32),
            (),
        )

    @classmethod
    def from_artifact(
        cls,
        opened: OpenedArtifact,
        memory: int = 5_000,
        neighbours: int = 50,
        prior: float = 3.0,
    ) -> Self:
        """Over the artifact of any head, or one that this router wrote, with its memory."""
        made = cls(cls._base(opened), opened, memory=memory, neighbours=neighbours, prior=prior)
        kept = live_arrays(opened.arrays) if opened.manifest["router"] == cls.NAME else {}
        if kept:
            made._memory = Memory(
                rows=kept["rows"].astype(np.float32)[-memory:],
                model=kept["model"][-memory:],
                residual=kept["residual"][-memory:],
                models=tuple(opened.manifest["live"]["models"]),
            )
        return made

    def __len__(self) -> int:
        """Live outcomes in memory."""
        return len(self._memory.residual)

    def _learn(self, rows: Floats, keys: Sequence[str], residual: Floats) -> None:
        self._memory = self._memory.with_more(rows, keys, residual, self.most)

    def _correction(self, rows: Floats, keys: Sequence[str]) -> tuple[Floats, list[int]]:
        memory = self._memory  # one snapshot for the whole prediction
        shift = np.zeros((len(rows), len(keys)), dtype=np.float32)
        seen = [0] * len(keys)
        near = unit(rows)
        for j, key in enumerate(keys):
            if key not in memory.models:
                continue
            own = np.flatnonzero(memory.model == memory.models.index(key))
            seen[j] = len(own)
            if len(own):
                shift[:, j] = self._shift(near @ memory.rows[own].T, memory.residual[own])
        return shift, seen

    def _shift(self, cos: Floats, residual: Floats) -> Floats:
        """(n,) of (n, k) cosines and (k,) residuals."""
        weight = np.exp((cos - 1.0) / WIDTH)
        if self.neighbours < weight.shape[1]:
            least = np.partition(weight, -self.neighbours, axis=1)[:, -self.neighbours, None]
            weight = np.where(weight >= least, weight, 0.0)
        return np.asarray(weight @ residual / (weight.sum(axis=1) + self.prior), dtype=np.float32)

    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        memory = self._memory
        arrays: Arrays = {
            "rows": memory.rows.astype(np.float16),
            "model": memory.model,
            "residual": memory.residual,
        }
        return arrays, {"models": list(memory.models), "outcomes": len(memory.residual)}
