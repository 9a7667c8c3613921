"""Open a router by name: a shipped one, the user's own artifact, or one that needs no artifact."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnout import registry
from turnout.artifacts.folder import read_artifact, read_file
from turnout.encoders.base import REMOTE, Encoder
from turnout.encoders.opening import open_encoder
from turnout.errors import ArtifactError, InputError, TurnoutError, UnknownNameError, suggest
from turnout.routers.arrays import Arrays
from turnout.routers.assembling import assemble
from turnout.routers.base import FittedHead, OpenedArtifact, Router

PRETRAINED = Path(__file__).parent / "pretrained"
"""One folder for each trained router that ships."""
DEFAULT_BASE = "blend"
"""The shipped router that a learning router starts from where no artifact is named."""
_OPENED = "opened"
"""The keyword of a callable that works without an artifact and takes one that was opened."""


def open_router(
    name: str, *, artifact: Path | str | None = None, options: Mapping[str, Any] | None = None
) -> Router:
    """Open a router, with no key and no network.

    Args:
        name: `mf`, `linear`, `knn`, `clusters`, `blend`, `rules`, `random`, or a plug-in's.
        artifact: a folder made by `turnout train`; default: the artifact that ships in the package.
        options: keyword arguments of that router (`rules` takes `file`, `random` takes `seed`);
            `encoder` of a trained one: where its remote encoder is served, or an open encoder.

    Raises:
        UnknownNameError: no such router.
        InputError: an option that this router does not take.
        ArtifactError: the artifact is missing, corrupt, or of another encoder or router.
    """
    kind = registry.load("routers", name)
    given = dict(options or {})
    if artifact is None:
        artifact = given.pop("artifact", None)
    encoder = given.pop("encoder", None) if is_head(kind) or opens_artifacts(kind) else None
    if is_head(kind):
        _refuse_unknown(name, given, ("artifact", "encoder"))
        opened = _read(name, Path(artifact) if artifact else shipped(name), encoder=encoder)
        return _made(opened, lambda: assemble(name, kind, opened))
    if opens_artifacts(kind):
        takes = tuple(inspect.signature(kind.from_artifact).parameters)[1:]
        _refuse_unknown(name, given, (*takes, "artifact", "encoder"))
        heads = bool(getattr(kind, "STARTS_FROM_HEADS", False))
        folder = Path(artifact) if artifact else shipped(DEFAULT_BASE if heads else name)
        opened = _read(name, folder, heads=heads, encoder=encoder)
        return _made(
            opened, lambda: kind.from_artifact(_with_members(kind, opened, encoder), **given)
        )
    takes = tuple(inspect.signature(kind).parameters)
    if artifact is not None and _OPENED not in takes:
        raise InputError("artifact", str(artifact), f"router {name!r} is not trained: leave it out")
    _refuse_unknown(name, given, tuple(t if t != _OPENED else "artifact" for t in takes))
    if artifact is not None:
        opened = _read(name, Path(artifact))
        return _made(opened, lambda: kind(**given, opened=opened))
    router: Router = kind(**given)
    return router


def shipped(name: str) -> Path:
    """The folder of the artifact that ships for a router, in this package or in another one.

    A distribution with a large artifact names its folder by an entry point of the group
    `turnout.artifacts`: a `pathlib.Path`.

    Raises:
        ArtifactError: none ships for this router.
    """
    if name in registry.names("artifacts"):
        return Path(registry.load("artifacts", name))
    folder = PRETRAINED / name
    if not folder.is_dir():
        raise ArtifactError(
            f"no artifact ships for router {name!r}: make one (`turnout train {name} --data … "
            "--out FOLDER`, or `turnout convert`) and give its folder"
        )
    return folder


def is_head(kind: Any) -> bool:
    """Whether what is registered is the head of a trained router."""
    return isinstance(kind, type) and hasattr(kind, "from_arrays")


def opens_artifacts(kind: Any) -> bool:
    """Whether what is registered is a router that opens an artifact of its own layout."""
    return isinstance(kind, type) and hasattr(kind, "from_artifact")


def open_parts(
    name: str,
    manifest: Mapping[str, Any],
    arrays: Arrays,
    files: Mapping[str, bytes] | None = None,
) -> Router:
    """The router of an artifact that is not written yet."""
    return _from_parts(
        name, manifest, arrays, read=lambda f: (files or {})[f], where=f"router {name}"
    )


def _from_parts(
    name: str,
    manifest: Mapping[str, Any],
    arrays: Arrays,
    *,
    read: Callable[[str], bytes],
    where: str,
    encoder: Any = None,
) -> Router:
    """`encoder`: the caller's options for it."""
    kind = registry.load("routers", name)
    if not is_head(kind) and not opens_artifacts(kind):
        raise InputError("router", name, "it needs options: write the artifact and open it by them")
    opened = OpenedArtifact(
        where=where,
        manifest=manifest,
        arrays=arrays,
        fingerprint=None,
        encoder=_encoder(name, manifest, encoder),
        read=read,
    )
    if is_head(kind):
        return assemble(name, kind, opened)
    router: Router = kind.from_artifact(_with_members(kind, opened, encoder))
    return router


