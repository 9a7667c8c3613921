"""The lexical vector is TF-IDF of hashed words and pairs, however it is counted."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from zlib import crc32

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from turnout.encoders.lexical import LexicalEncoder
from turnout.encoders.text import clip

UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\u0e00-\u0e7f"
TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")
WORDS = ["a", "of", "snake_case", "élan", "x1", "?", "“", "中", "が", "π2", "2π", "_", "ß"]


def mixed(code: int) -> int:
    code = code * 0x9E3779B97F4A7C15 % 2**64
    return code ^ code >> 31


def hashes(text: str) -> list[int]:
    tokens = [token.encode() for token in TOKEN.findall(clip(text).lower())]
    edges = [b"^" + t for t in tokens[:2]] + [t + b"$" for t in tokens[-2:]]
    edges.append(b"^" + b" ".join(tokens[:3]))
    codes = [mixed(crc32(edge) + 7) for edge in edges]
    codes += [mixed(crc32(token) + 1) for token in tokens]
    for one, two in pairwise(tokens):
        codes.append(mixed(mixed(crc32(one)) + crc32(two) * 31))
    return [code >> 32 for code in codes]


def encoder() -> LexicalEncoder:
    """Knows all words and pairs of `WORDS` but every third."""
    rng = np.random.default_rng(0)
    seen = {h for one in WORDS for two in WORDS for h in hashes(f"a {one} {two} a")}
    keys = np.asarray(sorted(seen), dtype=np.uint32)[np.arange(len(seen)) % 3 > 0]
    return LexicalEncoder(
        keys,
        rng.uniform(1, 5, len(keys)).astype(np.float32),
        rng.standard_normal((len(keys), 8)).astype(np.float32),
    )


ENCODER = encoder()


def plain(text: str) -> np.ndarray:
    place = {int(key): i for i, key in enumerate(ENCODER.keys_)}
    counts = Counter(place[h] for h in hashes(text) if h in place)
    values = {i: (1 + math.log(n)) * float(ENCODER.idf_[i]) for i, n in counts.items()}
    found = np.zeros(ENCODER.dimension)
    for i, value in values.items():
        found += value * ENCODER.basis_[i]
    return found / max(float(np.linalg.norm(found)), 1e-9)


@given(
    st.one_of(
        st.text(st.characters(codec="utf-8")),
        st.lists(st.sampled_from([*WORDS, " ", "\n", "\u2028", "\x1c"])).map("".join),
        st.lists(st.sampled_from(WORDS)).map(" ".join),
    )
)
@example("")
@example("a " * 3000)
@example("\u0130" * 3000)
@example("中" * 3000)
def test_the_vector_is_what_plain_counting_gives(text: str) -> None:
    assert np.allclose(ENCODER.encode([text])[0], plain(text), atol=1e-5)


def test_the_vectors_differ_between_texts() -> None:
    a, b = ENCODER.encode(["a of snake_case", "中 が π2"])
    assert np.linalg.norm(a) > 0.9
    assert np.linalg.norm(a - b) > 0.1
