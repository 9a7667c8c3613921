"""A fitted head beside a file of routes, so that opening the file does not fit it again.

`routes.yaml` has `routes.yaml.head`: weights and the digest of all they depend on, in safetensors.
A head of other utterances or another encoder, such as after an edit, is passed over and fitted anew;
one that cannot be read is an error.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from turnout.encoders.base import Encoder
from turnout.errors import SettingsError
from turnout.routers.matching import PENALTY, SCALE, STEP, STEPS
from turnout.routers.routes import RouteFile
from turnout.types import Floats

SUFFIX = ".head"


def head_path(file: Path) -> Path:
    """Where the head of a file of routes is kept."""
    return file.with_name(file.name + SUFFIX)


def save_head(file: Path, routes: RouteFile, encoder: Encoder, weights: Floats) -> Path:
    """Keep (d, r) weights beside a file of routes; returns where.

    Raises:
        SettingsError: it cannot be written.
    """
    from safetensors.numpy import save

    path = head_path(file)
    data = save({"weights": np.ascontiguousarray(weights)}, {"of": _digest(routes, encoder)})
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SettingsError("file", str(path), f"cannot be written: {error.strerror}") from error
    return path


def read_head(file: Path, routes: RouteFile, encoder: Encoder) -> Floats | None:
    """(d, r) weights fitted on these very utterances, or None where none are kept.

    Raises:
        SettingsError: a head is there and cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = head_path(file)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as found:
            stated = found.metadata() or {}
            weights = np.asarray(found.get_tensor("weights"), dtype=np.float32)
    except (OSError, SafetensorError) as error:
        remedy = f"it cannot be read ({error}); remove it, or fit the routes again"
        raise SettingsError("file", str(path), remedy) from error
    if stated.get("of") != _digest(routes, encoder):
        return None
    if weights.shape != (encoder.dimension, len(routes.routes)) or not np.isfinite(weights).all():
        raise SettingsError("file", str(path), "its weights do not fit; remove it, or fit again")
    return weights


def _digest(routes: RouteFile, encoder: Encoder) -> str:
    said = [list(route.utterances) for route in routes.routes]
    stated = [encoder.name, encoder.fingerprint, PENALTY, SCALE, STEP, STEPS, said]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()
