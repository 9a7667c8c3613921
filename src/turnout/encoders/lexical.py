"""Words of the user's own prompts and pairs of them: TF-IDF over a vocabulary, a truncated SVD.

A static embedding says what a prompt is about; this says how it is written: templates, option
formats, jargon. It is fitted on the prompts that a router is trained on (not on their labels), with
numpy alone. A word outside the vocabulary says nothing, so that a misspelt one is not taken for
another. Characters of scripts that put no blanks between words count as words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.text import HEAD_CHARACTERS, TAIL_CHARACTERS, clip
from turnout.types import Floats

VOCABULARY = 8192
"""Words and pairs kept, the most common ones. N-grams of characters beside them fit no better (lab
notes), and cost most of the time and of the artifact."""
LEAST_TEXTS = 3
"""A word or pair that fewer texts hold is left out: it is noise, or says whose text it was."""
OVERSAMPLING = 16
POWER_STEPS = 2

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\u0e00-\u0e7f"
_TOKEN_ASCII = re.compile(rb"[a-z0-9_]+|[^\w\s\x1c-\x1f]")
_TOKEN = re.compile(
    rf"[a-z0-9_]+[^\W{_UNSPACED}]*|[!-/:-@\[-^`{{-~]|[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]"
)
"""A word, a mark, or a character of those scripts; what is ASCII is tried first, since it is quicker."""
_MIX, _ONE, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(1), np.uint64(31)
_LOW, _HIGH = np.uint64(31), np.uint64(32)
_FREQUENCY = np.concatenate(
    ([0.0], 1.0 + np.log(np.arange(1, 2 * (HEAD_CHARACTERS + TAIL_CHARACTERS) + 8)))
)
"""Of a word by how often a text has it; none has a hash more often than its words and pairs."""
_Keys = NDArray[np.uint32]
_Row = tuple[NDArray[np.intp], Floats]


@dataclass(frozen=True, slots=True)
class LexicalEncoder:
    """keys_ (v,) sorted hashes of words and pairs, idf_ (v,) their weights, basis_ (v, d)."""

    keys_: _Keys
    idf_: Floats
    basis_: Floats

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.basis_.shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors of unit length; all zero for a text without known words."""
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            at, values = _weighted(_hashes(text), self.keys_, self.idf_)
            np.matmul(values, self.basis_.take(at, axis=0), out=out[i])
        return _unit(out)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """By name, numbers in 16 bits."""
        return {
            "keys": self.keys_,
            "idf": self.idf_.astype(np.float16),
            "basis": self.basis_.astype(np.float16),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> LexicalEncoder:
        """The encoder that `arrays` came from.

        Raises:
            KeyError: an array is missing.
        """
        return cls(
            arrays["keys"].astype(np.uint32),
            arrays["idf"].astype(np.float32),
            arrays["basis"].astype(np.float32),
        )


def fit_lexical(
    texts: Sequence[str], *, dimension: int = 256, vocabulary: int = VOCABULARY, seed: int = 0
) -> tuple[LexicalEncoder, Floats]:
    """Fit on n texts; returns the encoder and the (n, d) vectors of those texts.

    Randomised SVD with power steps (Halko, Martinsson & Tropp, SIAM Review 2011, algorithm 4.4).
    `dimension` is cut where there are few texts or words; without any known word it is 1.
    """
    hashes = [_hashes(text) for text in texts]
    keys, seen = _most_common(hashes, vocabulary)
    # 16 bits, as the artifact stores them, so that what is fitted on is what will be served.
    idf = np.log((1 + len(texts)) / (1 + seen)) + 1
    idf = idf.astype(np.float16).astype(np.float32)
    rows = [_weighted(found, keys, idf) for found in hashes]
    d = max(min(dimension, len(texts) - 1, len(keys)), 1)
    if not len(keys):
        basis = np.zeros((0, d), dtype=np.float32)
        return LexicalEncoder(keys, idf, basis), np.zeros((len(texts), d), dtype=np.float32)
    rng = np.random.default_rng(seed)
    probe = rng.standard_normal((len(keys), d + OVERSAMPLING)).astype(np.float32)
    for _ in range(POWER_STEPS):
        left, _ = np.linalg.qr(_times(rows, probe))
        probe = _transposed_times(rows, left, len(keys))
    left, _ = np.linalg.qr(_times(rows, probe))
    basis, _, _ = np.linalg.svd(_transposed_times(rows, left, len(keys)), full_matrices=False)
    basis = np.ascontiguousarray(basis[:, :d]).astype(np.float16).astype(np.float32)
    return LexicalEncoder(keys, idf, basis), _unit(_times(rows, basis))


def _most_common(hashes: Sequence[_Keys], most: int) -> tuple[_Keys, NDArray[np.intp]]:
    """The hashes that most texts hold, sorted, and how many texts hold each."""
    every = np.concatenate([np.unique(found) for found in hashes])
    keys, seen = np.unique(every, return_counts=True)
    common = np.flatnonzero(seen >= min(LEAST_TEXTS, len(hashes)))
    common = np.sort(common[np.argsort(-seen[common], kind="stable")[:most]])
    return keys[common].astype(np.uint32), seen[common].astype(np.intp)


def _hashes(text: str) -> _Keys:
    """Hash of every word, every pair of neighbours, and the words at both ends, with repeats."""
    tokens = _tokens(clip(text).lower())
    edges = [b"^" + t for t in tokens[:2]] + [t + b"$" for t in tokens[-2:]]
    edges.append(b"^" + b" ".join(tokens[:3]))
    n, e = len(tokens), len(edges)
    ends = [crc32(edge) + 6 for edge in edges]
    each = np.fromiter(chain(ends, map(crc32, tokens)), dtype=np.uint64, count=e + n)
    codes = np.concatenate((each, each[e : e + n - 1]))
    codes[: e + n] += _ONE
    _mix(codes)
    pairs = codes[e + n :]
    pairs += each[e + 1 :] * _SECOND
    _mix(pairs)
    return (codes >> _HIGH).astype(np.uint32)


def _tokens(text: str) -> list[bytes]:
    """Words and marks of a text in small letters."""
    if text.isascii():
        return _TOKEN_ASCII.findall(text.encode())
    return [token.encode() for token in _TOKEN.findall(text)]


def _mix(codes: NDArray[np.uint64]) -> None:
    """In place."""
    codes *= _MIX
    codes ^= codes >> _LOW


def _weighted(hashes: _Keys, keys: _Keys, idf: Floats) -> _Row:
    """Places of a text's known words among the keys, and their TF-IDF, of length 1 in all."""
    if not len(keys):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float32)
    hashes = np.sort(hashes)  # in order they are found quicker
    near = keys.searchsorted(hashes)
    found = near[keys.take(near, mode="clip") == hashes]
    first = np.ones(len(found) + 1, dtype=bool)  # of each key; and the end
    np.not_equal(found[1:], found[:-1], out=first[1:-1])
    starts = first.nonzero()[0]
    at = found[starts[:-1]]
    values = _FREQUENCY.take(starts[1:] - starts[:-1]) * idf.take(at)
    return at, (values / max(math.sqrt(values @ values), 1e-9)).astype(np.float32)


def _times(rows: Sequence[_Row], right: Floats) -> Floats:
    return np.stack([values @ right[at] for at, values in rows]).astype(np.float32)


def _transposed_times(rows: Sequence[_Row], left: Floats, size: int) -> Floats:
    out = np.zeros((size, left.shape[1]), dtype=np.float32)
    for (at, values), row in zip(rows, left, strict=True):
        out[at] += values[:, None] * row
    return out


def _unit(x: Floats) -> Floats:
    length = np.sqrt(np.add.reduce(x * x, axis=1, keepdims=True))
    return np.asarray(x / np.maximum(length, 1e-9), np.float32)
