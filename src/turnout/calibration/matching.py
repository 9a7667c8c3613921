"""How likely the answer to one question also answers another one of much the same meaning.

After vCache (Schroeder et al. 2025, arXiv:2502.03771): P(same answer | similarity) is a logistic curve
that is learned online from pairs that were compared, and an answer is given again only where a confidence
bound on it allows that. Two things differ, because they measured better (docs/lab-notes.md). vCache
learns a curve for each kept answer, which takes six comparisons and more of each before it can serve;
here all answers of a pool share one curve, and each has an offset of its own that is drawn to 0 until its
own comparisons say otherwise. And vCache bounds errors per *request*, so that few hits may all be wrong;
here the bound is on the chance that this *hit* is wrong.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from turnout.calibration.proving import least_trials, shown_below

Values = NDArray[np.float64]

_MIDDLE, _WIDTH = 0.8, 0.1
"""Similarities are counted from here, in these steps, so that priors mean something."""
_OVERLAP_MIDDLE, _OVERLAP_WIDTH = 0.5, 0.25
_PRIOR_SD = 3.0
"""Of the curve's coefficients."""
_OFFSET_SD = 1.0
"""Of an answer's offset, in logits."""
_SIGMAS = 1.64
"""The one-sided bound on the curve, at 95%."""
_STEPS, _LONGEST_STEP = 20, 3.0
_LEAST = 20
"""Comparisons before a curve is fitted."""
_KEPT = 2_000
"""Comparisons that a pool remembers."""
_DELTA = 0.5
"""Chance that the cut is too low. It may be large: what is served needs a proof of its own."""
_EVERY = 20
"""Pairs between two scores that are tried as the cut."""
MOST_OWN = 32
"""Comparisons that one answer remembers."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Two questions that were compared by their answers."""

    similarity: float
    """Cosine of their vectors."""
    overlap: float
    """Share of their words that are in both, in [0, 1]."""
    same: bool = False
    """Whether the answers were."""

    @property
    def features(self) -> tuple[float, float, float]:
        """(1, similarity, overlap), counted from the middle."""
        return (
            1.0,
            (self.similarity - _MIDDLE) / _WIDTH,
            (self.overlap - _OVERLAP_MIDDLE) / _OVERLAP_WIDTH,
        )


@dataclass(slots=True)
class MatchCurve:
    """The curve that the answers of one pool share. Not for threads."""

    _seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _new: int = 0
    weights_: Values | None = None
    """(3,) of `Seen.features`."""
    covariance_: Values | None = None
    """(3, 3) of the weights."""

    def __len__(self) -> int:
        return len(self._seen)

    def see(self, seen: Seen) -> None:
        """Learn from a comparison; the curve is fitted again now and then."""
        self._seen.append(seen)
        self._new += 1
        if len(self._seen) >= _LEAST and self._new >= max(10, len(self._seen) // 40):
            self._new = 0
            self._fit()

    def low(self, pair: Seen, own: deque[Seen]) -> float:
        """Lower bound of the chance that a kept answer answers a question, in [0, 1).

        Args:
            pair: the question and that of the kept answer.
            own: comparisons of this kept answer.

        Returns:
            The mean over what its offset may be (MacKay 1992's approximation of a logistic curve's
            mean under a normal one); 0 while too little was compared.
        """
        if self.weights_ is None or self.covariance_ is None:
            return 0.0
        x = np.asarray(pair.features)
        mean = float(x @ self.weights_)
        mean -= _SIGMAS * math.sqrt(max(0.0, float(x @ self.covariance_ @ x)))
        offset, variance = self._offset(own)
        return _logistic((mean + offset) / math.sqrt(1.0 + math.pi * variance / 8.0))

    def _offset(self, own: deque[Seen]) -> tuple[float, float]:
        """Posterior mode and variance of an answer's offset (Laplace)."""
        variance = _OFFSET_SD**2
        if not own or self.weights_ is None:
            return 0.0, variance
        base = np.asarray([s.features for s in own]) @ self.weights_
        same = np.asarray([s.same for s in own], dtype=np.float64)
        offset = 0.0
        for _ in range(_STEPS):
            p = _logistics(base + offset)
            bend = float((p * (1.0 - p)).sum()) + 1.0 / variance
            step = (float((same - p).sum()) - offset / variance) / bend
            offset += min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
            if abs(step) < 1e-4:
                break
        return offset, 1.0 / bend

    def _fit(self) -> None:
        """The posterior mode by Newton's method, from where it was before, and its covariance."""
        x = np.asarray([s.features for s in self._seen])
        y = np.asarray([s.same for s in self._seen], dtype=np.float64)
        prior = np.eye(x.shape[1]) / _PRIOR_SD**2
        w = np.zeros(x.shape[1]) if self.weights_ is None else self.weights_
        for _ in range(_STEPS):
            p = _logistics(x @ w)
            bend = (x * (p * (1.0 - p))[:, None]).T @ x + prior
            step = np.linalg.solve(bend, x.T @ (y - p) - prior @ w)
            w = w + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
            if float(np.abs(step).max()) < 1e-6:
                break
        self.weights_, self.covariance_ = w, np.linalg.inv(bend)


@dataclass(slots=True)
class MatchCut:
    """The least score at which errors were shown to be rare enough, of what was compared so far.

    Scores are tried from the highest down, and the first that fails ends the walk (fixed-sequence
    testing, see `calibration.sequence`), so that a lucky stretch further down is not picked out.

    Args:
        limit: rate of errors among the pairs at or above the cut.
    """

    limit: float
    cut: float = math.inf
    _seen: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _new: int = 0

    def see(self, score: float, same: bool) -> None:
        """Learn from a comparison; the cut is set again now and then."""
        self._seen.append((score, same))
        self._new += 1
        if self._new >= max(10, len(self._seen) // 40):
            self._new = 0
            self.cut = self._found()

    def _found(self) -> float:
        pairs = sorted(self._seen, key=lambda pair: -pair[0])
        cut, wrong, first = math.inf, 0, least_trials(self.limit, delta=_DELTA)
        for n, (score, same) in enumerate(pairs, 1):
            wrong += not same
            if n < first or (n - first) % _EVERY:
                continue
            if not shown_below(wrong, n, self.limit, delta=_DELTA):
                break
            cut = score
        return cut


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -50.0), 50.0)))


def _logistics(x: Values) -> Values:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -50.0, 50.0))))
