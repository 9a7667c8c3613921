from __future__ import annotations

import numpy as np

from turnout.evaluation.ceiling import attainable_gains


def reached(score: np.ndarray, categories: tuple[str, ...] = ()) -> float:
    gains = attainable_gains(score, np.arange(len(score)), categories)
    assert gains is not None
    return float(score[np.arange(len(score)), gains.argmax(axis=1)].mean())


def test_where_outcomes_are_luck_the_ceiling_is_the_best_single_model_and_not_the_oracle() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random((3000, 1))
    score = (rng.random((3000, 8)) < 0.9 - 0.5 * hard + np.linspace(0.1, 0, 8)).astype(float)
    best, oracle = score.mean(axis=0).max(), score.max(axis=1).mean()
    assert oracle > best + 0.1
    assert abs(reached(score) - best) < 0.02


def test_where_other_models_tell_who_is_right_the_ceiling_finds_it() -> None:
    rng = np.random.default_rng(1)
    kind = rng.random(3000) < 0.5
    skill = np.where(kind[:, None], [0.9, 0.9, 0.2, 0.2], [0.2, 0.2, 0.8, 0.8])
    score = (rng.random((3000, 4)) < skill).astype(float)
    best = score.mean(axis=0).max()
    assert reached(score) > best + 0.15


def test_two_models_have_a_ceiling_only_by_categories() -> None:
    rng = np.random.default_rng(2)
    kinds = tuple("ab"[i % 2] for i in range(400))
    right = np.asarray([k == "a" for k in kinds])
    score = np.stack([right, ~right], axis=1) * (rng.random((400, 1)) < 0.9)
    assert attainable_gains(score, np.arange(400)) is None
    assert attainable_gains(score, np.arange(400), ("one",) * 400) is None
    assert reached(score.astype(float), kinds) > 0.85


def test_a_prompts_group_is_never_fitted_on() -> None:
    # 60 groups of 10 equal rows: with leaks, a group's own rows would tell its outcome.
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), 10)
    score = (rng.random((60, 5)) < 0.6).astype(float)[groups]
    gains = attainable_gains(score, groups)
    assert gains is not None
    got = score[np.arange(600), gains.argmax(axis=1)].mean()
    assert got < score.max(axis=1).mean() - 0.15
