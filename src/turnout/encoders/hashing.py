"""Word and character n-grams hashed into a fixed number of buckets: no vocabulary, any language.

Feature hashing with signs (Weinberger et al., ICML 2009). CRC-32 is used since it is stable across
processes and platforms, unlike `hash`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np

from turnout.encoders.text import clip
from turnout.errors import InputError
from turnout.types import Floats

_WORD = re.compile(r"\w+|[^\w\s]")
_VERSION = "1"
MOST_BUCKETS = 65_536


class HashingEncoder:
    """Log-counts of hashed unigrams, bigrams and word-edge 4-grams, scaled to unit length.

    Args:
        dimension: number of buckets.

    Raises:
        InputError: fewer than 16 buckets, or more than 65,536.
    """

    def __init__(self, dimension: int = 1024) -> None:
        if dimension < 16:
            raise InputError("dimension", dimension, "give at least 16 buckets")
        if dimension > MOST_BUCKETS:
            raise InputError("dimension", dimension, f"give at most {MOST_BUCKETS:,} buckets")
        self._dimension = dimension

    @property
    def name(self) -> str:
        """`hashing-` and the number of buckets."""
        return f"hashing-{self._dimension}"

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the name and the version of the hashing rule."""
        return hashlib.sha256(f"{self.name}/{_VERSION}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors of unit length; all zero for a text without words or symbols."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            codes = np.fromiter(
                (crc32(gram.encode()) for gram in _grams(clip(text).lower())), dtype=np.uint32
            )
            if not len(codes):
                continue
            distinct, counts = np.unique(codes, return_counts=True)
            sign = np.where(distinct & 1, 1.0, -1.0)
            np.add.at(vectors[i], (distinct >> 1) % self._dimension, sign * np.log1p(counts))
            length = float(np.linalg.norm(vectors[i]))
            if length > 0:
                vectors[i] /= length
        return vectors


def _grams(text: str) -> Iterator[str]:
    words = _WORD.findall(text)
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"
    for word in words:
        if len(word) > 4:
            yield f"^{word[:4]}"
            yield f"{word[-4:]}$"
