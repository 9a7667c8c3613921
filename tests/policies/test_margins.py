"""The margin for near ties: wide where it costs nothing, none where it costs, and steady."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from turnout.policies.margins import MARGINS, steady_margin


def realised(seed: int, n: int, lost: np.ndarray) -> np.ndarray:
    """(k, n) scores of 0 and 1, each margin's mean less than the first's by `lost`."""
    drawn = np.random.default_rng(seed).random(n)
    return (drawn[None] < 0.7 - lost[:, None]).astype(np.float64)


def widest(got: np.ndarray) -> float:
    """The margin that one draw chooses."""
    lost = got[got.mean(axis=1).argmax()] - got
    error = lost.std(axis=1) / np.sqrt(got.shape[1])
    return MARGINS[int(np.flatnonzero(lost.mean(axis=1) <= 0.5 * error + 1e-12)[-1])]


def test_all_alike_takes_the_widest_and_a_sure_loss_none() -> None:
    alike = np.tile(np.random.default_rng(0).random(500), (len(MARGINS), 1))
    assert steady_margin(alike) == MARGINS[-1]
    losing = alike - 0.1 * np.arange(len(MARGINS))[:, None]
    assert steady_margin(losing) == 0.0


def test_a_loss_that_begins_somewhere_ends_the_margin_there() -> None:
    lost = np.asarray([0.0, 0.0, 0.0, 0.2, 0.2, 0.2])
    assert steady_margin(realised(1, 2_000, lost)) == MARGINS[2]


def test_it_turns_less_on_the_draw_than_one_choice_does() -> None:
    rng = np.random.default_rng(2)
    flat = np.asarray([0.0, -0.001, -0.001, 0.0, 0.001, 0.003])
    once, steadily = [], []
    for _ in range(40):
        changed = rng.random((len(MARGINS), 2_000)) < 0.08  # by each margin, on its own prompts
        got = np.where(changed, rng.random(changed.shape) < 0.5 - flat[:, None], 0.7)
        once.append(widest(got))
        steadily.append(steady_margin(got))
    assert np.std(steadily) < 0.75 * np.std(once)


@given(st.integers(0, 200), st.integers(1, 50))
def test_it_is_one_of_the_range_and_always_alike(seed: int, n: int) -> None:
    got = np.random.default_rng(seed).random((len(MARGINS), n))
    margin = steady_margin(got)
    assert 0.0 <= margin <= MARGINS[-1]
    assert steady_margin(got.copy()) == margin
