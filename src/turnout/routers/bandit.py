"""`bandit`: a Bayesian linear correction of a fitted router, for each model, learned online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from turnout.errors import InputError
from turnout.routers.arrays import Array, Arrays, unit
from turnout.routers.base import OpenedArtifact
from turnout.routers.learning import LearningRouter, live_arrays
from turnout.routers.trained import TrainedRouter
from turnout.types import Candidate, Floats, Query

DIMENSION = 64
"""Columns of the random projection: few, so that tens of outcomes say something."""
PRIOR_SD = 0.2
"""How far the fitted router is expected to be off on prompts of one kind."""
LEVEL_SD = 0.1
"""How far off on all prompts alike. As wide as `PRIOR_SD`, it would take half of what is learned on one
kind of prompts to all others."""
NOISE_SD = 0.4
"""Spread of one score about a model's quality; a coin's is 0.5."""
MODES = ("thompson", "linucb")


@dataclass(frozen=True, slots=True)
class Arm:
    """Posterior of one model's weights over [1, z]: immutable."""

    mean: Array
    """(p,)"""
    covariance: Array
    """(p, p)"""
    seen: int

    @classmethod
    def prior(cls, p: int) -> Arm:
        """No correction, with the spread `LEVEL_SD` of the level and `PRIOR_SD` along other axes."""
        return cls(np.zeros(p), np.diag(_prior_variance(p)), 0)

    def learned(self, z: Array, residual: float, forgetting: float) -> Arm:
        """After one outcome at (p,) `z`: a rank-1 update (Sherman-Morrison), O(p^2).

        Before it, what is known along `z` is forgotten to `forgetting` of its weight, at most to
        the prior (directional forgetting: Kulhavy 1987). Plain geometric forgetting of every
        direction would wind up those without traffic.
        """
        along = self.covariance @ z
        spread = float(z @ along)
        most = max(spread, float(z**2 @ _prior_variance(len(z))))
        widened = min(spread / forgetting, most)
        wide = self.covariance + np.outer(along, along) * ((widened - spread) / spread**2)
        along *= widened / spread
        gain = along / (NOISE_SD**2 + widened)
        covariance = wide - np.outer(gain, along)
        mean = self.mean + gain * (residual - float(z @ self.mean))
        return Arm(mean, (covariance + covariance.T) / 2.0, self.seen + 1)


def _prior_variance(p: int) -> Array:
    variance = np.full(p, PRIOR_SD**2)
    variance[0] = LEVEL_SD**2
    return variance


class BanditRouter(LearningRouter):
    """Quality = the fitted router's + the posterior mean of a linear correction.

    The prior mean of the correction is 0: the offline router is the prior. It is learned on a
    random projection of the router's own input row. For exploring, `samples` gives draws of the
    posterior (Thompson sampling: Agrawal and Goyal 2013, arXiv:1209.3352) or the upper bound
    (LinUCB: Li et al. 2010, arXiv:1003.0146). Forgetting is geometric along each outcome's row, after
    ParetoBandit, which forgets in all directions.

    Args:
        mode: `thompson` or `linucb`; what `samples` gives.
        alpha: standard deviations of LinUCB's bound.
        forgetting: in (0, 1]; 1 forgets nothing, 0.99 remembers about 100 outcomes of a model.
        seed: of the projection.
    """

    NAME: ClassVar[str] = "bandit"

    def __init__(
        self,
        base: TrainedRouter,
        opened: OpenedArtifact,
        *,
        mode: str = "thompson",
        alpha: float = 1.0,
        forgetting: float = 1.0,
        seed: int = 0,
    ) -> None:
        if mode not in MODES:
            raise InputError("mode", mode, f"give one of {', '.join(MODES)}")
        if not 0.0 <= alpha < float("inf"):
            raise InputError("alpha", alpha, "give a number that is not negative")
        if not 0.0 < forgetting <= 1.0:
            raise InputError("forgetting", forgetting, "give a number above 0, at most 1")
        super().__init__(base, opened)
        self.mode, self.alpha, self.forgetting = mode, float(alpha), float(forgetting)
        d = len(base.inputs.shift)
        rng = np.random.default_rng(seed)
        self._projection = (rng.standard_normal((d, DIMENSION)) / DIMENSION**0.5).astype(np.float32)
        self._arms: Mapping[str, Arm] = {}

    @classmethod
    def from_artifact(
        cls,
        opened: OpenedArtifact,
        mode: str = "thompson",
        alpha: float = 1.0,
        forgetting: float = 1.0,
        seed: int = 0,
    ) -> Self:
        """Over the artifact of any head, or one that this router wrote, with its posterior."""
        made = cls(
            cls._base(opened), opened, mode=mode, alpha=alpha, forgetting=forgetting, seed=seed
        )
        kept = live_arrays(opened.arrays) if opened.manifest["router"] == cls.NAME else {}
        if kept:
            made._projection = kept["projection"]
            made._arms = {
                name: Arm(kept["mean"][i], kept["covariance"][i], int(kept["seen"][i]))
                for i, name in enumerate(opened.manifest["live"]["models"])
            }
        return made

    def samples(
        self,
        query: Query,
        candidates: Sequence[Candidate],
        prediction: Floats,
        rng: np.random.Generator,
        draws: int,
    ) -> Floats:
        """(draws, m) qualities about the (m,) prediction; of LinUCB all rows are the bound."""
        z = self._z(self.base.inputs.rows([query.text]))[0]
        arms = self._arms
        none = Arm.prior(len(z))
        spread = np.asarray(
            [
                np.sqrt(max(0.0, float(z @ arms.get(self.key(c), none).covariance @ z)))
                for c in candidates
            ]
        )
        if self.mode == "linucb":
            bound = prediction + self.alpha * spread
            return np.asarray(np.broadcast_to(bound, (draws, len(bound))), dtype=np.float32)
        # Models have weights of their own, so at one query their qualities are independent.
        drawn = prediction + spread * rng.standard_normal((draws, len(spread)))
        return np.asarray(drawn, dtype=np.float32)

    def _z(self, rows: Floats) -> Array:
        """(n, p) rows of [1, projection]."""
        flat = unit(rows) @ self._projection
        return np.concatenate([np.ones((len(rows), 1)), flat], axis=1)

    def _learn(self, rows: Floats, keys: Sequence[str], residual: Floats) -> None:
        arms = dict(self._arms)
        for z, key, error in zip(self._z(rows), keys, residual.tolist(), strict=True):
            arm = arms.get(key) or Arm.prior(len(z))
            arms[key] = arm.learned(z, error, self.forgetting)
        self._arms = arms

    def _correction(self, rows: Floats, keys: Sequence[str]) -> tuple[Floats, list[int]]:
        arms, z = self._arms, self._z(rows)
        shift = np.zeros((len(rows), len(keys)), dtype=np.float32)
        for j, key in enumerate(keys):
            if key in arms:
                shift[:, j] = z @ arms[key].mean
        return shift, [arms[key].seen if key in arms else 0 for key in keys]

    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        arms, p = self._arms, self._projection.shape[1] + 1
        arrays: Arrays = {
            "projection": self._projection,
            "mean": np.asarray([a.mean for a in arms.values()]).reshape(-1, p),
            "covariance": np.asarray([a.covariance for a in arms.values()]).reshape(-1, p, p),
            "seen": np.asarray([a.seen for a in arms.values()], dtype=np.int64),
        }
        return arrays, {"models": list(arms), "outcomes": sum(a.seen for a in arms.values())}
