"""Words and character n-grams of the user's own prompts: hashed TF-IDF, then a truncated SVD.

A static embedding says what a prompt is about; this says how it is written: templates, option
formats, jargon. It is fitted on the prompts that a router is trained on (not on their labels), with
numpy alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.text import clip
from turnout.types import Floats

BITS = 14
"""2^14 buckets for words, as many for characters."""
HALF = 1 << BITS
CHARACTER_SIZES = (3, 4, 5)
OVERSAMPLING = 16
POWER_STEPS = 2

_TOKEN = re.compile(r"\w+|[^\w\s]")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_Row = tuple[NDArray[np.intp], Floats]


@dataclass(frozen=True, slots=True)
class LexicalEncoder:
    """idf_ (2^15,) weight of each bucket, basis_ (2^15, d) projection."""

    idf_: Floats
    basis_: Floats

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.basis_.shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors of unit length; all zero for a text without known n-grams."""
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            ids, values = _weighted(_counts(text), self.idf_)
            out[i] = values @ self.basis_[ids]
        return _unit(out)

    def arrays(self) -> dict[str, NDArray[np.float16]]:
        """By name, in 16 bits."""
        return {"idf": self.idf_.astype(np.float16), "basis": self.basis_.astype(np.float16)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.floating]]) -> LexicalEncoder:
        """The encoder that `arrays` came from."""
        return cls(arrays["idf"].astype(np.float32), arrays["basis"].astype(np.float32))


def fit_lexical(
    texts: Sequence[str], *, dimension: int = 256, seed: int = 0
) -> tuple[LexicalEncoder, Floats]:
    """Fit on n texts; returns the encoder and the (n, d) vectors of those texts.

    Randomised SVD with power steps (Halko, Martinsson & Tropp, SIAM Review 2011, algorithm 4.4).
    N-grams that only one text has are left out. `dimension` is cut to n - 1 where n is small.
    """
    rows = [_counts(text) for text in texts]
    seen = np.zeros(2 * HALF)
    for ids, _ in rows:
        seen[ids] += 1
    # 16 bits, as the artifact stores them, so that what is fitted on is what will be served.
    idf = np.where(seen >= 2, np.log((1 + len(rows)) / (1 + seen)) + 1, 0.0)
    idf = idf.astype(np.float16).astype(np.float32)
    weighted = [_weighted(row, idf) for row in rows]
    d = min(dimension, max(len(rows) - 1, 1))
    rng = np.random.default_rng(seed)
    probe = rng.standard_normal((2 * HALF, d + OVERSAMPLING)).astype(np.float32)
    for _ in range(POWER_STEPS):
        left, _ = np.linalg.qr(_times(weighted, probe))
        probe = _transposed_times(weighted, left)
    left, _ = np.linalg.qr(_times(weighted, probe))
    basis, _, _ = np.linalg.svd(_transposed_times(weighted, left), full_matrices=False)
    basis = np.ascontiguousarray(basis[:, :d]).astype(np.float16).astype(np.float32)
    return LexicalEncoder(idf, basis), _unit(_times(weighted, basis))


def _counts(text: str) -> _Row:
    """Distinct buckets of a text's n-grams, and 1 + log of how often each occurs."""
    counts = np.bincount(_buckets(clip(text)), minlength=2 * HALF)  # half the time of `unique`
    ids = np.flatnonzero(counts)
    return ids, (1.0 + np.log(counts[ids])).astype(np.float32)


def _buckets(text: str) -> NDArray[np.intp]:
    """Bucket of every n-gram, with repeats: words and pairs below 2^14, characters above."""
    tokens = _TOKEN.findall(text.lower())
    edges = [f"^{t}" for t in tokens[:2]] + [f"{t}$" for t in tokens[-2:]]
    edges.append("^" + " ".join(tokens[:3]))
    words = np.asarray([crc32(t.encode()) for t in tokens], dtype=np.uint64)
    ends = np.asarray([crc32(t.encode()) for t in edges], dtype=np.uint64)
    lower = [
        _mixed(ends + np.uint64(7)),
        _mixed(words + np.uint64(1)),
        _mixed(_mixed(words[:-1]) + words[1:] * np.uint64(31)),
    ]
    raw = np.frombuffer(f" {' '.join(text.split())} ".encode(), np.uint8).astype(np.uint64)
    upper = []
    for size in CHARACTER_SIZES:
        code = np.full(max(len(raw) - size + 1, 0), np.uint64(size))
        for offset in range(size):
            code = code * np.uint64(257) + raw[offset : offset + len(code)]
        upper.append(_mixed(code))
    shift = np.uint64(64 - BITS)
    low = (np.concatenate(lower) >> shift).astype(np.intp)
    high = (np.concatenate(upper) >> shift).astype(np.intp)
    return np.concatenate([low, high + HALF])


def _mixed(code: NDArray[np.uint64]) -> NDArray[np.uint64]:
    code = code * _MIX
    return code ^ (code >> np.uint64(31))


def _weighted(row: _Row, idf: Floats) -> _Row:
    """TF-IDF values; the words and the characters each have half of the unit length."""
    ids, values = row[0], row[1] * idf[row[0]]
    for part in (ids < HALF, ids >= HALF):
        length = float(np.sqrt((values[part] ** 2).sum()))
        values[part] /= max(length, 1e-9) * np.sqrt(2.0)
    return ids, values.astype(np.float32)


def _times(rows: Sequence[_Row], right: Floats) -> Floats:
    return np.stack([values @ right[ids] for ids, values in rows]).astype(np.float32)


def _transposed_times(rows: Sequence[_Row], left: Floats) -> Floats:
    out = np.zeros((2 * HALF, left.shape[1]), dtype=np.float32)
    for (ids, values), row in zip(rows, left, strict=True):
        out[ids] += values[:, None] * row
    return out


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), np.float32)
