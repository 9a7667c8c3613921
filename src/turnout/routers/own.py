"""What a fit of the user's outcomes adds to the vector space: a head, averaged with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.base import Encoder
from turnout.routers.arrays import Arrays
from turnout.routers.base import Head
from turnout.routers.ensemble import Blend
from turnout.routers.inputs import Inputs, RawRows
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A head fitted on the user's prompts, over rows of its own. m models, by key of the space.

    Quality = Platt of share times the head's quality plus the rest times the space's.
    """

    keys: tuple[str, ...]
    inputs: Inputs
    head: Head
    share_: Floats
    """One number in [0, 1]: how much the head counts."""
    platt: Platt
    known: Reference
    """Of the user's prompts, m columns, predicted out of fold by both together."""

    def __post_init__(self) -> None:
        m = len(self.keys)
        if not m == self.known.predicted.shape[1] == len(self.platt.slope_):
            raise ValueError(f"own: {m} keys, but arrays of other models")
        if not 0.0 <= float(self.share_.item()) <= 1.0:
            raise ValueError(f"own: share {self.share_.item()} is not in [0, 1]")

    def columns(self, keys: Sequence[str | None]) -> tuple[int | None, ...]:
        """Which of the m models each key is; None for one that was not among the outcomes."""
        place = {key: j for j, key in enumerate(self.keys)}
        return tuple(None if key is None else place.get(key) for key in keys)

    def quality(self, raw: RawRows, space: Floats, columns: NDArray[np.intp]) -> Floats:
        """(n, c) quality by both together.

        Args:
            raw: n prompts.
            space: (n, c) quality by the space alone.
            columns: (c,) of the m models.
        """
        share = np.float32(self.share_.item())
        if share > 0.0:
            head = self.head.predict(self.inputs.of_raw(raw))[:, columns]
            space = share * head + (np.float32(1.0) - share) * space
        return Platt(self.platt.slope_[columns], self.platt.bias_[columns]).apply(space)

    def reference(self, columns: Sequence[int]) -> Reference:
        """What is known of some of the m models from the user's prompts."""
        mix = np.zeros((len(self.keys), len(columns)), dtype=np.float32)
        mix[list(columns), np.arange(len(columns))] = 1.0
        return self.known.mix(mix)

    def arrays(self) -> Arrays:
        """What was learned, by name; the keys belong to the manifest."""
        return {
            "share": self.share_,
            **{f"inputs/{k}": a for k, a in self.inputs.arrays().items()},
            **{f"head/{k}": a for k, a in self.head.arrays().items()},
            **{f"platt/{k}": a for k, a in self.platt.arrays().items()},
            **{f"reference/{k}": a for k, a in self.known.arrays().items()},
        }

    @classmethod
    def from_arrays(cls, keys: Sequence[str], encoder: Encoder, arrays: Arrays) -> Own:
        """What `arrays` came from.

        Raises:
            KeyError: an array is missing.
            ValueError: arrays that are not of these models.
        """
        return cls(
            keys=tuple(keys),
            inputs=Inputs.from_arrays(encoder, part(arrays, "inputs/"), mend=False),
            head=Blend.from_arrays(part(arrays, "head/")),
            share_=np.asarray(arrays["share"], dtype=np.float32),
            platt=Platt.from_arrays(part(arrays, "platt/")),
            known=Reference.from_arrays(part(arrays, "reference/")),
        )


def part(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays below a prefix, without it."""
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
