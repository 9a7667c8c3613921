"""How near a prompt is to the kinds of prompts that were fitted on: 1 like one of them, 0 like none.

A Gaussian a source, its covariance drawn to that within all sources; the largest of their log
densities less that of one Gaussian of all prompts (relative Mahalanobis distance, Ren et al. 2021).
What a density means is read from a table that was learned with sources left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

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
    _whiten: Floats = field(init=False, repr=False, compare=False)
    """(k, (s + 1) k) `whiten_`, side by side: one product for all Gaussians."""

    def __post_init__(self) -> None:
        side_by_side = self.whiten_.transpose(1, 0, 2).reshape(self.whiten_.shape[1], -1)
        object.__setattr__(self, "_whiten", np.ascontiguousarray(side_by_side))

    def near(self, rows: Floats) -> Floats:
        """(n,) chance that a row is of a known kind, where known and unknown are as likely."""
        return np.interp(self.density(rows), self.knots_, self.near_).astype(np.float32)

    def density(self, rows: Floats) -> Array:
        """(n,) log density by the nearest source, relative to that by all prompts."""
        z = (rows @ self.project_ @ self._whiten).reshape(len(rows), *self.centre_.shape)
        z -= self.centre_
        each = self.volume_ - 0.5 * np.vecdot(z, z)
        found: Array = np.maximum.reduce(each[:, :-1], axis=1) - each[:, -1]
        return found

    def arrays(self) -> Arrays:
        """The numbers, by name."""
        return {name.removesuffix("_"): getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Kinds:
        """What `arrays` came from.

        Raises:
            KeyError: an array is missing.
        """
        return cls(**{name: arrays[name.removesuffix("_")] for name in _ARRAYS})


_ARRAYS = tuple(f.name for f in fields(Kinds) if f.init)
