"""One vector space of queries and models: quality = sigmoid(model vector · query factors).

Multidimensional item response theory (Reckase 2009) with the item parameters predicted from the
text, as IRT-Router (Song et al. 2025) and EmbedLLM (Zhuang et al. 2024) do. The first factor of
every query is 1, so a vector's first coordinate is the model's ability; a new model is one more
vector, found by logistic regression on a few labelled prompts under the prior of known models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from turnout.errors import InputError
from turnout.routers.arrays import Array, Arrays, sigmoid
from turnout.types import Floats

STEPS = 50
LARGEST_STEP = 2.0
"""Of any coordinate in one Newton step; far starts would overshoot otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpace:
    """M models as vectors of K coordinates."""

    names: tuple[str, ...]
    """M distinct normalised keys; the arm of an effort is `model@effort`."""
    basis: tuple[str, ...]
    """M short texts: what each vector rests on."""
    vectors_: Floats
    """(M, K) posterior means."""
    spread_: Floats
    """(M, K) posterior standard deviations."""
    prior_mean_: Floats
    """(K,) of a model that nothing is known of."""
    prior_cov_: Floats
    """(K, K)"""
    tokens_: Floats
    """(M,) log of output tokens less the log expected of a query; NaN where unknown."""
    seen_: Floats
    """(M,) outcomes behind each vector."""

    def __post_init__(self) -> None:
        m, k = len(self.names), len(self.prior_mean_)
        stated = {"basis": (len(self.basis),)} | {
            name: getattr(self, name).shape for name in _ARRAYS
        }
        right = {
            "basis": (m,),
            "vectors_": (m, k),
            "spread_": (m, k),
            "prior_mean_": (k,),
            "prior_cov_": (k, k),
            "tokens_": (m,),
            "seen_": (m,),
        }
        for name, shape in right.items():
            if stated[name] != shape:
                raise ValueError(f"{name}: shape {stated[name]}, expected {shape}")
        if len(set(self.names)) != m:
            raise ValueError("names: they are not distinct")

    @property
    def prior_spread(self) -> Floats:
        """(K,) standard deviations of the prior."""
        return np.sqrt(np.diag(self.prior_cov_)).astype(np.float32)

    def with_model(
        self,
        name: str,
        mean: Array,
        cov: Array,
        *,
        seen: float,
        tokens: float = float("nan"),
        basis: str = "",
    ) -> ModelSpace:
        """The space with one model more, or with another vector for one that it holds.

        Args:
            name: normalised key.
            mean: (K,) vector.
            cov: (K, K) posterior covariance, or (K,) standard deviations.
            seen: outcomes behind the vector.
            tokens: log offset of its output tokens; NaN is unknown.
            basis: what the vector rests on; a vector from no outcomes starts with "prior: ".

        Raises:
            InputError: a shape that is not the space's, or numbers that are not finite.
        """
        k = len(self.prior_mean_)
        spread = np.sqrt(np.diag(cov)) if np.ndim(cov) == 2 else np.asarray(cov)
        for field, values in (("mean", np.asarray(mean)), ("cov", spread)):
            if values.shape != (k,) or not np.isfinite(values).all():
                raise InputError(
                    field, f"of shape {values.shape}", f"give {k} finite numbers, one a factor"
                )
        keep = [i for i, known in enumerate(self.names) if known != name]

        def joined(old: Floats, new: Array | float) -> Floats:
            return np.concatenate([old[keep], np.asarray([new], dtype=np.float32)])

        return ModelSpace(
            names=(*(self.names[i] for i in keep), name),
            basis=(*(self.basis[i] for i in keep), basis or f"outcomes of {name}"),
            vectors_=joined(self.vectors_, mean),
            spread_=joined(self.spread_, spread),
            prior_mean_=self.prior_mean_,
            prior_cov_=self.prior_cov_,
            tokens_=joined(self.tokens_, tokens),
            seen_=joined(self.seen_, seen),
        )

    def arrays(self) -> Arrays:
        """The numbers, by name; names and bases belong to the manifest."""
        return {name.removesuffix("_"): getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, names: Sequence[str], basis: Sequence[str], arrays: Arrays) -> ModelSpace:
        """The space that `arrays` came from.

        Raises:
            KeyError: an array is missing.
            ValueError: shapes do not agree.
        """
        found = {name: arrays[name.removesuffix("_")].astype(np.float32) for name in _ARRAYS}
        return cls(names=tuple(names), basis=tuple(basis), **found)


_ARRAYS = tuple(f.name for f in fields(ModelSpace) if f.name.endswith("_"))


def fit_vector(
    factors: Array,
    score: Array,
    prior_mean: Array,
    prior_cov: Array,
    offset: Array | None = None,
) -> tuple[Floats, Floats]:
    """A model's vector from its scores: Bayesian logistic regression by Laplace's approximation.

    Args:
        factors: (a, K) of the prompts, a >= 0; none leaves the prior.
        score: (a,) in [0, 1]; fractions count as that part of a success.
        prior_mean: (K,)
        prior_cov: (K, K), positive definite.
        offset: (a,) fixed part of the logit.

    Returns:
        (K,) mean and (K, K) covariance.

    Raises:
        InputError: shapes that do not agree, or a score that is not in [0, 1].
    """
    x, y = np.asarray(factors, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1] or x.shape[1] != len(prior_mean):
        raise InputError(
            "factors", x.shape, f"give one row a score ({len(y)}) of {len(prior_mean)} factors"
        )
    if not ((y >= 0.0) & (y <= 1.0)).all():
        raise InputError("score", "outside [0, 1] or not a number", "give qualities from 0 to 1")
    precision = np.linalg.inv(np.asarray(prior_cov, dtype=np.float64))
    start = np.asarray(prior_mean, dtype=np.float64)
    fixed = np.zeros(len(y)) if offset is None else np.asarray(offset, dtype=np.float64)
    theta, bend = start.copy(), precision
    best = _loss(theta, x, y, fixed, start, precision)
    for _ in range(STEPS):
        p = sigmoid(fixed + x @ theta)
        pull = x.T @ (y - p) - precision @ (theta - start)
        bend = (x * (p * (1.0 - p))[:, None]).T @ x + precision
        step = np.clip(np.linalg.solve(bend, pull), -LARGEST_STEP, LARGEST_STEP)
        # Halved until the posterior rises: fractional scores and far priors can overshoot.
        for _ in range(20):
            loss = _loss(theta + step, x, y, fixed, start, precision)
            if loss <= best:
                break
            step = step / 2.0
        theta, best = theta + step, loss
        if float(np.abs(step).max()) < 1e-7:
            break
    return theta.astype(np.float32), np.linalg.inv(bend).astype(np.float32)


def _loss(theta: Array, x: Array, y: Array, fixed: Array, start: Array, precision: Array) -> float:
    z = fixed + x @ theta
    off = theta - start
    return float((np.logaddexp(0.0, z) - y * z).sum() + 0.5 * off @ precision @ off)
