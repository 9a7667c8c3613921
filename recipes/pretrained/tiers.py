"""Six tiers of ability, the scores of each on every prompt, and where named models stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Scale, Vector
from pretrained.names import aliases
from pretrained.outcomes import Cells

EDGES = np.asarray([-1.2, -0.45, 0.4, 1.25, 3.2])
"""Borders of the tiers on the scale of abilities; reasoning models are above the last."""
CENTRES = np.asarray([-1.7, -0.85, 0.0, 0.8, 1.9, 4.8])
"""Ability that stands for a tier."""
TIERS = tuple(f"tier-{k}" for k in range(len(CENTRES)))

LEAST_OUTCOMES = 300
"""A model with fewer has no measured place."""
STRONG_PERCENTILE, WEAK_PERCENTILE = 85.0, 50.0
"""Where unknown models stand among the measured ones. A name that was not measured is mostly newer
than the data, and many measured ones are small or old: the median (at GPT-3.5 Turbo) is a cautious
place for a cheap model of today, and the 85th percentile (at GPT-4o) one for a strong model."""


def position(ability: float) -> float:
    """Place on the ladder, 0 to 5, of an ability: linear between tier centres, clipped."""
    return float(np.interp(ability, CENTRES, np.arange(len(CENTRES))))


def tier_means(cells: Cells, scale: Scale, values: Vector) -> tuple[Vector, Vector]:
    """(n, 6) mean value of a tier's models on each prompt, NaN where none, and how many there are.

    Args:
        cells: outcomes.
        scale: of the same cells; entries off their model's line are left out.
        values: (c,) of each cell, NaN where unknown.
    """
    tier = np.digitize([scale.ability[name] for name in cells.entry_name], EDGES)
    use = scale.sound[cells.by] & np.isfinite(values)
    flat = cells.at[use] * len(CENTRES) + tier[cells.by[use]]
    size = cells.n * len(CENTRES)
    count = np.bincount(flat, minlength=size).astype(np.float64)
    total = np.bincount(flat, values[use], minlength=size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    shape = (cells.n, len(CENTRES))
    return mean.reshape(shape), count.reshape(shape)


def measured_positions(cells: Cells, scale: Scale) -> dict[str, float]:
    """Canonical name → position, of models with enough outcomes on more than tool calls."""
    count = np.bincount(cells.by, minlength=len(cells.entry_name))
    found = {}
    for name in sorted(scale.ability):
        entries: NDArray[np.bool_] = cells.entry_name == name
        sets = set(cells.entry_set[entries].tolist())
        if count[entries].sum() >= LEAST_OUTCOMES and sets != {"bfcl_2024_08"}:
            found[name] = round(position(scale.ability[name]), 3)
    return found


def ladder(positions: dict[str, float]) -> dict[str, float]:
    """Every key under which a measured model is found → position. Own names beat aliases."""
    keys = {alias: place for name, place in positions.items() for alias in aliases(name)}
    keys |= {aliases(name)[0]: place for name, place in positions.items()}
    return dict(sorted(keys.items()))


def priors(positions: dict[str, float]) -> tuple[float, float]:
    """Positions of an unknown strong and an unknown weak model."""
    values = list(positions.values())
    return (
        round(float(np.percentile(values, STRONG_PERCENTILE)), 2),
        round(float(np.percentile(values, WEAK_PERCENTILE)), 2),
    )
