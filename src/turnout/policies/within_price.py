"""N models without measured operating points: best predicted quality within a price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.policies.base import Choice, require_prices
from turnout.types import Candidate, Prediction


@dataclass(frozen=True, slots=True)
class WithinPricePolicy:
    """Best predicted quality among candidates that save at least `threshold` of the price span.

    The span of a query reaches from its dearest to its cheapest candidate. 0 looks at quality
    alone, 1 calls the cheapest. For routers that have no outcomes to measure a hull on.
    """

    threshold: float
    name: str = "within_price"

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise InputError("threshold", self.threshold, "give a number from 0 to 1")

    def pick(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """(n,) column of the best predicted quality within the price; see `choose`."""
        if self.threshold > 0:
            require_prices(candidates, cost_picousd)
        cost = np.where(np.isnan(cost_picousd), np.inf, cost_picousd)
        quality = prediction.quality.astype(np.float64)
        if self.threshold > 0:
            dear, cheap = cost.max(axis=1, keepdims=True), cost.min(axis=1, keepdims=True)
            limit = dear - self.threshold * (dear - cheap)
            quality = np.where(cost <= limit * (1 + 1e-9), quality, -np.inf)
        return np.asarray(np.lexsort((cost, -quality), axis=-1)[:, 0], dtype=np.intp)

    def choose(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],
    ) -> Choice:
        """Choose per query; a tie in quality goes to the cheaper, then to the earlier candidate.

        Raises:
            InputError: `threshold` is above 0 and a candidate has no price.
        """
        index = self.pick(prediction, candidates, cost_picousd)
        names = [c.name for c in candidates]
        reasons = tuple(
            f"{names[j]} has the best predicted quality ({prediction.quality[i, j]:.3f}) of the "
            f"candidates that save {self.threshold:.0%} of the price span"
            for i, j in enumerate(index)
        )
        return Choice(index=index, code=("best_within_price",) * len(index), reason=reasons)
