"""An artifact is a folder: arrays in safetensors, a JSON manifest, a card. Never a pickle.

Written beside its place and moved there whole, so that a run that is killed leaves the old one.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.errors import ArtifactError

FORMAT = 1
"""Version of the layout; another one is refused."""

MANIFEST, ARRAYS, CARD = "manifest.json", "arrays.safetensors", "card.md"


def write_artifact(
    folder: Path,
    manifest: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    card: str,
    *,
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Write an artifact folder, replacing one that is there; returns its fingerprint.

    Args:
        folder: where to; its parent is made.
        manifest: JSON-ready; `format`, `arrays_sha256` and `files_sha256` are added.
        arrays: by name.
        card: Markdown for people.
        files: what else belongs to it, by plain file name: an ONNX model, a tokenizer.

    Raises:
        ArtifactError: `folder` exists and is not an artifact, so it is left alone; or it cannot
            be written.
    """
    from safetensors.numpy import save

    if folder.exists() and not all((folder / name).is_file() for name in (MANIFEST, ARRAYS)):
        raise ArtifactError(f"{folder} exists and is not an artifact; choose another place for it")
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    more = dict(files or {})
    stated: dict[str, Any] = {"format": FORMAT, **manifest, "arrays_sha256": digest}
    if more:
        stated["files_sha256"] = {n: hashlib.sha256(c).hexdigest() for n, c in more.items()}
    text = json.dumps(stated, indent=2, ensure_ascii=False)
    try:
        _replace(
            folder, {**more, ARRAYS: data, MANIFEST: f"{text}\n".encode(), CARD: card.encode()}
        )
    except OSError as error:
        raise ArtifactError(f"cannot write {folder}: {error.strerror}; choose another") from error
    return _fingerprint(f"{text}\n")


def read_artifact(
    folder: Path, *, again: str = "train it again", made_by: str = "turnout train"
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
    """Manifest, arrays and fingerprint of an artifact, verified.

    Args:
        folder: with the three files.
        again: the remedy for one that cannot be used, in errors.
        made_by: the command that makes such folders, in errors.

    Raises:
        ArtifactError: missing, corrupt, or of another format version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    text = _read(folder / MANIFEST, made_by).decode("utf-8", "replace")
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"artifact {folder}: {MANIFEST} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ArtifactError(
            f"artifact {folder}: format {found!r} is not {FORMAT}; {again} with this version"
        )
    data = _read(folder / ARRAYS, made_by)
    if hashlib.sha256(data).hexdigest() != manifest.get("arrays_sha256"):
        raise ArtifactError(
            f"artifact {folder} is corrupt: {ARRAYS} does not match its manifest; copy or {again}"
        )
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise ArtifactError(f"artifact {folder}: {ARRAYS}: {error}") from error
    return manifest, arrays, _fingerprint(text)


def read_file(folder: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """One of an artifact's further files, verified against its manifest.

    Raises:
        ArtifactError: the manifest does not list it, or it is missing or corrupt.
    """
    stated = manifest.get("files_sha256")
    wanted = stated.get(name) if isinstance(stated, dict) else None
    if wanted is None:
        raise ArtifactError(f"artifact {folder}: its manifest lists no {name}; train it again")
    data = _read(folder / name)
    if hashlib.sha256(data).hexdigest() != wanted:
        raise ArtifactError(
            f"artifact {folder} is corrupt: {name} does not match its manifest; "
            "copy or train it again"
        )
    return data


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files where a folder is or will be; where that fails, the old folder stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh, old = Path(scratch, "new"), Path(scratch, "old")
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        if not folder.exists():
            fresh.replace(folder)
            return
        if _exchange(fresh, folder):
            return
        folder.replace(old)  # no exchange here: a kill between these two lines leaves it in `old`
        try:
            fresh.replace(folder)
        except BaseException:
            old.replace(folder)
            raise


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step, so that a kill at any time leaves one whole; False: cannot.

    Linux's renameat2; Python has no call for it.
    """
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(a), here, os.fsencode(b), swap) == 0)


def _fingerprint(manifest: str) -> str:
    return hashlib.sha256(manifest.encode()).hexdigest()[:16]


def _read(path: Path, made_by: str = "turnout train") -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"artifact {path.parent}: cannot read {path.name}: {error.strerror}; "
            f"give a folder made by `{made_by}`"
        ) from error
