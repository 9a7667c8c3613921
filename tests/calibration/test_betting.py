from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.calibration.betting import rejected, shuffled
from turnout.errors import InputError


def test_without_a_loss_it_is_nearly_as_soon_as_can_be() -> None:
    """No test of level delta can reject before (1 - slack)^n <= delta; see Clopper and Pearson."""
    slack, delta = 0.05, 0.05
    least = math.ceil(math.log(delta) / math.log(1 - slack))
    rows = [n for n in range(1, 200) if rejected(np.full((n, 1), -slack), -1, 0.95, delta)[0]]
    assert least <= min(rows) <= 1.5 * least
    assert rows == list(range(min(rows), 200))  # more evidence of the same kind never hurts


def test_a_mean_at_or_above_zero_is_not_shown_to_be_below() -> None:
    assert not rejected(np.zeros((500, 3)), -1, 1, 0.05).any()
    assert not rejected(np.full((500, 1), 0.1), -1, 1, 0.05)[0]


def test_what_cannot_be_above_zero_needs_no_evidence() -> None:
    assert rejected(np.zeros((0, 2)), -1, 0.0, 0.05).all()


def test_columns_are_tests_of_their_own() -> None:
    rng = np.random.default_rng(0)
    z = rng.choice([-0.05, 0.95], p=[0.98, 0.02], size=(400, 6))
    together = rejected(z, -1, 0.95, 0.1)
    assert together.tolist() == [bool(rejected(z[:, [j]], -1, 0.95, 0.1)[0]) for j in range(6)]


@settings(max_examples=25)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_more_losses_never_help(k: int, more: int, seed: int) -> None:
    """Turning good answers into bad ones, in the same places or more, cannot make a bound pass."""
    n, order = 300, np.random.default_rng(seed).permutation(300)
    few, many = np.full((n, 1), -0.1), np.full((n, 1), -0.1)
    few[order[:k]] = 0.9
    many[order[: k + more]] = 0.9
    if rejected(many, -1.1, 0.9, 0.05)[0]:
        assert rejected(few, -1.1, 0.9, 0.05)[0]


def test_values_and_deltas_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"from -1 to 0\.5"):
        rejected(np.ones((3, 1)), -1, 0.5, 0.05)
    with pytest.raises(InputError, match="between 0 and 1"):
        rejected(np.zeros((3, 1)), -1, 0.5, 1.0)


def test_the_order_is_drawn_by_a_seed() -> None:
    assert shuffled(9, 1).tolist() == shuffled(9, 1).tolist() != shuffled(9, 2).tolist()
    assert sorted(shuffled(9, 3)) == list(range(9))
