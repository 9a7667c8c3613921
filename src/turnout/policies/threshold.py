"""RouteLLM's rule: the strong model where its win rate reaches the threshold, else the weak one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.policies.base import Choice
from turnout.types import Candidate, Prediction


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """Strong where win rate >= `threshold` (RouteLLM, arXiv:2406.18665, section 3.1)."""

    threshold: float
    name: str = "threshold"

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise InputError("threshold", self.threshold, "give a number from 0 to 1")

    def choose(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],  # noqa: ARG002 - the rule looks at quality alone
    ) -> Choice:
        """Choose between two candidates, `candidates[0]` being the strong one.

        Raises:
            InputError: not exactly two candidates.
        """
        if len(candidates) != 2:
            raise InputError(
                "candidates", [c.name for c in candidates], "a threshold chooses between two models"
            )
        strong, weak = candidates[0].name, candidates[1].name
        win_rate = prediction.win_rate(strong, weak)
        to_strong = win_rate >= self.threshold
        codes = ("win_rate_below_threshold", "win_rate_reaches_threshold")
        return Choice(
            index=np.where(to_strong, 0, 1).astype(np.intp),
            code=tuple(codes[int(s)] for s in to_strong),
            reason=tuple(
                f"{prediction.pair.sentence(float(rate), strong, weak)}"
                f"{', at least ' if s else ' only, below '}{self.threshold:g}"
                for rate, s in zip(win_rate, to_strong, strict=True)
            ),
            win_rate=win_rate,
        )
