"""What every head is fitted on: prompts as rows, beside the scores of tiers and difficulties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Scale, Vector
from pretrained.outcomes import LINEAGE, Cells, capped
from pretrained.tiers import tier_means
from turnout.routers.inputs import RawRows

MOST_OF_UNIT = 400
"""Prompts of a unit that the heads see, so that no source dominates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """n prompts."""

    raw: RawRows
    unit: NDArray[np.str_]
    family: NDArray[np.str_]
    difficulty: Vector
    """(n,)"""
    score: Vector
    """(n, 6) mean score of a tier's models, NaN where none."""
    models: Vector
    """(n, 6) how many models that is."""
    output_tokens: Vector
    """(n, 6) mean output tokens, NaN where unknown."""
    fit: NDArray[np.bool_]
    """(n,) prompts to fit on: the train part without the one-template set."""

    @classmethod
    def of(cls, cells: Cells, scale: Scale, raw: RawRows) -> Material:
        """From outcomes without exclusions, and the rows of their prompts."""
        score, models = tier_means(cells, scale, cells.score)
        return cls(
            raw=raw,
            unit=cells.unit,
            family=cells.family,
            difficulty=scale.difficulty,
            score=score,
            models=models,
            output_tokens=tier_means(cells, scale, cells.output_tokens)[0],
            fit=cells.train & (cells.family != LINEAGE),
        )

    def balanced(self, use: NDArray[np.bool_], most: int = MOST_OF_UNIT) -> NDArray[np.bool_]:
        """(n,) the rows in use with at most `most` of a unit."""
        return capped(self.unit, use, most, seed=0)


def unit_weights(unit: NDArray[np.str_]) -> Vector:
    """(n,) weights that sum to 1 and give every unit the same."""
    _, code = np.unique(unit, return_inverse=True)
    weight = 1.0 / np.bincount(code)[code]
    return np.asarray(weight / weight.sum(), dtype=np.float64)
