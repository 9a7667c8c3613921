from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.encoders.opening import open_encoder
from turnout.features import CORE, FEATURES
from turnout.routers.inputs import LEXICAL, Inputs, RawRows, feature_rows, fit_inputs, plain

PROMPTS = [
    "Which of these is a PRIME number?\nA. 4\nB. 7\nC. 9",
    "Write a Python function that returns None for an empty list.",
    "Translate the following sentence into French: Good morning, Sir.",
    "What is the capital of Peru, and how many people live there?",
    "Prove that there are infinitely many primes.",
] * 3


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return fit_inputs(RawRows.of(open_encoder(), PROMPTS))[0]


@given(text=st.text(max_size=60) | st.sampled_from(PROMPTS))
def test_small_letters_never_change_a_row(inputs: Inputs, text: str) -> None:
    assert (inputs.rows([text.lower()]) == inputs.rows([text])).all()


@given(text=st.text(alphabet=st.characters(max_codepoint=126), max_size=60))
def test_capitals_never_change_a_row_of_ascii(inputs: Inputs, text: str) -> None:
    assert (inputs.rows([text.upper()]) == inputs.rows([text])).all()


@pytest.mark.parametrize("opening", ["Please ", "PLEASE ", "Hello! ", "HI there, "])
def test_courtesies_never_change_a_row(inputs: Inputs, opening: str) -> None:
    task = "What is the capital of Peru?"
    assert plain(opening + task) == plain(task)
    assert (inputs.rows([opening + task]) == inputs.rows([task])).all()


def test_rows_made_at_once_are_those_made_one_by_one(inputs: Inputs) -> None:
    together = inputs.of_raw(RawRows.of(inputs.encoder, PROMPTS))
    alone = np.concatenate([inputs.rows([p]) for p in PROMPTS])
    np.testing.assert_array_equal(together, alone)


def test_features_that_are_not_asked_for_are_zero() -> None:
    made, every = feature_rows(PROMPTS, core=True), feature_rows(PROMPTS)
    asked = np.isin(FEATURES, CORE)
    np.testing.assert_array_equal(made, np.where(asked, every, 0.0))
    assert every[:, ~asked].any()
    assert feature_rows([]).shape == (0, len(FEATURES))


def test_each_block_has_its_weight() -> None:
    raw = RawRows.of(open_encoder(), PROMPTS)
    both, rows = fit_inputs(raw)
    d = raw.vectors.shape[1]
    words = 0 if both.lexical is None else both.lexical.dimension
    assert 0 < words <= LEXICAL
    spread = rows.var(axis=0)
    assert spread[:d].sum() == pytest.approx(0.5, abs=1e-3)
    assert spread[d : d + words].sum() == pytest.approx(1.0, abs=1e-2)
    alone, rows = fit_inputs(raw, lexical=0)
    assert alone.lexical is None
    assert rows[:, :d].var(axis=0).sum() == pytest.approx(1.0, abs=1e-3)


def test_inputs_return_through_their_arrays(inputs: Inputs) -> None:
    back = Inputs.from_arrays(inputs.encoder, inputs.arrays())
    np.testing.assert_array_equal(back.rows(PROMPTS), inputs.rows(PROMPTS))
