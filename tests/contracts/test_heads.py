"""What every head of a trained router keeps: numbers in, numbers out, no text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from turnout.artifacts.opening import head_of, trainable
from turnout.routers.base import Head
from turnout.routers.ensemble import MEMBERS, Blend
from turnout.types import Floats

D = 12
CLOSED = ("linear", "knn", "mf")
"""Heads that no draw of random numbers decides, beyond the folds that choose their penalty."""


@dataclass(frozen=True)
class Planted:
    """Rows and scores; the first axis decides which model is good."""

    x: Floats
    score: Floats
    groups: np.ndarray


def planted(n: int, *, m: int = 3, seed: int = 0) -> Planted:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, D)).astype(np.float32) * 0.3
    x[:, 0] += np.where(rng.random(n) < 0.5, 1.0, -1.0)
    slope = np.linspace(-3.0, 3.0, m)
    chance = 1.0 / (1.0 + np.exp(-slope * x[:, :1]))
    score = (rng.random((n, m)) < chance).astype(np.float32)
    return Planted(x, score, np.arange(n))


def fit(head: type[Head], data: Planted, seed: int = 0) -> Head:
    return head.fit(data.x, data.score, data.groups, seed=seed)


@pytest.fixture(params=trainable())
def head(request: pytest.FixtureRequest) -> type[Head]:
    return head_of(request.param)


def in_range(quality: Floats, shape: tuple[int, int]) -> bool:
    whole = quality.shape == shape and bool(np.isfinite(quality).all())
    return whole and bool(((quality >= 0) & (quality <= 1)).all())


def test_a_planted_signal_is_learned(head: type[Head]) -> None:
    seen, held = planted(200), planted(400, seed=1)
    quality = fit(head, seen).predict(held.x)
    error = ((quality - held.score) ** 2).mean()
    constant = ((seen.score.mean(axis=0) - held.score) ** 2).mean()
    assert in_range(quality, (400, 3))
    assert error < 0.85 * constant


@pytest.mark.parametrize("m", [2, 3, 7])
def test_a_head_returns_through_its_arrays(head: type[Head], m: int) -> None:
    data = planted(80, m=m)
    made = fit(head, data)
    back = head.from_arrays({k: a.copy() for k, a in made.arrays().items()})
    held = planted(50, m=m, seed=1).x
    # knn keeps its rows in 8 bits: here and there the last of its neighbours is another one.
    moved = np.abs(back.predict(held) - made.predict(held))
    assert moved.mean() < 0.003
    assert moved.max() < 0.06
    again = head.from_arrays(back.arrays())
    np.testing.assert_allclose(again.predict(held), back.predict(held), atol=1e-3)


def test_the_same_seed_gives_the_same_arrays(head: type[Head]) -> None:
    first, second = (fit(head, planted(60), seed=3).arrays() for _ in range(2))
    assert first.keys() == second.keys()
    assert all((first[k] == second[k]).all() for k in first)


def test_missing_cells_say_nothing_about_quality(head: type[Head]) -> None:
    data = planted(200)
    holes = data.score.copy()
    holes[np.random.default_rng(2).random(holes.shape) < 0.4] = np.nan
    holes[:, 2] = np.where(np.arange(200) < 2, data.score[:, 2], np.nan)  # hardly ever run
    quality = fit(head, Planted(data.x, holes, data.groups)).predict(data.x)
    assert in_range(quality, (200, 3))
    constant = ((data.score[:, :1].mean() - data.score[:, :1]) ** 2).mean()
    assert ((quality[:, :1] - data.score[:, :1]) ** 2).mean() < constant


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_model_of_one_class_is_predicted_near_it(head: type[Head], value: float) -> None:
    data = planted(100)
    data.score[:, 1] = value
    quality = fit(head, data).predict(planted(30, seed=1).x)
    assert in_range(quality, (30, 3))
    assert np.abs(quality[:, 1] - value).max() < 0.1


def test_graded_scores_are_learned_as_well_as_hits_and_misses(head: type[Head]) -> None:
    data = planted(150)
    graded = Planted(data.x, 0.2 + 0.6 * data.score, data.groups)
    quality = fit(head, graded).predict(data.x)
    assert abs(float(quality.mean() - graded.score.mean())) < 0.05


@pytest.mark.parametrize("m", [2, 6])
def test_five_prompts_are_enough_to_fit(head: type[Head], m: int) -> None:
    quality = fit(head, planted(5, m=m)).predict(planted(4, seed=1).x)
    assert in_range(quality, (4, m))


@pytest.mark.parametrize("m", [2, 6])
@pytest.mark.parametrize("zero", [False, True])
def test_duplicate_prompts_teach_the_mean(head: type[Head], m: int, zero: bool) -> None:
    data = planted(40, m=m)
    x = np.repeat(np.zeros((1, D), np.float32) if zero else data.x[:1], 40, axis=0)
    quality = fit(head, Planted(x, data.score, data.groups)).predict(x[:3])
    assert in_range(quality, (3, m))
    np.testing.assert_allclose(quality[0], data.score.mean(axis=0), atol=0.12)


def test_one_group_is_enough_to_fit(head: type[Head]) -> None:
    data = planted(40)
    one = Planted(data.x, data.score, np.zeros(40, dtype=np.intp))
    assert in_range(fit(head, one).predict(data.x), (40, 3))


@pytest.mark.parametrize("name", CLOSED)
def test_the_order_of_the_prompts_matters_little(name: str) -> None:
    data, held = planted(120), planted(60, seed=1).x
    order = np.random.default_rng(5).permutation(120)
    turned = Planted(data.x[order], data.score[order], data.groups[order])
    plain = fit(head_of(name), data).predict(held)
    np.testing.assert_allclose(fit(head_of(name), turned).predict(held), plain, atol=0.01)


def test_no_row_gives_no_quality(head: type[Head]) -> None:
    assert fit(head, planted(30)).predict(np.zeros((0, D), np.float32)).shape == (0, 3)


def test_a_row_far_from_all_others_stays_in_range(head: type[Head]) -> None:
    far = np.full((1, D), 1e4, dtype=np.float32)
    assert in_range(fit(head, planted(60)).predict(np.concatenate([far, -far])), (2, 3))


def test_a_blend_is_the_weighted_mean_of_its_members() -> None:
    data = planted(60)
    blend = Blend.fit(data.x, data.score, data.groups)
    parts = np.stack([m.predict(data.x) for m in blend.members])
    np.testing.assert_allclose(blend.predict(data.x), parts.mean(axis=0), atol=1e-5)
    assert set(blend.names) <= set(MEMBERS)
    assert len(set(blend.names)) > 1


def test_the_weights_of_a_blend_stay_with_their_members() -> None:
    data = planted(60)
    made = Blend.fit(data.x, data.score, data.groups, members=("knn", "linear"))
    given = {"knn": 0.9, "linear": 0.1}
    weights = np.asarray([given[name] for name in made.names], dtype=np.float32)
    uneven = Blend(made.members, made.names, weights)
    back = Blend.from_arrays(uneven.arrays())
    np.testing.assert_allclose(back.predict(data.x), uneven.predict(data.x), atol=0.02)
    assert dict(zip(back.names, back.weights_.tolist(), strict=True)) == pytest.approx(given)
