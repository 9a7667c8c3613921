"""What the vector space sees of a query: a few factors of its text, and its expected length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from turnout.routers.arrays import Arrays
from turnout.routers.inputs import Inputs
from turnout.types import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """(n, d) rows of `Inputs` → (n, K) factors: a linear part, and a soft vote of prototypes.

    A prototype is the centre of at least three prompts; what it adds is learned, so that no
    factor of a single prompt is kept. Arrays in 16 bits at rest.
    """

    project_: Floats
    """(d, K - 1)"""
    shift_: Floats
    """(K - 1,)"""
    centres_: Floats
    """(p, d) of length 1; p may be 0."""
    votes_: Floats
    """(p, K - 1) what each prototype adds."""
    sharpness_: Floats
    """One number, of the vote: softmax over this times the cosine."""
    length_: Floats
    """(d + 1,) weights and constant of the log of output tokens."""

    def of_rows(self, rows: Floats, shares: Floats | None = None) -> Floats:
        """(n, K) factors; the first is 1. `shares` are those of `vote`, where they are known."""
        made = rows @ self.project_
        made += self.shift_
        if len(self.centres_):
            made += (self.vote(rows) if shares is None else shares) @ self.votes_
        found = np.ones((len(rows), 1 + made.shape[1]), dtype=np.float32)
        found[:, 1:] = made
        return found

    def vote(self, rows: Floats) -> Floats:
        """(n, p) shares of the prototypes, each row summing to 1; none without prototypes."""
        if not len(self.centres_):
            return np.zeros((len(rows), 0), dtype=np.float32)
        return soft_shares(rows, self.centres_, float(self.sharpness_.item()))

    def log_tokens(self, rows: Floats) -> Floats:
        """(n,) log of the output tokens that a model of offset 0 would write."""
        return np.asarray(rows @ self.length_[:-1] + self.length_[-1], dtype=np.float32)

    def arrays(self) -> Arrays:
        """What was learned, by name."""
        return {
            f.name.removesuffix("_"): np.asarray(getattr(self, f.name), dtype=np.float16)
            for f in fields(self)
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Factors:
        """The factors that `arrays` came from."""
        return cls(
            **{
                f.name: np.asarray(arrays[f.name.removesuffix("_")], dtype=np.float32)
                for f in fields(cls)
            }
        )


def soft_shares(rows: Floats, centres: Floats, sharpness: float) -> Floats:
    """(n, p) softmax of `sharpness` times the cosine of (n, d) rows to (p, d) unit centres."""
    length = np.sqrt(np.vecdot(rows, rows))
    power = rows @ centres.T
    power *= (sharpness / np.maximum(length, 1e-9))[:, None]
    power -= np.maximum.reduce(power, axis=1, keepdims=True)
    np.exp(power, out=power)
    power /= np.add.reduce(power, axis=1, keepdims=True)
    return np.asarray(power, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFactors:
    """Texts → rows → factors."""

    inputs: Inputs
    factors: Factors

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(n, K) factors of texts; each row depends on its own text alone."""
        return self.factors.of_rows(self.inputs.rows(texts))
