"""What routers that learn while they serve share: a fitted router beneath, and checked outcomes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from turnout import registry
from turnout.errors import DataError, UnknownNameError
from turnout.routers.arrays import Arrays
from turnout.routers.assembling import assemble
from turnout.routers.base import OpenedArtifact
from turnout.routers.columns import normalise
from turnout.routers.reference import Reference
from turnout.routers.trained import TrainedRouter
from turnout.types import Candidate, Floats, Outcome, Prediction, Query, texts

PREFIX = "live/"
"""Arrays of what was learned while serving, beside those of the fitted router."""


class LearningRouter:
    """The prediction of a fitted router, plus a correction that is learned from outcomes.

    Learning replaces an immutable snapshot under a lock, so that `predict` takes none. A subclass
    keeps the snapshot and says what the correction is. Points and shares of a route stay those of
    the fitted router's reference.
    """

    STARTS_FROM_HEADS: ClassVar[bool] = True
    """`artifacts.opening` opens the artifact of any head for it, and the shipped `blend`."""
    NAME: ClassVar[str]

    def __init__(self, base: TrainedRouter, opened: OpenedArtifact) -> None:
        self.base, self._opened = base, opened
        self.taken = 0
        """Outcomes taken in since it was opened."""
        self._lock = threading.Lock()

    @classmethod
    def _base(cls, opened: OpenedArtifact) -> TrainedRouter:
        name = opened.manifest.get("base", opened.manifest["router"])
        return assemble(name, registry.load("routers", name), opened)

    @property
    def name(self) -> str:
        """The name in a route."""
        return self.NAME

    @property
    def fingerprint(self) -> str | None:
        """Of the artifact that was opened; what was learned since does not change it."""
        return self._opened.fingerprint

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raise UnknownNameError for a candidate that the artifact does not know."""
        self.base.check(candidates)

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """That of the fitted router."""
        return self.base.reference(candidates)

    def reference_win_rates(self, candidates: Sequence[Candidate]) -> Floats:
        """That of the fitted router."""
        return self.base.reference_win_rates(candidates)

    def threshold_for_share(self, candidates: Sequence[Candidate], share: float) -> float:
        """That of the fitted router."""
        return self.base.threshold_for_share(candidates, share)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality: the fitted router's, corrected."""
        rows = self.base.inputs.rows(texts(queries))
        plain = self.base.prediction(self.base.column_quality(rows), candidates)
        shift, seen = self._correction(rows, [self.key(c) for c in candidates])
        return replace(
            plain,
            quality=np.asarray(np.clip(plain.quality + shift, 0.0, 1.0), dtype=np.float32),
            basis=tuple(
                f"{text}, {count} learned while serving" if count else text
                for text, count in zip(plain.basis, seen, strict=True)
            ),
        )

    def key(self, candidate: Candidate) -> str:
        """The name under which outcomes of a candidate are kept.

        Raises:
            UnknownNameError: the artifact's columns are models, and it is none of them.
        """
        columns = self.base.columns
        if columns.ladder is not None:
            return normalise(candidate.known_as or candidate.name)
        return columns.names[int(self.base.weights([candidate])[:, 0].argmax())]

    def partial_fit(self, outcomes: Sequence[Outcome], *, pool: Sequence[Candidate] = ()) -> int:
        """Learn from outcomes; all are taken or none. Returns how many.

        Args:
            outcomes: by the names of the pool's candidates, or of the artifact's models.
            pool: the candidates that serve. An artifact of tiers needs it to place a model that it
                does not know by name, as it does when it predicts.

        Raises:
            DataError: a prompt or a score that cannot be used.
            UnknownNameError: a model that is not in the pool, or that the artifact does not know.
        """
        for outcome in outcomes:
            _check(outcome)
        if not outcomes:
            return 0
        known = self._known(outcomes, pool)
        rows = self.base.inputs.rows([o.prompt for o in outcomes])
        weights = np.stack([known[o.model][1] for o in outcomes])
        fitted = np.clip(np.einsum("nk,nk->n", self.base.column_quality(rows), weights), 0.0, 1.0)
        score = np.asarray([o.score for o in outcomes], dtype=np.float32)
        keys = [known[o.model][0] for o in outcomes]
        with self._lock:
            self._learn(rows, keys, score - fitted)
            self.taken += len(outcomes)
        return len(outcomes)

    def _known(
        self, outcomes: Sequence[Outcome], pool: Sequence[Candidate]
    ) -> dict[str, tuple[str, Floats]]:
        """Model → its key, and its (K,) weights over the columns."""
        named = {c.name: c for c in pool}
        placed = dict(zip(named, self.base.weights(pool).T, strict=True)) if pool else {}
        found = {}
        for model in dict.fromkeys(o.model for o in outcomes):
            if pool and model not in named:
                raise UnknownNameError("candidate", model, named)
            candidate = named.get(model, Candidate(name=model))
            own = placed[model] if pool else self.base.weights([candidate])[:, 0]
            found[model] = (self.key(candidate), own)
        return found

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """Manifest and arrays of an artifact that holds what was learned so far."""
        old = self._opened.manifest
        manifest = {
            key: value
            for key, value in old.items()
            if key not in ("format", "arrays_sha256", "files_sha256")
        }
        with self._lock:
            learned, stated = self._state()
        manifest |= {
            "base": old.get("base", old["router"]),
            "router": self.NAME,
            "live": stated,
        }
        kept = {k: a for k, a in self._opened.arrays.items() if not k.startswith(PREFIX)}
        return manifest, kept | {f"{PREFIX}{k}": a for k, a in learned.items()}

    @classmethod
    def from_artifact(cls, opened: OpenedArtifact) -> Self:
        """The router that an artifact describes."""
        raise NotImplementedError

    def _correction(self, rows: Floats, keys: Sequence[str]) -> tuple[Floats, list[int]]:
        """(n, m) what to add to the fitted quality, and the outcomes behind each column."""
        raise NotImplementedError

    def _learn(self, rows: Floats, keys: Sequence[str], residual: Floats) -> None:
        """Take in n outcomes; called under the lock."""
        raise NotImplementedError

    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays of what was learned, and what the manifest says of it."""
        raise NotImplementedError


def _check(outcome: Outcome) -> None:
    if not isinstance(outcome.prompt, str) or not outcome.prompt.strip():
        raise DataError("prompt", outcome.prompt, "give the text that was sent to the model")
    if not 0.0 <= outcome.score <= 1.0:  # NaN is refused too
        raise DataError(
            "score", outcome.score, f"give a number from 0 to 1 (model {outcome.model!r})"
        )


def live_arrays(arrays: Arrays) -> Arrays:
    """Those that were learned while serving, without their prefix."""
    return {k.removeprefix(PREFIX): a for k, a in arrays.items() if k.startswith(PREFIX)}
