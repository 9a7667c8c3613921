"""Fit the heads of `linear`, `mf`, `clusters`, `knn` and `sw_ranking` to the qualities of tiers.

They are fitted to what the scale of difficulties says of every tier (`targets`), not to the tiers'
mean scores: those have holes, differ between sets by which models ran them, and their order was
that of random on sources left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pretrained.difficulty import (
    GAIN_SHIFT,
    GAIN_SLOPE,
    PRIOR,
    fit_difficulty,
    spherical_clusters,
)
from pretrained.material import Material
from pretrained.tiers import CENTRES
from turnout.artifacts.opening import head_of
from turnout.features import FEATURES
from turnout.routers.arrays import sigmoid, unit
from turnout.routers.base import FittedHead, Head
from turnout.routers.elo import SimilarityRanking
from turnout.routers.ensemble import Blend
from turnout.routers.inputs import Inputs, fit_inputs
from turnout.routers.knn import Knn
from turnout.routers.ridge import choose_penalty
from turnout.types import Floats

PROTOTYPES = 1_024
LEAST_PROMPTS = 3
"""Prompts behind a prototype: no single prompt's vector ships."""
MOST_OF_UNIT_KNN = 1_200
"""More than the other heads see of a unit: neighbours are local, so a big source cannot dominate."""

Fit = Callable[[NDArray[np.bool_]], tuple[Inputs, Head]]
"""(n,) rows that may be used → the inputs and the head fitted on them."""


def fits(material: Material) -> dict[str, Fit]:
    """Router → how it is fitted."""
    target = targets(material)
    penalty = _penalty(material, target)
    return {
        "blend": lambda use: _blend(material, use),
        "mf": _package("mf", material, target, penalty),
        "linear": _package("linear", material, target, penalty),
        "knn": _prototyped(material, target, Knn),
        "clusters": _package("clusters", material, target, penalty),
        "sw_ranking": _prototyped(material, target, SimilarityRanking),
    }


def targets(material: Material) -> NDArray[np.float64]:
    """(n, 6) quality of each tier at the prompt's difficulty, as `blend` orders prompts.

    The weights that are not fitted (longer questions are harder) are part of the difficulty.
    """
    hard = material.difficulty.copy()
    for name, weight in PRIOR.items():
        values = material.raw.features[:, FEATURES.index(name)].astype(np.float64)
        seen = values[material.fit]
        hard += weight * (values - seen.mean()) / (seen.std() + 1e-9)
    return np.asarray(sigmoid(GAIN_SLOPE * (CENTRES + GAIN_SHIFT - hard[:, None])))


def _blend(material: Material, use: NDArray[np.bool_]) -> tuple[Inputs, Head]:
    inputs, head = fit_difficulty(material, use)
    return inputs, Blend((head,), ("difficulty",), np.ones(1, dtype=np.float32))


def _package(name: str, material: Material, target: NDArray[np.float64], penalty: float) -> Fit:
    """The package's own fit."""

    def fit(use: NDArray[np.bool_]) -> tuple[Inputs, Head]:
        use = material.balanced(use)
        inputs, rows = fit_inputs(material.raw.take(use), lexical=0)
        score = target[use].astype(np.float32)
        groups = np.arange(len(rows))
        return inputs, head_of(name).fit(rows, score, groups, seed=0, penalty=penalty)

    return fit


def _penalty(material: Material, target: NDArray[np.float64]) -> float:
    """Chosen once, by cross-validation that holds whole families out."""
    use = material.balanced(material.fit)
    rows = fit_inputs(material.raw.take(use), lexical=0)[1]
    _, families = np.unique(material.family[use], return_inverse=True)
    score = target[use].astype(np.float32)
    return choose_penalty(rows, score, families.astype(np.intp), seed=0)


def _prototyped(material: Material, target: NDArray[np.float64], kind: type[FittedHead]) -> Fit:
    """Heads that keep a vector of each prompt get averages of three prompts and more instead.

    Prompts are gathered once, looking at texts alone; which of them count is up to the fit.
    """
    gathered = material.balanced(material.fit, MOST_OF_UNIT_KNN)
    raw = material.raw.take(gathered)
    rows = unit(fit_inputs(raw, lexical=0)[1])
    label = np.full(len(gathered), -1, dtype=np.intp)
    wanted = min(PROTOTYPES, len(rows) // (2 * LEAST_PROMPTS))
    label[gathered] = spherical_clusters(rows, wanted, seed=0, rounds=12)[1]

    def fit(use: NDArray[np.bool_]) -> tuple[Inputs, Head]:
        use = use & (label >= 0)
        inputs, rows = fit_inputs(material.raw.take(use), lexical=0)
        centres, score = prototypes(unit(rows), label[use], target[use])
        return inputs, kind.fit(centres, score, np.arange(len(centres)))

    return fit


def prototypes(
    rows: Floats, label: NDArray[np.intp], score: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """(p, d) unit centres and (p, m) mean scores of labels with at least three prompts.

    Args:
        rows: (n, d) unit rows.
        label: (n,) prototype of each row. Rows of a smaller one join the nearest that is kept.
        score: (n, m), NaN where missing.
    """
    names, code, size = np.unique(label, return_inverse=True, return_counts=True)
    if (size < LEAST_PROMPTS).any() and (size >= LEAST_PROMPTS).any():
        keep = np.flatnonzero(size >= LEAST_PROMPTS)
        centres = _sums(rows, code, len(names))[keep]
        lost = size[code] < LEAST_PROMPTS
        code = code.copy()
        code[lost] = keep[np.argmax(rows[lost] @ unit(centres).T, axis=1)]
        _, code = np.unique(code, return_inverse=True)
    k = int(code.max()) + 1
    seen = np.isfinite(score)
    count = _sums(seen.astype(np.float64), code, k)
    total = _sums(np.where(seen, score, 0.0), code, k)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return unit(_sums(rows, code, k)), mean.astype(np.float32)


def _sums(values: NDArray[np.floating], code: NDArray[np.intp], k: int) -> NDArray[np.float64]:
    out = np.zeros((k, values.shape[1]))
    np.add.at(out, code, values)
    return out
