"""What every encoder keeps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_fakes import embed, endpoint
from planted import planted_prompts
from turnout.encoders.base import Encoder
from turnout.encoders.cached import CachedEncoder
from turnout.encoders.hashing import HashingEncoder
from turnout.encoders.lexical import LexicalEncoder, fit_lexical
from turnout.encoders.opening import open_encoder
from turnout.encoders.text import clip
from turnout.errors import InputError, UnknownNameError
from turnout.types import Floats

TEXTS = [
    "What is the capital of France?",
    "",
    " \n ",
    "lone \ud83d surrogate",
    "NUL \0 inside",
    "word " * 200_000,
    "🔥👩‍👩‍👧‍👦",
    "ما هي عاصمة فرنسا؟",
    "?!{}[]",
]


class Encodes(Protocol):
    @property
    def dimension(self) -> int: ...

    def encode(self, texts: list[str]) -> Floats: ...


@pytest.fixture(scope="module")
def lexical() -> LexicalEncoder:
    return fit_lexical(planted_prompts(24), dimension=16)[0]


@pytest.fixture(scope="module")
def remote() -> Iterator[Encoder]:
    with endpoint(lambda body: embed(body, 1024)) as (url, _):
        yield open_encoder("remote:m", {"base_url": url, "dimension": 1024, "cache": 4})


@pytest.fixture(params=["static-256", "hashing-1024", "lexical", "remote", "cached"])
def encoder(request: pytest.FixtureRequest, lexical: LexicalEncoder, remote: Encoder) -> Encodes:
    special: dict[str, Encodes] = {
        "lexical": lexical,
        "remote": remote,
        "cached": CachedEncoder(open_encoder("static-256"), size=4),
    }
    return special.get(request.param) or open_encoder(request.param)


@pytest.fixture(params=["static-256", "hashing-1024"])
def named(request: pytest.FixtureRequest) -> Encoder:
    return open_encoder(request.param)


def test_vectors_have_unit_length_or_are_zero(encoder: Encodes) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    length = np.linalg.norm(vectors, axis=1)
    assert (np.isclose(length, 1.0, atol=1e-4) | (length == 0.0)).all()
    assert length[1] == pytest.approx(0.0)


def test_a_text_gets_the_same_vector_whatever_stands_beside_it(encoder: Encodes) -> None:
    together = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], vector, atol=1e-6)


def test_no_text_gives_no_row(encoder: Encodes) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_texts_of_one_kind_are_nearer_than_texts_of_two(encoder: Encodes) -> None:
    vectors = encoder.encode(planted_prompts(80, seed=1))
    cos = vectors @ vectors.T
    kind = np.arange(80) % 4
    same = kind[:, None] == kind[None, :]
    np.fill_diagonal(same, False)
    assert cos[same].mean() > cos[kind[:, None] != kind[None, :]].mean() + 0.1


@given(text=st.text(max_size=300))
def test_any_text_is_encoded(text: str) -> None:
    for name in ("static-256", "hashing-64"):
        assert np.isfinite(open_encoder(name).encode([text])).all()


def test_a_named_encoder_says_what_it_is(named: Encoder) -> None:
    assert isinstance(named, Encoder)
    assert len(named.fingerprint) == 64
    assert open_encoder(named.name) is named


def test_fingerprints_differ_where_the_vectors_do() -> None:
    found = [open_encoder(n).fingerprint for n in ("static-256", "hashing-64", "hashing-1024")]
    assert all(a != b for a, b in itertools.combinations(found, 2))


def test_an_unknown_encoder_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"hashing-1024, static-256.*'static-256'"):
        open_encoder("static-265")
    with pytest.raises(InputError, match="at least 16"):
        HashingEncoder(8)


def test_the_lexical_encoder_returns_through_its_arrays(lexical: LexicalEncoder) -> None:
    back = LexicalEncoder.from_arrays(dict(lexical.arrays()))
    assert (back.encode(TEXTS) == lexical.encode(TEXTS)).all()


def test_what_the_lexical_encoder_was_fitted_on_is_what_it_serves() -> None:
    prompts = planted_prompts(24)
    encoder, vectors = fit_lexical(prompts, dimension=16)
    np.testing.assert_allclose(encoder.encode(prompts), vectors, atol=1e-5)


def test_the_same_seed_fits_the_same_lexical_encoder() -> None:
    first, second = (fit_lexical(planted_prompts(12), dimension=8)[0] for _ in range(2))
    assert (first.basis_ == second.basis_).all()
    assert first.dimension == 8


@pytest.mark.parametrize("texts", [["only one"], ["twice", "twice"], ["", ""]])
def test_few_texts_give_a_small_lexical_encoder(texts: list[str]) -> None:
    encoder, vectors = fit_lexical(texts)
    assert vectors.shape == (len(texts), encoder.dimension)
    assert np.isfinite(encoder.encode(["anything"])).all()


def test_words_that_few_texts_hold_say_nothing() -> None:
    texts = ["the cat sat", "the dog sat", "the cow sat", "the owl flew", "my secret 4711"]
    encoder, _ = fit_lexical(texts)
    known, with_rare = encoder.encode(["the xyzzy sat", "the qwrty sat"])
    assert (known == with_rare).all()
    assert (encoder.encode(["secret 4711"]) == 0).all()


def test_the_vocabulary_keeps_the_most_common_words() -> None:
    texts = [f"common word{i % 3}" for i in range(30)]
    encoder, _ = fit_lexical(texts, vocabulary=1)
    assert len(encoder.keys_) == 1
    assert (encoder.encode(["word1"]) == 0).all()
    assert (encoder.encode(["common"]) != 0).any()


def test_scripts_without_blanks_have_words() -> None:
    texts = ["今天天气很好", "今天我很忙", "今天下雨了", "天气预报"]
    encoder, _ = fit_lexical(texts)
    assert (encoder.encode(["今天"]) != 0).any()


def test_a_long_text_is_read_at_both_ends() -> None:
    text = "a" * 5_000 + "THE END"
    assert clip(text).startswith("a" * 1_500)
    assert clip(text).endswith("THE END")
    assert len(clip(text)) == 2_001
    assert clip("lone \ud83d") == "lone ?"
