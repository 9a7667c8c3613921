"""Open a router by name: a shipped one, the user's own artifact, or one that needs no artifact."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from turnout import registry
from turnout.artifacts.folder import read_artifact
from turnout.encoders.opening import open_encoder
from turnout.errors import ArtifactError, InputError, UnknownNameError, suggest
from turnout.routers.arrays import Arrays
from turnout.routers.base import FittedHead, Head, Router
from turnout.routers.columns import Columns
from turnout.routers.inputs import Inputs
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.trained import TrainedRouter
from turnout.types import PairRule

PRETRAINED = Path(__file__).parent / "pretrained"
"""One folder for each trained router that ships."""


def open_router(
    name: str, *, artifact: Path | str | None = None, options: Mapping[str, Any] | None = None
) -> Router:
    """Open a router, with no key and no network.

    Args:
        name: `mf`, `linear`, `knn`, `clusters`, `blend`, `rules`, `random`, or a plug-in's.
        artifact: a folder made by `turnout train`; default: the artifact that ships in the package.
        options: keyword arguments of that router (`rules` takes `file`, `random` takes `seed`).

    Raises:
        UnknownNameError: no such router.
        InputError: an option that this router does not take.
        ArtifactError: the artifact is missing, corrupt, or of another encoder or router.
    """
    kind = registry.load("routers", name)
    given = dict(options or {})
    if artifact is None:
        artifact = given.pop("artifact", None)
    if is_head(kind):
        _refuse_unknown(name, given, ("artifact",))
        return _open_trained(name, kind, Path(artifact) if artifact else PRETRAINED / name)
    if artifact is not None:
        raise InputError("artifact", str(artifact), f"router {name!r} is not trained: leave it out")
    _refuse_unknown(name, given, tuple(inspect.signature(kind).parameters))
    router: Router = kind(**given)
    return router


def is_head(kind: Any) -> bool:
    """Whether what is registered is the head of a trained router."""
    return isinstance(kind, type) and hasattr(kind, "from_arrays")


def trainable() -> tuple[str, ...]:
    """Names of the routers that `turnout train` can fit."""
    return tuple(name for name, kind in registry.items("routers") if is_head(kind))


def head_of(name: str) -> type[FittedHead]:
    """The head that a trained router is made of.

    Raises:
        UnknownNameError: no such router, or one that is not trained.
    """
    kind = registry.load("routers", name)
    if not is_head(kind):
        raise UnknownNameError("trainable router", name, trainable())
    head: type[FittedHead] = kind
    return head


def _refuse_unknown(name: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise InputError(
                f"options of router {name}", key, f"it takes: {listed}.{suggest(key, known)}"
            )


def _open_trained(name: str, head: type[Head], folder: Path) -> TrainedRouter:
    manifest, arrays, fingerprint = read_artifact(folder)
    if manifest.get("router") != name:
        raise ArtifactError(
            f"artifact {folder} is of router {manifest.get('router')!r}, not {name!r}; "
            f"open it as {manifest.get('router')!r} or train {name!r}"
        )
    try:
        return assemble(name, head, manifest, arrays, fingerprint)
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, UnknownNameError):  # an encoder; it lists those that exist
            raise
        raise ArtifactError(
            f"artifact {folder}: its manifest or arrays do not fit ({error!r}); train it again"
        ) from error


def assemble(
    name: str,
    head: type[Head],
    manifest: Mapping[str, Any],
    arrays: Arrays,
    fingerprint: str | None,
) -> TrainedRouter:
    """The router that a manifest and its arrays describe.

    Raises:
        ArtifactError: it was fitted with another encoder than the one installed, or its columns
            are not those of its arrays.
    """
    stated = manifest["encoder"]
    encoder = open_encoder(stated["name"])
    if encoder.fingerprint != stated["fingerprint"]:
        raise ArtifactError(
            f"router {name}: fitted with encoder {stated['name']} {stated['fingerprint'][:12]}…, "
            f"but {encoder.fingerprint[:12]}… is installed; train it again"
        )
    columns = manifest["columns"]
    known = Reference.from_arrays(_part(arrays, "reference/"))
    if len(columns["names"]) != known.predicted.shape[1]:
        raise ArtifactError(
            f"router {name}: its manifest names {len(columns['names'])} columns, "
            f"its arrays have {known.predicted.shape[1]}; train it again"
        )
    return TrainedRouter(
        name=name,
        fingerprint=fingerprint,
        inputs=Inputs.from_arrays(encoder, _part(arrays, "inputs/")),
        head=head.from_arrays(_part(arrays, "head/")),
        platt=Platt.from_arrays(_part(arrays, "platt/")) if "platt/slope" in arrays else None,
        columns=Columns(
            names=_names(columns["names"]),
            ladder=columns.get("ladder"),
            strong_prior=float(columns.get("strong_prior", 0.0)),
            weak_prior=float(columns.get("weak_prior", 0.0)),
        ),
        pair=_pair(manifest["pair"]),
        known=known,
    )


def _pair(stated: Mapping[str, Any]) -> PairRule:
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
