"""Any number of models, by what a caller says that quality is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.policies.base import Choice, require_prices
from turnout.policies.hull import best_value
from turnout.types import PICO, Candidate, Prediction


@dataclass(frozen=True, slots=True)
class WorthPolicy:
    """The candidate whose predicted quality, at `usd_per_quality`, is worth most after its price.

    `usd_per_quality` is what a good answer is worth in place of one that is no good. Nothing is
    measured or promised: it is as good as the predicted qualities are.
    """

    usd_per_quality: float
    name: str = "worth"

    def __post_init__(self) -> None:
        if not 0.0 < self.usd_per_quality < float("inf"):
            raise InputError("usd_per_quality", self.usd_per_quality, "give USD above 0")

    def pick(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """(n,) column worth most; a tie goes to the cheaper, then to the earlier candidate.

        Raises:
            InputError: a candidate has no price.
        """
        require_prices(candidates, cost_picousd)
        quality = prediction.quality.astype(np.float64)
        return best_value(quality, cost_picousd / PICO, self.usd_per_quality)

    def choose(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> Choice:
        """Choose per query; see `pick`."""
        index = self.pick(prediction, candidates, cost_picousd)
        reasons = tuple(
            f"{candidates[j].name}: expected quality {prediction.quality[i, j]:.3f} for "
            f"{cost_picousd[i, j] / PICO:.6f} USD is worth most at {self.usd_per_quality:g} USD "
            "for a good answer"
            for i, j in enumerate(index)
        )
        return Choice(index=index, code=("worth_most",) * len(index), reason=reasons)
