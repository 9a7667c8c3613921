"""`mixture`: the weighted average of any routers' qualities, calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from turnout.routers.arrays import Arrays
from turnout.routers.assembling import read_pair
from turnout.routers.base import OpenedArtifact, Router
from turnout.routers.columns import Columns
from turnout.routers.inputs import Inputs
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.trained import ColumnRouter, TrainedRouter
from turnout.types import Candidate, Floats, Prediction, Query, texts


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
        rows: dict[int, Floats] = {}
        for weight, member in zip(self.weights_, self.members, strict=True):
            if weight > 0.0:
                total += weight * _asked(member, queries, pool, rows)
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
            members=_with_common_inputs(opened.members.values()),
            weights_=weights,
            platt=Platt.from_arrays(_part(arrays, "platt/")),
        )


def _asked(
    member: Router, queries: Sequence[Query], pool: Sequence[Candidate], rows: dict[int, Floats]
) -> Floats:
    """(n, K) quality by a member; `rows` keeps those of inputs that members have in common."""
    if not isinstance(member, TrainedRouter):
        return member.predict(queries, pool).quality
    key = id(member.inputs)
    if key not in rows:
        rows[key] = member.inputs.rows(texts(queries))
    return member.prediction(member.column_quality(rows[key]), pool).quality


def _with_common_inputs(members: Iterable[Router]) -> tuple[Router, ...]:
    """The same members, where inputs that are alike are one object: most of a head's time."""
    found: list[Router] = []
    kept: list[Inputs] = []
    for member in members:
        if isinstance(member, TrainedRouter):
            same = next((i for i in kept if _alike(i, member.inputs)), None)
            if same is None:
                kept.append(member.inputs)
            else:
                member = replace(member, inputs=same)
        found.append(member)
    return tuple(found)


def _alike(one: Inputs, other: Inputs) -> bool:
    a, b = one.arrays(), other.arrays()
    return (
        one.encoder.fingerprint == other.encoder.fingerprint
        and a.keys() == b.keys()
        and all(np.array_equal(a[k], b[k]) for k in a)
    )


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
