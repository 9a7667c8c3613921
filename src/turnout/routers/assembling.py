"""The router around a fitted head, from the manifest and arrays of an artifact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from turnout.errors import ArtifactError
from turnout.routers.arrays import Arrays
from turnout.routers.base import Head, OpenedArtifact
from turnout.routers.columns import Columns
from turnout.routers.inputs import Inputs
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.trained import TrainedRouter
from turnout.types import PairRule


def assemble(name: str, head: type[Head], opened: OpenedArtifact) -> TrainedRouter:
    """The router around a head that an artifact describes.

    Raises:
        ArtifactError: its columns are not those of its arrays.
    """
    manifest, arrays = opened.manifest, opened.arrays
    if opened.encoder is None:
        raise KeyError("encoder")
    columns = manifest["columns"]
    known = Reference.from_arrays(_part(arrays, "reference/"))
    if len(columns["names"]) != known.predicted.shape[1]:
        raise ArtifactError(
            f"router {name}: its manifest names {len(columns['names'])} columns, "
            f"its arrays have {known.predicted.shape[1]}; train it again"
        )
    return TrainedRouter(
        name=name,
        fingerprint=opened.fingerprint,
        inputs=Inputs.from_arrays(opened.encoder, _part(arrays, "inputs/")),
        head=head.from_arrays(_part(arrays, "head/")),
        platt=Platt.from_arrays(_part(arrays, "platt/")) if "platt/slope" in arrays else None,
        columns=read_columns(columns),
        pair=read_pair(manifest["pair"]),
        known=known,
    )


def read_columns(stated: Mapping[str, Any]) -> Columns:
    """The columns of a manifest.

    Raises:
        ValueError: names that are not distinct, or places that are no numbers.
    """
    return Columns(
        names=_names(stated["names"]),
        ladder=stated.get("ladder"),
        strong_prior=float(stated.get("strong_prior", 0.0)),
        weak_prior=float(stated.get("weak_prior", 0.0)),
    )


def read_pair(stated: Mapping[str, Any]) -> PairRule:
    """The pair rule of a manifest.

    Raises:
        ValueError: no such rule, or numbers that are not finite.
    """
    rule = PairRule(**stated)
    if rule.kind not in get_args(get_type_hints(PairRule)["kind"]):
        raise ValueError(f"pair: {rule.kind!r} is no rule")
    if not all(math.isfinite(number) for number in (rule.a, rule.b, rule.c)):
        raise ValueError(f"pair: {rule} is not finite")
    return rule


def _names(stated: Any) -> tuple[str, ...]:
    names = tuple(stated)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError(f"columns: {stated!r} are not distinct names")
    return names


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
