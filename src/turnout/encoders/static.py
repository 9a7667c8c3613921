"""The default encoder: one int8 row a token, averaged. No network, no GPU, some 0.1 ms a prompt.

Distilled from a sentence transformer by Model2Vec (Tulkens & van Dongen, 2024; token rows after PCA
and frequency weighting); served here by `tokenizers` and numpy alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.text import clip
from turnout.encoders.words import WordIds
from turnout.errors import ArtifactError
from turnout.types import Floats

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHIPPED = Path(__file__).parent / "shipped" / "static-256"

_BLOCK_BYTES = 512 * 8
"""Of token ids whose rows are gathered at once: more of them would fall out of the processor's cache."""


class StaticEncoder:
    """Mean of token rows, scaled to unit length.

    Args:
        name: such as `static-256`.
        tokenizer: splits text into token ids.
        rows: (v, d) int8 token rows.
        scale: (v,) float32; row i stands for `scale[i] * rows[i]`.
        unknown: token id that is left out of the mean.
        fingerprint: SHA-256 over tokenizer and rows.
    """

    def __init__(
        self,
        *,
        name: str,
        tokenizer: Tokenizer,
        rows: NDArray[np.int8],
        scale: Floats,
        unknown: int,
        fingerprint: str,
    ) -> None:
        self.name, self.fingerprint = name, fingerprint
        self._words = WordIds(tokenizer, left_out=unknown)
        self._rows, self._scale = rows, scale

    @property
    def dimension(self) -> int:
        """D."""
        return int(self._rows.shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors of unit length; all zero for a text without known tokens."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        packed = [self._words.packed(clip(text)) for text in texts]
        start = 0
        while start < len(packed):
            end = _end_of_block(packed, start)
            self._add_up(packed[start:end], vectors[start:end])
            start = end
        lengths = np.sqrt(np.vecdot(vectors, vectors))
        vectors /= np.maximum(lengths, np.float32(1e-12))[:, None]
        return vectors

    def _add_up(self, packed: Sequence[bytes], out: Floats) -> None:
        """Sum the rows of each text's tokens; those of all are gathered at once."""
        ids = np.frombuffer(b"".join(packed), dtype=np.int64)
        rows, scale = self._rows.take(ids, axis=0).astype(np.float32), self._scale.take(ids)
        start = 0
        for vector, one in zip(out, packed, strict=True):
            end = start + len(one) // ids.itemsize
            np.dot(scale[start:end], rows[start:end], out=vector)
            start = end


def _end_of_block(packed: Sequence[bytes], start: int) -> int:
    """Where the texts end that are gathered together from `start` on, at least one."""
    size, end = len(packed[start]), start + 1
    while end < len(packed) and size + len(packed[end]) <= _BLOCK_BYTES:
        size, end = size + len(packed[end]), end + 1
    return end


def open_static(folder: Path = SHIPPED) -> StaticEncoder:
    """Open a static encoder's folder: `manifest.json`, `tokenizer.json`, `rows.safetensors`.

    Raises:
        ArtifactError: a file is missing or is not what the manifest says.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load
    from tokenizers import Tokenizer

    manifest = read_manifest(folder)
    tokenizer_bytes = _read(folder / "tokenizer.json")
    rows_bytes = _read(folder / "rows.safetensors")
    found = fingerprint(tokenizer_bytes, rows_bytes)
    if found != manifest.get("fingerprint"):
        raise ArtifactError(
            f"encoder {folder.name!r} is corrupt: its files hash to {found[:12]}…, its manifest "
            f"says {str(manifest.get('fingerprint'))[:12]}…; install or build it again"
        )
    try:
        arrays = load(rows_bytes)
    except SafetensorError as error:
        raise ArtifactError(f"encoder {folder.name!r}: rows.safetensors: {error}") from error
    return StaticEncoder(
        name=str(manifest["name"]),
        tokenizer=Tokenizer.from_str(tokenizer_bytes.decode("utf-8")),
        rows=arrays["rows"],
        scale=arrays["scale"],
        unknown=int(manifest["unknown_token"]),
        fingerprint=found,
    )


def vocabulary(folder: Path = SHIPPED) -> list[str]:
    """The word pieces of a static encoder, most common words first.

    Raises:
        ArtifactError: its tokenizer is missing or cannot be read.
    """
    try:
        pieces: dict[str, int] = json.loads(_read(folder / "tokenizer.json"))["model"]["vocab"]
    except (ValueError, LookupError) as error:
        raise ArtifactError(f"encoder {folder.name!r}: tokenizer.json: {error!r}") from error
    return sorted(pieces, key=pieces.__getitem__)


def fingerprint(tokenizer: bytes, rows: bytes) -> str:
    """SHA-256 over what decides the output."""
    digest = hashlib.sha256(hashlib.sha256(tokenizer).digest())
    digest.update(rows)
    return digest.hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's `manifest.json`.

    Raises:
        ArtifactError: there is none, or it is not JSON.
    """
    try:
        manifest = json.loads(_read(folder / "manifest.json"))
    except ValueError as error:
        raise ArtifactError(f"{folder / 'manifest.json'}: not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise ArtifactError(f"{folder / 'manifest.json'}: expected an object")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
