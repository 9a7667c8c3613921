"""RouteLLM's rule: the strong model where its win rate reaches the threshold, else the weak one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.policies.base import Choice
from turnout.types import Candidate, Floats, Prediction


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """Strong where win rate >= `threshold` (RouteLLM, arXiv:2406.18665, section 3.1)."""

    threshold: float
    name: str = "threshold"

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise InputError("threshold", self.threshold, "give a number from 0 to 1")

    def pick(
        self,
        prediction: Prediction,
        candidates: Sequence[Candidate],
        cost_picousd: NDArray[np.float64],  # noqa: ARG002 - the rule looks at quality alone
    ) -> NDArray[np.intp]:
        """(n,) column of the strong or the weak candidate; see `choose`."""
        return self._of(_win_rate(prediction, candidates))

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
        win_rate = _win_rate(prediction, candidates)
        index = self._of(win_rate)
        strong, weak = candidates[0].name, candidates[1].name
        codes = ("win_rate_reaches_threshold", "win_rate_below_threshold")
        bounds = (f", at least {self.threshold:g}", f" only, below {self.threshold:g}")
        sentence = prediction.pair.sentence
        return Choice(
            index=index,
            code=tuple(codes[j] for j in index.tolist()),
            reason=tuple(
                sentence(rate, strong, weak) + bounds[j]
                for rate, j in zip(win_rate.tolist(), index.tolist(), strict=True)
            ),
            win_rate=win_rate,
        )

    def _of(self, win_rate: Floats) -> NDArray[np.intp]:
        return (~(win_rate >= self.threshold)).astype(np.intp)


def _win_rate(prediction: Prediction, candidates: Sequence[Candidate]) -> Floats:
    if len(candidates) != 2:
        raise InputError(
            "candidates", [c.name for c in candidates], "a threshold chooses between two models"
        )
    return prediction.win_rate(candidates[0].name, candidates[1].name)
