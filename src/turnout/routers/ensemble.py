"""`blend`, the default router: the weighted average of heads; as it ships, of one (`difficulty`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError, UnknownNameError
from turnout.routers.arrays import Array, Arrays
from turnout.routers.base import FittedHead, Head, features_read
from turnout.routers.clusters import Clusters
from turnout.routers.difficulty import Difficulty
from turnout.routers.elo import SimilarityRanking
from turnout.routers.factorization import Factorization
from turnout.routers.knn import Knn
from turnout.routers.linear import Linear
from turnout.routers.ridge import choose_penalty
from turnout.types import Floats

FITTED: Mapping[str, type[FittedHead]] = {
    "linear": Linear,
    "knn": Knn,
    "mf": Factorization,
    "clusters": Clusters,
    "sw_ranking": SimilarityRanking,
}
"""Members that `fit` can fit."""
DEFAULT_MEMBERS = ("knn", "mf", "clusters")
"""Without `linear`: `mf` has its form and strays less on unseen kinds of prompts (lab notes)."""
MEMBERS: Mapping[str, type[Head]] = {**FITTED, "difficulty": Difficulty}


@dataclass(frozen=True, slots=True)
class Blend:
    """Quality = sum of weight times a member's quality; the weights sum to 1."""

    members: tuple[Head, ...]
    names: tuple[str, ...]
    weights_: Floats

    @classmethod
    def fit(
        cls,
        x: Floats,
        score: Array,
        groups: NDArray[np.intp],
        *,
        seed: int = 0,
        penalty: float | None = None,
        members: Sequence[str] = DEFAULT_MEMBERS,
    ) -> Blend:
        """Fit every member to (n, d) rows and (n, m) scores; each weighs the same.

        Args:
            x: rows.
            score: NaN where missing.
            groups: (n,) group of each row.
            seed: for the members.
            penalty: shared by the members that have one; None chooses it once for all.
            members: names from `FITTED`.

        Raises:
            UnknownNameError: a member that it cannot fit.
            InputError: no member.
        """
        for name in members:
            if name not in FITTED:
                raise UnknownNameError("member of blend", name, FITTED)
        if not members:
            raise InputError("members", (), f"name some of {', '.join(FITTED)}")
        names = tuple(name for name in FITTED if name in members)  # as `from_arrays` finds them
        if penalty is None:
            penalty = choose_penalty(x, score, groups, seed=seed)
        fitted = tuple(
            FITTED[name].fit(x, score, groups, seed=seed, penalty=penalty) for name in names
        )
        even = np.full(len(fitted), 1.0 / len(fitted), dtype=np.float32)
        return cls(fitted, names, even)

    def predict(self, x: Floats) -> Floats:
        """(n, m) expected quality."""
        total = self.weights_[0] * self.members[0].predict(x)
        for weight, member in zip(self.weights_[1:], self.members[1:], strict=True):
            total += weight * member.predict(x)
        return np.asarray(total, dtype=np.float32)

    def reads(self) -> frozenset[str]:
        """Names of the features that count with any member."""
        return frozenset().union(*map(features_read, self.members))

    def arrays(self) -> Arrays:
        """What was learned, by `member/name`."""
        found: Arrays = {"weights": self.weights_}
        for name, member in zip(self.names, self.members, strict=True):
            found |= {f"{name}/{key}": array for key, array in member.arrays().items()}
        return found

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Blend:
        """The head that `arrays` came from."""
        names = tuple(name for name in MEMBERS if any(k.startswith(f"{name}/") for k in arrays))
        members = tuple(
            MEMBERS[name].from_arrays(
                {
                    k.removeprefix(f"{name}/"): a
                    for k, a in arrays.items()
                    if k.startswith(f"{name}/")
                }
            )
            for name in names
        )
        return cls(members, names, arrays["weights"])
