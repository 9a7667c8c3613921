"""How near a prompt is to the kinds of prompts that were fitted on: 1 like one of them, 0 like none.

A Gaussian a source, its covariance drawn to that within all sources; the largest of their log
densities less that of one Gaussian of all prompts (relative Mahalanobis distance, Ren et al. 2021).
What a density means is read from a table that was learned with sources left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from turnout.routers.arrays import Array, Arrays
from turnout.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """k dimensions of the rows, s sources, and the Gaussian of all as the last of s + 1."""

    project_: Floats
    """(d, k)"""
    whiten_: Floats
    """(s + 1, k, k) to coordinates in which the Gaussian is the standard one."""
    centre_: Floats
    """(s + 1, k) its mean there."""
    volume_: Floats
    """(s + 1,) log of the determinant of `whiten_`."""
    knots_: Floats
    """(t,) relative log densities, rising."""
    near_: Floats
    """(t,) chance at the knots that such a prompt is of a kind that was fitted on."""

    def near(self, rows: Floats) -> Floats:
        """(n,) chance that a row is of a known kind, where known and unknown are as likely."""
        return np.interp(self.density(rows), self.knots_, self.near_).astype(np.float32)

    def density(self, rows: Floats) -> Array:
        """(n,) log density by the nearest source, relative to that by all prompts."""
        z = np.einsum("nk,skj->snj", rows @ self.project_, self.whiten_) - self.centre_[:, None]
        each = self.volume_[:, None] - 0.5 * np.einsum("snj,snj->sn", z, z)
        found: Array = each[:-1].max(axis=0) - each[-1]
        return found

    def arrays(self) -> Arrays:
        """The numbers, by name."""
        return {f.name.removesuffix("_"): getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Kinds:
        """What `arrays` came from.

        Raises:
            KeyError: an array is missing.
        """
        return cls(**{f.name: arrays[f.name.removesuffix("_")] for f in fields(cls)})
