"""Texts whose rows are gathered together have the vectors that each has alone, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.encoders import static
from turnout.encoders.static import open_static

ENCODER = open_static()
TEXT = st.builds(
    lambda text, times: text * times,
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab ,.12\n"), max_size=30),
    st.sampled_from([1, 1, 3, 40]),
)


@given(st.lists(TEXT, max_size=12))
def test_alone_and_beside_others(texts: list[str]) -> None:
    together = ENCODER.encode(texts)
    assert together.shape == (len(texts), ENCODER.dimension)
    for vector, text in zip(together, texts, strict=True):
        np.testing.assert_array_equal(vector, ENCODER.encode([text])[0])


@pytest.mark.parametrize("size", [8, 80, 10**6])
def test_whatever_a_block_holds(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    texts = ["", "one", "", "two words", "many words " * 300, "\x00", "a last one", ""]
    usual = ENCODER.encode(texts)
    assert [bool(vector.any()) for vector in usual] == [
        False,
        True,
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    monkeypatch.setattr(static, "_BLOCK_BYTES", size)
    np.testing.assert_array_equal(ENCODER.encode(texts), usual)
