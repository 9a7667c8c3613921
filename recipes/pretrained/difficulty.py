"""Fit the head of `blend`: difficulty from sign-stable features, and a correction that fades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Vector
from pretrained.material import Material, unit_weights
from pretrained.tiers import CENTRES
from turnout.features import FEATURES
from turnout.routers.difficulty import CLIP, Difficulty
from turnout.routers.inputs import Inputs
from turnout.types import Floats

STABLE = (
    "log_chars log_words log_stem_words options_numeric log_numbers decimals math_share latex"
    " word_length log_sentences sentence_words log_newlines commas compute negation condition"
    " multiplicative"
).split()
"""Features whose slope with difficulty inside a unit keeps its sign over the units."""
PRIOR = {"log_stem_words": 0.5, "log_sentences": 0.5}
"""Weights that are not fitted: longer questions are harder, on every source."""
PENALTY = 0.3
CLUSTERS = 128
TEMPERATURE = 12.0
PSEUDO = 30.0
BOUND = 6.0
"""Standard deviations at which a feature is clipped before the head; the fitted part clips at 3."""
GAIN_SLOPE, GAIN_SHIFT = 0.75, 1.5
"""Of the order that leave-one-source-out chose: quality = sigmoid(0.75 (ability + 1.5 - d))."""


def fit_difficulty(material: Material, use: NDArray[np.bool_]) -> tuple[Inputs, Difficulty]:
    """Fit to the rows in use; units weigh the same."""
    features = material.raw.features[use].astype(np.float64)
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    inputs = _inputs(material, mean, spread)
    z = np.clip((features - mean) / spread, -CLIP, CLIP)
    vectors = material.raw.vectors[use]
    target = material.difficulty[use]
    coef, bias = _ridge(z, target, unit_weights(material.unit[use]))
    centres, label = spherical_clusters(vectors, min(CLUSTERS, len(vectors) // 4), seed=0)
    residual = target - (z @ coef + bias)
    prior = np.zeros(len(FEATURES))
    for name, weight in PRIOR.items():
        prior[FEATURES.index(name)] = weight
    head = Difficulty(
        coef_=coef.astype(np.float32),
        prior_=prior.astype(np.float32),
        bias_=bias,
        centres_=centres,
        count_=np.bincount(label, minlength=len(centres)).astype(np.float32),
        total_=np.bincount(label, residual, len(centres)).astype(np.float32),
        temperature=TEMPERATURE,
        pseudo=PSEUDO,
        level_=np.zeros(len(CENTRES), dtype=np.float32),
        slope_=0.0,
    )
    return inputs, gain_levels(head)


def gain_levels(head: Difficulty) -> Difficulty:
    """The head with the levels that keep the order chosen by leave-one-source-out."""
    level = GAIN_SLOPE * (CENTRES + GAIN_SHIFT)
    return replace(head, level_=level.astype(np.float32), slope_=GAIN_SLOPE)


def spherical_clusters(
    rows: Floats, k: int, *, seed: int, rounds: int = 20
) -> tuple[Floats, NDArray[np.intp]]:
    """(k, d) unit centres and (n,) labels; an empty cluster takes a row that is served worst."""
    centres = rows[np.random.default_rng(seed).choice(len(rows), k, replace=False)].copy()
    label = np.zeros(len(rows), dtype=np.intp)
    for _ in range(rounds):
        cosine = rows @ centres.T
        label = cosine.argmax(axis=1)
        best = cosine[np.arange(len(rows)), label]
        fresh = np.zeros_like(centres)
        np.add.at(fresh, label, rows)
        empty = np.flatnonzero(np.bincount(label, minlength=k) == 0)
        fresh[empty] = rows[np.argsort(best, kind="stable")[: len(empty)]]
        centres = fresh / np.maximum(np.linalg.norm(fresh, axis=1, keepdims=True), 1e-9)
    return centres, label


def _ridge(z: Vector, target: Vector, weight: Vector) -> tuple[Vector, float]:
    """(f,) coefficients, 0 for features that are not stable, and the bias."""
    columns = [FEATURES.index(name) for name in STABLE]
    x = z[:, columns]
    x_mean, y_mean = weight @ x, float(weight @ target)
    centred = x - x_mean
    curvature = (centred.T * weight) @ centred + PENALTY * np.eye(len(columns))
    beta = np.linalg.solve(curvature, (centred.T * weight) @ (target - y_mean))
    coef = np.zeros(len(FEATURES))
    coef[columns] = beta
    return coef, float(y_mean - x_mean @ beta)


def _inputs(material: Material, mean: Vector, spread: Vector) -> Inputs:
    """Vectors as they are, features standardised."""
    d = material.raw.encoder.dimension
    return Inputs(
        encoder=material.raw.encoder,
        lexical=None,
        shift=np.concatenate([np.zeros(d), mean]).astype(np.float32),
        scale=np.concatenate([np.ones(d), 1.0 / spread]).astype(np.float32),
        bound=np.full(len(FEATURES), BOUND, dtype=np.float32),
    )
