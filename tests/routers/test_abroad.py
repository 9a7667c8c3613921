"""What `universal` expects of prompts of kinds not seen, and how it knows that they are."""

from __future__ import annotations

import numpy as np
import pytest

from turnout.routers.abroad import GRID, Abroad
from turnout.routers.arrays import sigmoid
from turnout.routers.kinds import Kinds


def kinds() -> Kinds:
    """One source around 0 with spread .1, in the first of two columns, among prompts of spread 1."""
    whiten = np.asarray([[[10.0]], [[1.0]]], np.float32)
    return Kinds(
        project_=np.asarray([[1.0], [0.0]], np.float32),
        whiten_=whiten,
        centre_=np.zeros((2, 1), np.float32),
        volume_=np.log(whiten[:, 0, 0]),
        knots_=np.asarray([-20.0, 2.0], np.float32),
        near_=np.asarray([0.0, 1.0], np.float32),
    )


def abroad() -> Abroad:
    """Difficulty is the second column and twice the only share; the space counts a fifth far off."""
    return Abroad(
        names=("able", "poor"),
        ability_=np.asarray([1.0, -1.0], np.float32),
        difficulty_=np.asarray([0.0, 1.0, 2.0, 0.0], np.float32),
        chance_=sigmoid(GRID).astype(np.float32),
        share_=np.asarray(0.2, np.float32),
        kinds=kinds(),
    )


NEAR, FAR = [0.0, 1.0], [3.0, 1.0]
SPACE = np.full((2, 3), 0.9, np.float32)


def predicted() -> np.ndarray:
    rows, shares = np.asarray([NEAR, FAR], np.float32), np.asarray([[0.5], [0.5]], np.float32)
    away = abroad()
    return away.averaged(SPACE, rows, shares, away.abilities(["able", "poor", None]))


def test_near_a_known_kind_the_space_speaks() -> None:
    assert predicted()[0] == pytest.approx([0.9] * 3)


def test_far_off_ability_and_difficulty_count_four_fifths() -> None:
    expected = [0.2 * 0.9 + 0.8 * float(sigmoid(np.asarray(a - 2.0))) for a in (1.0, -1.0)]
    assert predicted()[1, :2] == pytest.approx(expected, abs=1e-3)


def test_a_model_that_is_not_known_abroad_keeps_what_the_space_says() -> None:
    assert predicted()[1, 2] == pytest.approx(0.9)
    alone = abroad().without(["able", "poor"])
    assert np.isnan(alone.abilities(["able", "poor"])).all()


def test_what_was_passed_in_is_not_changed() -> None:
    predicted()
    assert SPACE.tolist() == np.full((2, 3), 0.9, np.float32).tolist()


def test_arrays_bring_it_back() -> None:
    away = abroad()
    back = Abroad.from_arrays(away.names, away.arrays())
    rows = np.asarray([NEAR, FAR], np.float32)
    assert back.share(rows) == pytest.approx(away.share(rows))
    assert back.abilities(["poor"]) == pytest.approx([-1.0])


def test_names_without_an_ability_are_refused() -> None:
    with pytest.raises(ValueError, match="ability: 2 for 1 names"):
        Abroad.from_arrays(["able"], abroad().arrays())