def _with_members(kind: Any, opened: OpenedArtifact, encoder: Any = None) -> OpenedArtifact:
    """The same with the routers that it is made of, where the router is made of any.

    Raises:
        ArtifactError: a member that is opened by name is another than at the fit.
    """
    if not getattr(kind, "MADE_OF_MEMBERS", False):
        return opened
    members = {
        label: _member(label, stated, opened, encoder)
        for label, stated in opened.manifest["members"].items()
    }
    return replace(opened, members=members)


def _member(label: str, stated: Mapping[str, Any], opened: OpenedArtifact, encoder: Any) -> Router:
    where = f"{opened.where}, member {label}"
    if "manifest" in stated:
        prefix, manifest = f"members/{label}/", stated["manifest"]
        arrays = {
            k.removeprefix(prefix): a for k, a in opened.arrays.items() if k.startswith(prefix)
        }
        arrays |= {k: opened.arrays[held] for k, held in stated.get("shared", {}).items()}
        return _from_parts(
            manifest["router"],
            manifest,
            arrays,
            read=lambda file: opened.read(f"{label}.{file}"),
            where=where,
            encoder=encoder,
        )
    router = open_router(stated["router"], options=stated["options"])
    if router.fingerprint != stated["fingerprint"]:
        raise ArtifactError(
            f"{where}: fitted with {stated['fingerprint']}, but {router.fingerprint} is "
            "installed; train it again"
        )
    return router


def trainable() -> tuple[str, ...]:
    """Names of the routers that are made of a head: rows in, quality out."""
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


def _read(name: str, folder: Path, *, heads: bool = False, encoder: Any = None) -> OpenedArtifact:
    """Read and verify; `heads` accepts the artifact of any head beside the router's own."""
    manifest, arrays, fingerprint = read_artifact(folder)
    fits = manifest.get("router") == name or (heads and manifest.get("router") in trainable())
    if not fits:
        raise ArtifactError(
            f"artifact {folder} is of router {manifest.get('router')!r}, not {name!r}; "
            f"open it as {manifest.get('router')!r} or train {name!r}"
        )
    where = f"artifact {folder}"
    try:
        opened_encoder = _encoder(name, manifest, encoder)
    except (KeyError, TypeError) as error:
        raise _misfit(where, error) from error
    return OpenedArtifact(
        where=where,
        manifest=manifest,
        arrays=arrays,
        fingerprint=fingerprint,
        encoder=opened_encoder,
        read=lambda file: read_file(folder, manifest, file),
    )


def _made(opened: OpenedArtifact, make: Callable[[], Router]) -> Router:
    try:
        return make()
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, TurnoutError):  # says better what is wrong
            raise
        raise _misfit(opened.where, error) from error


def _misfit(where: str, error: Exception) -> ArtifactError:
    return ArtifactError(f"{where}: its manifest or arrays do not fit ({error!r}); train it again")


def _encoder(name: str, manifest: Mapping[str, Any], options: Any = None) -> Encoder | None:
    """The encoder that a manifest states, with the caller's options; None where it states none.

    `options` may be an encoder that is open already.

    Raises:
        InputError: options that are no mapping, or that this encoder does not take.
        ArtifactError: the one installed is another than the router was fitted with.
    """
    stated = manifest.get("encoder")
    if stated is None:
        return None
    if isinstance(options, Encoder):
        encoder, remedy = options, "name that one, or train the router with this one"
    else:
        encoder, remedy = _stated(name, stated, options), "train it again"
    if encoder.fingerprint != stated["fingerprint"]:
        raise ArtifactError(
            f"router {name}: fitted with encoder {stated['name']} {stated['fingerprint'][:12]}… of "
            f"{stated['dimension']} dimensions, but {encoder.name} {encoder.fingerprint[:12]}… of "
            f"{encoder.dimension} is installed; {remedy}"
        )
    return encoder


def _stated(name: str, stated: Mapping[str, Any], options: Any) -> Encoder:
    """The encoder of a manifest, opened by its own name."""
    if options is not None and not isinstance(options, Mapping):
        remedy = "give a mapping, such as base_url, or the name of one of the settings' encoders"
        raise InputError(f"encoder of router {name}", options, remedy)
    given = dict(options or {})
    if stated["name"].startswith(REMOTE):
        given.setdefault("dimension", stated["dimension"])  # so that opening calls nothing
    return open_encoder(stated["name"], given)
