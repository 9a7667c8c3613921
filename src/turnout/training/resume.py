"""What a training run leaves beside its output, so that a second run of the same command continues.

`OUT.resume/KEY/` holds one file per finished fold. KEY stands for everything that the results depend
on, so results of other data or options are never taken for these. The folder goes on success.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from turnout import __version__
from turnout.errors import ArtifactError
from turnout.types import Floats

SUFFIX = ".resume"
_KEY = re.compile(r"[0-9a-f]{16}")


def resume_folder(out: Path, stated: Mapping[str, Any]) -> Path:
    """Where a run keeps its finished parts; not made yet.

    Args:
        out: the artifact to be written.
        stated: JSON-ready: router, data, encoder, seed, options. The version is added.
    """
    text = json.dumps({"turnout": __version__, **stated}, sort_keys=True, default=str)
    return out.with_name(out.name + SUFFIX) / hashlib.sha256(text.encode()).hexdigest()[:16]


def clear(out: Path) -> None:
    """Remove the finished parts of every run that writes `out`; other files stay.

    Raises:
        ArtifactError: they cannot be removed.
    """
    home = out.with_name(out.name + SUFFIX)
    if not home.is_dir():
        return
    try:
        for part in home.iterdir():
            if part.is_dir() and _KEY.fullmatch(part.name):
                shutil.rmtree(part)
        if not any(home.iterdir()):
            home.rmdir()
    except OSError as error:
        raise ArtifactError(f"cannot remove {home}: {error.strerror}; remove it by hand") from error


def kept_fold(folder: Path | None, fold: int, shape: tuple[int, int]) -> Floats | None:
    """The predictions of a fold that an earlier run finished, or None: fit it."""
    if folder is None:
        return None
    try:
        found = np.load(_path(folder, fold), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # never finished: written whole or not at all
    usable = found.shape == shape and found.dtype == np.float32 and np.isfinite(found).all()
    return np.asarray(found, dtype=np.float32) if usable else None


def keep_fold(folder: Path | None, fold: int, predicted: Floats) -> None:
    """Keep a fold's predictions, whole or not at all.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    if folder is None:
        return
    target = _path(folder, fold)
    scratch = target.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            np.save(file, np.asarray(predicted, dtype=np.float32), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    except OSError as error:
        raise ArtifactError(f"cannot write {folder}: {error.strerror}") from error


def _path(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}.npy"
