from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.evaluation.frontier import hypervolumes, pareto_distances, pareto_set

points = st.lists(st.tuples(st.floats(0.5, 5.0), st.floats(0.0, 1.0)), min_size=1, max_size=8).map(
    np.asarray
)


def volume(found: np.ndarray, dearest: float = 5.0, worst: float = 0.1) -> float:
    ends = np.asarray([dearest]), np.asarray([worst])
    return float(hypervolumes(found[None, :, 0], found[None, :, 1], ends)[0])


def test_hypervolume_is_the_area_of_a_staircase_over_log_cost() -> None:
    found = np.asarray([[1.0, 0.5], [np.e, 0.8]])
    # From ln 1 to ln e at 0.5 - 0.1, from there to ln 5 at 0.8 - 0.1.
    assert volume(found) == pytest.approx(0.4 + 0.7 * (np.log(5) - 1))
    assert volume(np.asarray([[9.0, 0.9], [1.0, 0.05]])) == 0.0


@given(points, st.floats(0, 1), st.floats(0, 1), st.integers(0, 7))
def test_a_dominated_point_never_moves_the_hypervolume(
    found: np.ndarray, dearer: float, worse: float, which: int
) -> None:
    cost, quality = found[which % len(found)]
    more = np.vstack([found, [cost + dearer, max(0.0, quality - worse)]])
    assert volume(more) == pytest.approx(volume(found), abs=1e-9)


@given(points)
def test_the_pareto_set_is_what_no_other_point_beats(found: np.ndarray) -> None:
    kept = pareto_set(found[:, 0], found[:, 1])
    assert kept.any()
    for i, (cost, quality) in enumerate(found):
        better = (found[:, 0] <= cost) & (found[:, 1] >= quality)
        strictly = better & ((found[:, 0] < cost) | (found[:, 1] > quality))
        if kept[i]:
            assert not strictly.any()


def test_distance_to_the_joint_frontier_is_0_on_it_and_scaled_off_it() -> None:
    best = (np.asarray([1.0, 100.0]), np.asarray([0.5, 1.0]))
    behind = (np.asarray([10.0]), np.asarray([0.5]))
    on, off = pareto_distances([best, behind])
    assert on == 0.0
    # Half of the log cost range away from (1, 0.5), which is as good.
    assert off == pytest.approx(0.5)
    assert pareto_distances([(np.ones(1), np.ones(1))]) == [0.0]
