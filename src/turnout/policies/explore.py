"""`explore`: send a small, stated share of requests elsewhere, and write down how likely that was.

Off unless asked for. What a model that is never called would answer cannot be learned; the recorded
propensity lets logged outcomes be weighted by its inverse, an unbiased estimate of any other way to
choose among the candidates that had a chance (Horvitz and Thompson 1952; for contextual bandits Li
et al. 2011, arXiv:1003.5956).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.types import PICO, Floats

How = Literal["uniform", "samples"]
DRAWS = 256
"""Samples of a router from which the chance of each candidate to be best is read."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw among candidates."""

    chances: tuple[float, ...]
    """Of each candidate."""
    at: float
    """The number that was drawn, in [0, 1)."""

    @property
    def index(self) -> int:
        """Column of the candidate that it falls on."""
        chance = np.asarray(self.chances)
        found = int(np.searchsorted(np.cumsum(chance), self.at * chance.sum(), side="right"))
        return min(found, int(np.flatnonzero(chance)[-1]))  # rounding at the very end

    @property
    def propensity(self) -> float:
        """The exact chance with which it was chosen."""
        return self.chances[self.index]


@dataclass(frozen=True, kw_only=True)
class Explore:
    """How, and how often, a request goes to another candidate than the policy's choice.

    Safe to share between threads. With one seed and one order of requests, choices repeat.
    """

    share: float
    """Of requests, in (0, 1)."""
    how: How = "uniform"
    """`uniform`: another candidate, each as likely. `samples`: as often as a candidate is best in
    samples of the router (which must learn, as `bandit` does; other routers explore uniformly)."""
    most_cost_usd: float | None = None
    """Only candidates whose expected price is known and at most this are explored."""
    seed: int | None = None
    """None is fresh in each process."""
    _rng: np.random.Generator = field(init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            InputError: a share outside (0, 1), an unknown way, a limit that is not positive.
        """
        if not 0.0 < self.share < 1.0:
            raise InputError("explore.share", self.share, "give a number between 0 and 1, or none")
        if self.how not in get_args(How):
            raise InputError("explore.how", self.how, f"give one of {', '.join(get_args(How))}")
        if self.most_cost_usd is not None and not 0.0 < self.most_cost_usd < float("inf"):
            raise InputError("explore.most_cost_usd", self.most_cost_usd, "give a positive number")
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    def child_rng(self) -> np.random.Generator:
        """A generator of its own for one request's samples."""
        with self._lock:
            return np.random.default_rng(self._rng.integers(2**63))

    def choose(
        self, base: int, cost_picousd: NDArray[np.float64], samples: Floats | None = None
    ) -> tuple[int, float]:
        """The candidate to call, and the exact chance with which it was chosen.

        Args:
            base: column of the policy's choice.
            cost_picousd: (m,) expected price of each, NaN where unknown.
            samples: (draws, m) plausible qualities, for `samples`.
        """
        drawn = self.draw(base, cost_picousd, samples)
        return drawn.index, drawn.propensity

    def draw(
        self, base: int, cost_picousd: NDArray[np.float64], samples: Floats | None = None
    ) -> Drawn:
        """The same, with what it was drawn from. See `choose`."""
        chance = self.chances(base, cost_picousd, samples)
        with self._lock:
            at = self._rng.random()
        return Drawn(tuple(chance.tolist()), at)

    def chances(
        self, base: int, cost_picousd: NDArray[np.float64], samples: Floats | None = None
    ) -> NDArray[np.float64]:
        """(m,) chance of each candidate; all on `base` where no other may be explored."""
        m = len(cost_picousd)
        may = np.ones(m, dtype=bool)
        if self.most_cost_usd is not None:
            may = np.nan_to_num(cost_picousd, nan=np.inf) <= self.most_cost_usd * PICO
        chance = np.zeros(m)
        chance[base] = 1.0 - self.share
        if self.how == "samples" and samples is not None:
            may[base] = True
            allowed = np.flatnonzero(may)
            best = allowed[np.asarray(samples)[:, allowed].argmax(axis=1)]
            chance += self.share * np.bincount(best, minlength=m) / len(best)
            return chance
        may[base] = False
        others = np.flatnonzero(may)
        if len(others):
            chance[others] = self.share / len(others)
        else:
            chance[base] = 1.0
        return chance
