"""One ability per model and one difficulty per prompt, on one scale for all outcome sets.

A Rasch model (Rasch 1960) within each set: P(score) = sigmoid(ability - difficulty). Sets are then
linked by the models that they share: ability in a set = ability + shift of the set + error, with
Huber weights, so that a model that one set ran in a broken mode cannot bend the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrained.outcomes import Cells
from turnout.routers.arrays import sigmoid

SWEEPS = 60
ROUNDS = 50
PRIOR_SD = 2.0
"""Of difficulties: it also fixes the origin of a set's scale."""
HUBER = 0.7
BROKEN = 1.3
"""An entry this far off its model's line was run in another mode: it is left out of tiers."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Abilities and difficulties."""

    ability: dict[str, float]
    """Canonical name → ability."""
    difficulty: Vector
    """(n,) of each prompt; higher is harder, NaN of one that is not in use."""
    error: Vector
    """(e,) how far an entry is off its model's line; NaN of one that is not in use."""

    @property
    def sound(self) -> NDArray[np.bool_]:
        """(e,) entries that agree with what other sets say of their model."""
        return np.asarray(np.abs(self.error) <= BROKEN)


def fit_scale(cells: Cells) -> Scale:
    """Abilities and difficulties of all cells."""
    alpha, difficulty = within_sets(cells, np.ones(cells.n, dtype=bool))
    count = np.bincount(cells.by, minlength=len(alpha)).astype(np.float64)
    ability, shift, error = link(cells.entry_set, cells.entry_name, alpha, count)
    difficulty -= np.asarray([shift[s] for s in cells.outcome_set])
    return Scale(ability=ability, difficulty=difficulty, error=error)


def within_sets(cells: Cells, use: NDArray[np.bool_]) -> tuple[Vector, Vector]:
    """Abilities (e,) of entries and difficulties (n,) of the prompts in use, each set on a scale of its own.

    Args:
        cells: of all sets.
        use: (n,) prompts; the others have no difficulty, NaN.
    """
    alpha, difficulty = np.zeros(len(cells.entry_set)), np.full(cells.n, np.nan)
    for name in np.unique(cells.outcome_set[use]):
        rows = use[cells.at] & (cells.entry_set[cells.by] == name)
        items, i = np.unique(cells.at[rows], return_inverse=True)
        entries, m = np.unique(cells.by[rows], return_inverse=True)
        alpha[entries], difficulty[items] = rasch(i, m, cells.score[rows])
    return alpha, difficulty


def rasch(item: NDArray[np.intp], model: NDArray[np.intp], score: Vector) -> tuple[Vector, Vector]:
    """Abilities (m,) and difficulties (i,) by alternating damped Newton steps on the posterior."""
    ability, difficulty = np.zeros(int(model.max()) + 1), np.zeros(int(item.max()) + 1)
    for _ in range(SWEEPS):
        p = sigmoid(ability[model] - difficulty[item])
        pull = np.bincount(model, score - p) - 0.05 * ability
        ability += np.clip(pull / (np.bincount(model, p * (1 - p)) + 0.05), -1, 1)
        p = sigmoid(ability[model] - difficulty[item])
        pull = np.bincount(item, p - score) - difficulty / PRIOR_SD**2
        difficulty += np.clip(pull / (np.bincount(item, p * (1 - p)) + 1 / PRIOR_SD**2), -1, 1)
    return ability, difficulty


def link(
    entry_set: NDArray[np.str_], entry_name: NDArray[np.str_], alpha: Vector, count: Vector
) -> tuple[dict[str, float], dict[str, float], Vector]:
    """Ability per name, shift per set, and (e,) errors, from (e,) abilities within sets."""
    sets, s = np.unique(entry_set, return_inverse=True)
    names, m = np.unique(entry_name, return_inverse=True)
    met = np.asarray([len(set(s[m == k].tolist())) for k in range(len(names))])
    links = (met > 1)[m]
    base = np.sqrt(np.minimum(count, 500) / 500)
    ability, shift = np.zeros(len(names)), np.zeros(len(sets))
    for _ in range(ROUNDS):
        error = alpha - ability[m] - shift[s]
        weight = base * np.minimum(1.0, HUBER / np.maximum(np.abs(error), 1e-9))
        ability = np.bincount(m, weight * (alpha - shift[s])) / (np.bincount(m, weight) + 0.02)
        weight = weight * links
        total = np.bincount(s, weight * (alpha - ability[m]), len(sets))
        shift = total / (np.bincount(s, weight, len(sets)) + 1e-9)
    error = alpha - ability[m] - shift[s]
    return (
        dict(zip(names.tolist(), ability.tolist(), strict=True)),
        dict(zip(sets.tolist(), shift.tolist(), strict=True)),
        error,
    )
