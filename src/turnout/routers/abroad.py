"""What to expect of a prompt whose kind was not fitted on: one difficulty of it, one ability a model.

A Rasch model (Rasch 1960) with the difficulty predicted from the text. How far such predictions are
off on sources that were left out is part of the prediction: the chance of success is a mean over
those errors, so that it is as vague as the prediction is. Averaged with the space, which says more of
each model and is surer than it may be where nothing like the prompt was seen: the nearer a prompt is
to a kind that was fitted on, the more the space counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from turnout.routers.arrays import Array, Arrays
from turnout.routers.kinds import Kinds
from turnout.routers.own import part
from turnout.types import Floats

GRID = np.linspace(-9.0, 9.0, 181)
"""Of ability less difficulty, in logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abroad:
    """M models that it is known of, and the map from a text's numbers to its difficulty."""

    names: tuple[str, ...]
    """M keys of the space."""
    ability_: Floats
    """(M,) in logits, on the scale of the difficulties."""
    difficulty_: Floats
    """(d + p + 1,) weights of the rows, of the prototypes' shares, and the constant."""
    chance_: Floats
    """(181,) of success on `GRID`."""
    share_: Floats
    """One number: how much the space counts far from all that was fitted on."""
    kinds: Kinds

    def abilities(self, keys: Sequence[str | None]) -> Floats:
        """(m,) of some keys of the space; NaN where the space alone speaks."""
        known = dict(zip(self.names, self.ability_.tolist(), strict=True))
        found = [np.nan if key is None else known.get(key, np.nan) for key in keys]
        return np.asarray(found, dtype=np.float32)

    def averaged(self, quality: Floats, rows: Floats, shares: Floats, ability: Floats) -> Floats:
        """(n, m) qualities by the space, averaged with those expected abroad.

        Args:
            quality: (n, m) by the space.
            rows: (n, d) of the texts.
            shares: (n, p) of their prototypes.
            ability: (m,) as `abilities` gives them; a column of NaN stays as it is.
        """
        known = np.isfinite(ability)
        if not known.any():
            return quality
        hard = difficulty(self.difficulty_, rows, shares)
        expected = np.interp(ability - hard[:, None], GRID, self.chance_)
        share = self.share(rows)[:, None]
        made = share * quality + (1.0 - share) * expected
        return np.where(known, made, quality).astype(np.float32)

    def share(self, rows: Floats) -> Floats:
        """(n,) how much the space counts."""
        least = float(self.share_.item())
        return np.asarray(least + (1.0 - least) * self.kinds.near(rows), dtype=np.float32)

    def without(self, keys: Sequence[str]) -> Abroad:
        """Without some models, whose vectors were fitted on what they will be asked."""
        keep = [i for i, name in enumerate(self.names) if name not in keys]
        return replace(self, names=tuple(self.names[i] for i in keep), ability_=self.ability_[keep])

    def arrays(self) -> Arrays:
        """What was learned, by name; the models' names belong to the manifest."""
        return {
            "ability": self.ability_.astype(np.float32),
            "difficulty": self.difficulty_.astype(np.float32),
            "chance": self.chance_.astype(np.float32),
            "share": self.share_.astype(np.float32),
            **{f"kinds/{k}": a.astype(np.float32) for k, a in self.kinds.arrays().items()},
        }

    @classmethod
    def from_arrays(cls, names: Sequence[str], arrays: Arrays) -> Abroad:
        """What `arrays` came from.

        Raises:
            KeyError: an array is missing.
            ValueError: there is not one ability a name.
        """
        if len(arrays["ability"]) != len(names):
            raise ValueError(f"ability: {len(arrays['ability'])} for {len(names)} names")
        kinds = Kinds.from_arrays(part(arrays, "kinds/"))
        return cls(names=tuple(names), kinds=kinds, **{f"{k}_": arrays[k] for k in _ARRAYS})


_ARRAYS = ("ability", "difficulty", "chance", "share")


def difficulty(weights: Array, rows: Floats, shares: Floats) -> Floats:
    """(n,) difficulties, in logits."""
    d = rows.shape[1]
    made = rows @ weights[:d] + shares @ weights[d:-1] + weights[-1]
    return np.asarray(made, dtype=np.float32)
