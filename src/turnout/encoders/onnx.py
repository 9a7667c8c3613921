"""A sentence transformer of MiniLM's class in int8, run by ONNX Runtime on one thread."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from turnout.encoders.transformer import TokenModel
from turnout.errors import ArtifactError
from turnout.types import Floats

PREFIX = "onnx:"
FOLDER_VARIABLE = "TURNOUT_ENCODERS"
"""A folder of encoder folders: where `onnx:NAME` without a path is looked up."""
POOLINGS = ("mean",)


class OnnxEncoder:
    """Mean of the last layer's token vectors, scaled to unit length.

    Args:
        name: the name that manifests state: `onnx:NAME`.
        model: gives (t, d) token vectors.
        dimension: D.
        fingerprint: SHA-256 over model, tokenizer, pooling and token limit.
    """

    def __init__(self, *, name: str, model: TokenModel, dimension: int, fingerprint: str) -> None:
        self.name, self.dimension, self.fingerprint = name, dimension, fingerprint
        self._model = model

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors of unit length. A long text is clipped, then cut to the token limit."""
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            mean = self._model.run(text)[0].mean(axis=0)
            out[i] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return out


def open_onnx(name: str) -> OnnxEncoder:
    """Open `onnx:FOLDER`, or `onnx:NAME` below the folder that TURNOUT_ENCODERS names.

    A router's manifest records the encoder's own name, not the folder, and its fingerprint, which
    decides: the folder may move.

    Raises:
        ArtifactError: a file is missing or is not what the manifest says.
        MissingExtraError: onnxruntime is not installed.
    """
    given = name.removeprefix(PREFIX)
    folder = Path(given)
    if not folder.is_dir() and os.environ.get(FOLDER_VARIABLE):
        folder = Path(os.environ[FOLDER_VARIABLE]) / given
    if not folder.is_dir():
        raise ArtifactError(
            f"encoder {name!r}: no folder {given!r}; give onnx:FOLDER, or set {FOLDER_VARIABLE} "
            "to the folder that holds it (recipes/build_onnx_encoder.py builds one)"
        )
    where = f"encoder {folder}"
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        model = (folder / "model.onnx").read_bytes()
        tokenizer = (folder / "tokenizer.json").read_bytes()
        tokens, pooling = int(manifest["max_tokens"]), str(manifest["pooling"])
        dimension, stated = int(manifest["dimension"]), manifest["fingerprint"]
        own = f"{PREFIX}{manifest['name']}"
    except OSError as error:
        raise ArtifactError(f"{where}: cannot read {error.filename}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{where}: manifest.json does not fit ({error!r})") from error
    if pooling not in POOLINGS:
        raise ArtifactError(f"{where}: pooling {pooling!r} is not known; expected mean")
    found = fingerprint(model, tokenizer, pooling=pooling, max_tokens=tokens)
    if found != stated:
        raise ArtifactError(
            f"{where} is corrupt: its files hash to {found[:12]}…, its manifest says "
            f"{str(stated)[:12]}…; build it again"
        )
    opened = TokenModel(model, tokenizer, most_tokens=tokens, where=where)
    if opened.width not in (None, dimension):
        raise ArtifactError(f"{where}: the model gives {opened.width} dimensions, not {dimension}")
    return OnnxEncoder(name=own, model=opened, dimension=dimension, fingerprint=found)


def fingerprint(model: bytes, tokenizer: bytes, *, pooling: str, max_tokens: int) -> str:
    """SHA-256 of what decides the vectors."""
    digest = hashlib.sha256(f"{pooling}/{max_tokens}/{len(model)}\n".encode())
    digest.update(model)
    digest.update(tokenizer)
    return digest.hexdigest()
