"""The recipe of what is expected of prompts of kinds not seen, on planted sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from pretrained.abilities import Scale
from pretrained.abroad import fit_head, fit_kinds, fit_linked
from test_build_pretrained import planted_cells

from turnout.routers.abroad import GRID, difficulty
from turnout.routers.arrays import sigmoid


def test_a_source_that_is_left_out_leaves_no_trace() -> None:
    cells = planted_cells(sets=3, n=80)
    use = cells.outcome_set != cells.outcome_set[-1]
    turned = np.where(use[cells.at], cells.score, 1.0 - cells.score)
    sound = np.ones(len(cells.entry_set), dtype=np.bool_)
    found, other = (fit_linked(c, use, sound) for c in (cells, replace(cells, score=turned)))
    assert found.ability == other.ability
    assert found.difficulty[use] == pytest.approx(other.difficulty[use])
    assert np.isnan(found.difficulty[~use]).all()


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, sources and difficulties: a slope that all sources share, and a level of each."""
    rng = np.random.default_rng(0)
    source = np.repeat(["a", "b", "c", "d"], 200)
    x = rng.standard_normal((800, 3)).astype(np.float32)
    level = np.repeat([-1.0, 1.0, -0.5, 0.5], 200)
    return x, source, x[:, 0] + level + 0.3 * rng.standard_normal(800)


def test_what_sources_share_is_learned_and_what_they_do_not_makes_it_vague() -> None:
    x, source, hard = planted()
    head = fit_head(x, Scale(ability={}, difficulty=hard, error=np.empty(0)), source)
    found = difficulty(head.weights, x, np.zeros((800, 0), np.float32))
    assert np.corrcoef(found, x[:, 0])[0, 1] > 0.99
    assert 0.5 < np.polyfit(x[:, 0], found, 1)[0] <= 1.0
    assert found.mean() == pytest.approx(hard.mean(), abs=0.1)
    at = np.searchsorted(GRID, 2.0)
    assert 0.5 < head.chance[at] < sigmoid(GRID)[at] - 0.02, "the level of a source is not known"
    assert (np.diff(head.chance) >= 0).all()


def test_one_source_cannot_be_left_out_of_itself() -> None:
    x, _, hard = planted()
    with pytest.raises(ValueError, match="two or more"):
        fit_head(x, Scale(ability={}, difficulty=hard, error=np.empty(0)), np.full(800, "a"))


def test_near_is_told_from_far() -> None:
    rng = np.random.default_rng(1)
    places = {"a": (0, 0, 0), "b": (6, 0, 0), "c": (0, 6, 0), "new": (6, 6, 6)}
    source = np.repeat(list(places), 300)
    middle = np.repeat(np.asarray(list(places.values()), float), 300, axis=0)
    rows = (middle + rng.standard_normal((1200, 3))).astype(np.float32)
    held = rng.random(1200) < 0.2
    near = fit_kinds(rows, source, source != "new", held).near(rows)
    assert near[source != "new"].mean() > near[source == "new"].mean() + 0.4
