"""`mixture`: the weighted average of any routers' qualities, calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from turnout.routers.arrays import Arrays
from turnout.routers.assembling import read_pair
from turnout.routers.base import OpenedArtifact, Router
from turnout.routers.columns import Columns
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.trained import ColumnRouter
from turnout.types import Candidate, Floats, Prediction, Query


@dataclass(frozen=True, kw_only=True)
class Mixture(ColumnRouter):
    """Quality = Platt of the sum of weight times a member's quality; the weights sum to 1.

    `blend` averages heads over one set of rows; this averages routers, each with inputs of its own.
    Members always predict all models of the outcomes, strongest first: what one says of a model
    does not depend on which candidates stand beside it, nor on what the user calls it.
    """

    MADE_OF_MEMBERS: ClassVar[bool] = True
    """`artifacts.opening` opens the members for it."""

    members: tuple[Router, ...]
    weights_: Floats
    """(k,) on the simplex; a member of weight 0 is not asked."""
    platt: Platt

    @property
    def waits(self) -> bool:
        """Whether a member that is asked does."""
        asked = zip(self.weights_, self.members, strict=True)
        return any(w > 0.0 and bool(getattr(member, "waits", False)) for w, member in asked)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality and output tokens.

        Raises:
            RouterError: a member cannot predict now; a part of the average would be another router.
        """
        return self.prediction(self.column_quality(queries), candidates)

    def column_quality(self, queries: Sequence[Query]) -> Floats:
        """(n, K) calibrated quality by column."""
        pool = [Candidate(name=name) for name in self.columns.names]
        total = np.zeros((len(queries), len(pool)), dtype=np.float32)
        for weight, member in zip(self.weights_, self.members, strict=True):
            if weight > 0.0:
                total += weight * member.predict(queries, pool).quality
        return self.platt.apply(total)

    @classmethod
    def from_artifact(cls, opened: OpenedArtifact) -> Self:
        """The router that an artifact describes.

        Raises:
            ValueError: weights, members or columns that do not belong together.
            UnknownNameError: a member that does not know a column.
        """
        manifest, arrays = opened.manifest, opened.arrays
        names = tuple(manifest["columns"]["names"])
        known = Reference.from_arrays(_part(arrays, "reference/"))
        weights = np.asarray(arrays["weights"], dtype=np.float32)
        if weights.shape != (len(opened.members),) or not np.isclose(weights.sum(), 1.0, atol=1e-4):
            raise ValueError(f"weights: {weights.tolist()} of {len(opened.members)} members")
        if not len(names) == known.predicted.shape[1] == len(arrays["platt/slope"]):
            raise ValueError(f"columns: {names} are not those of its arrays")
        for member in opened.members.values():
            member.check([Candidate(name=name) for name in names])
        return cls(
            name=manifest["router"],
            fingerprint=opened.fingerprint,
            columns=Columns(names=names),
            pair=read_pair(manifest["pair"]),
            known=known,
            members=tuple(opened.members.values()),
            weights_=weights,
            platt=Platt.from_arrays(_part(arrays, "platt/")),
        )


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
