"""The seam between prediction and decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.types import Candidate, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a policy chose for n queries."""

    index: NDArray[np.intp]
    """(n,) column of the chosen candidate."""
    code: tuple[str, ...]
    """n machine-readable reasons."""
    reason: tuple[str, ...]
    """n sentences."""
    win_rate: NDArray[np.float32] | None = None
    """(n,) win rate of the strong over the weak candidate, for two-model policies."""


class Policy(Protocol):
    """Chooses one candidate per query."""

    @property
    def name(self) -> str:
        """Such as `threshold`."""
        ...

    def pick(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """(n,) columns that `choose` would choose, without saying why: for millions of queries."""
        ...

    def choose(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> Choice:
        """Choose per query.

        Args:
            prediction: of n queries and m candidates.
            candidates: the m candidates, strongest first.
            cost_picousd: (n, m) expected price of each call; NaN where no price is known.
        """
        ...


def require_prices(candidates: Sequence[Candidate], cost_picousd: NDArray[np.float64]) -> None:
    """Check that the (n, m) expected prices of m candidates are known.

    Raises:
        InputError: one is not; it names the first candidate without a price.
    """
    unpriced = np.isnan(cost_picousd).any(axis=0)
    if unpriced.any():
        remedy = "give a price for this model, in the settings or with --price"
        raise InputError("price", candidates[int(unpriced.argmax())].name, remedy)
