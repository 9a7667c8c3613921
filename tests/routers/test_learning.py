"""Routers that learn while they serve: what they find, what they refuse, and what they keep."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts
from turnout.artifacts.folder import write_artifact
from turnout.artifacts.opening import open_router
from turnout.errors import DataError, InputError, UnknownNameError
from turnout.routers.bandit import LEVEL_SD, NOISE_SD, PRIOR_SD, Arm, BanditRouter
from turnout.routers.learning import LearningRouter
from turnout.routers.live import LiveKnn
from turnout.types import Candidate, Floats, Outcome, Query

NAMES = ("knn_live", "bandit")


def opened(name: str, folder: Path, **options: object) -> LearningRouter:
    router = open_router(name, artifact=folder, options=options)
    assert isinstance(router, LearningRouter)
    return router


def quality(router: LearningRouter, prompts: list[str]) -> Floats:
    return router.predict([Query.of(p) for p in prompts], CANDIDATES).quality


def drifted(n: int, *, seed: int = 7) -> list[Outcome]:
    """`small` now answers every translation well, and nothing else changed."""
    prompts = [p for i, p in enumerate(planted_prompts(4 * n, seed)) if i % 4 == 1]
    return [Outcome(prompt=p, model="small", score=1.0) for p in prompts]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("base", ["knn", "mf", "blend"])
def test_without_outcomes_the_fitted_router_speaks(name: str, base: str, artifacts: Path) -> None:
    prompts = planted_prompts(12, 3)
    plain = open_router(base, artifact=artifacts / base)
    expected = plain.predict([Query.of(p) for p in prompts], CANDIDATES)
    router = opened(name, artifacts / base)
    assert router.partial_fit([]) == 0
    found = router.predict([Query.of(p) for p in prompts], CANDIDATES)
    np.testing.assert_array_equal(found.quality, expected.quality)
    assert found.basis == expected.basis
    assert found.pair == expected.pair


@pytest.mark.parametrize("name", NAMES)
def test_a_drifted_model_is_found_where_it_drifted(name: str, artifacts: Path) -> None:
    router = opened(name, artifacts / "knn")
    prompts = planted_prompts(40, 11)
    before = quality(router, prompts)
    assert router.partial_fit(drifted(60)) == 60
    gain = quality(router, prompts) - before
    translations = gain[1::4, 2]
    assert translations.mean() > 0.15
    for kind in (0, 2, 3):
        assert translations.mean() > 1.5 * abs(gain[kind::4, 2].mean())
    np.testing.assert_array_equal(gain[:, :2], 0.0)  # of other models nothing was learned
    basis = router.predict([Query.of(prompts[0])], CANDIDATES).basis
    assert basis[2].endswith(", 60 learned while serving")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (Outcome(prompt="Hi", model="large", score=float("nan")), DataError, "score: nan"),
        (Outcome(prompt="Hi", model="large", score=1.5), DataError, "score: 1.5"),
        (Outcome(prompt=" ", model="large", score=1.0), DataError, "prompt: ' '"),
        (Outcome(prompt="Hi", model="lrge", score=1.0), UnknownNameError, "'lrge'"),
    ],
)
def test_one_bad_outcome_and_none_is_taken(
    name: str, bad: Outcome, error: type[Exception], says: str, artifacts: Path
) -> None:
    router = opened(name, artifacts / "knn")
    prompts = planted_prompts(8, 5)
    before = quality(router, prompts)
    with pytest.raises(error, match=says):
        router.partial_fit([*drifted(5), bad])
    np.testing.assert_array_equal(quality(router, prompts), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_outside_the_pool_is_refused(name: str, artifacts: Path) -> None:
    router = opened(name, artifacts / "knn")
    with pytest.raises(UnknownNameError, match="no candidate named 'small'"):
        router.partial_fit(drifted(1), pool=CANDIDATES[:2])


@pytest.mark.parametrize("name", NAMES)
def test_what_was_learned_is_kept_on_disk(name: str, artifacts: Path, tmp_path: Path) -> None:
    router = opened(name, artifacts / "blend")
    router.partial_fit(drifted(30))
    manifest, arrays = router.parts()
    write_artifact(tmp_path / "kept", manifest, arrays, "card")
    again = opened(name, tmp_path / "kept")
    prompts = planted_prompts(12, 3)
    np.testing.assert_allclose(quality(again, prompts), quality(router, prompts), atol=2e-3)
    again.partial_fit(drifted(10, seed=9))
    manifest, _ = again.parts()
    assert manifest["live"] == {"models": ["small"], "outcomes": 40}
    assert manifest["base"] == "blend"


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_over_the_shipped_router(name: str) -> None:
    pool = (Candidate(name="my-large"), Candidate(name="my-small"))
    router = open_router(name)
    assert isinstance(router, LearningRouter)
    queries = [Query.of(p) for p in planted_prompts(8, 3)]
    before = router.predict(queries, pool).quality
    good = [Outcome(prompt=p, model="my-small", score=1.0) for p in planted_prompts(80, 4)]
    router.partial_fit(good, pool=pool)
    after = router.predict(queries, pool).quality
    assert (after[:, 1] > before[:, 1]).all()
    np.testing.assert_array_equal(after[:, 0], before[:, 0])


def test_the_memory_is_a_ring(artifacts: Path) -> None:
    router = opened("knn_live", artifacts / "knn", memory=20)
    assert isinstance(router, LiveKnn)
    good = drifted(50)
    router.partial_fit([Outcome(prompt=o.prompt, model="small", score=0.0) for o in good])
    router.partial_fit(good[:20])
    assert len(router) == 20
    fresh = opened("knn_live", artifacts / "knn", memory=20)
    fresh.partial_fit(good[:20])
    prompts = planted_prompts(8, 3)
    np.testing.assert_array_equal(quality(router, prompts), quality(fresh, prompts))


def test_learning_beside_predicting_loses_nothing(artifacts: Path) -> None:
    router = opened("knn_live", artifacts / "knn")
    assert isinstance(router, LiveKnn)
    batches = [drifted(5, seed=s) for s in range(8)]
    threads = [threading.Thread(target=router.partial_fit, args=(b,)) for b in batches]
    for thread in threads:
        thread.start()
    prompts = planted_prompts(4, 3)
    while any(thread.is_alive() for thread in threads):
        assert np.isfinite(quality(router, prompts)).all()
    assert len(router) == 40


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("knn_live", {"memory": 0}, "memory: 0"),
        ("knn_live", {"neighbours": 2.5}, "neighbours: 2.5"),
        ("knn_live", {"prior": 0.0}, "prior: 0.0"),
        ("knn_live", {"live": True}, "live"),
        ("bandit", {"mode": "ucb"}, "mode: 'ucb'"),
        ("bandit", {"forgetting": 0.0}, "forgetting: 0.0"),
        ("bandit", {"alpha": -1.0}, "alpha: -1.0"),
    ],
)
def test_options_out_of_range(
    name: str, options: dict[str, object], says: str, artifacts: Path
) -> None:
    with pytest.raises(InputError, match=says):
        opened(name, artifacts / "knn", **options)


def test_rank_one_updates_are_the_exact_posterior() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((50, 5)), rng.standard_normal(50)
    arm = Arm.prior(5)
    for row, value in zip(z, y, strict=True):
        arm = arm.learned(row, float(value), 1.0)
    prior = np.diag([LEVEL_SD**-2, *[PRIOR_SD**-2] * 4])
    precision = prior + z.T @ z / NOISE_SD**2
    np.testing.assert_allclose(arm.covariance, np.linalg.inv(precision), rtol=1e-8)
    np.testing.assert_allclose(arm.mean, np.linalg.solve(precision, z.T @ y / NOISE_SD**2))


def test_forgetting_follows_a_change_and_never_winds_up() -> None:
    z = np.asarray([1.0, 0.0, 0.0])
    arms = {gamma: Arm.prior(3) for gamma in (1.0, 0.95)}
    for gamma, arm in arms.items():
        for value in [0.3] * 200 + [-0.3] * 50:
            arm = arm.learned(z, value, gamma)
        arms[gamma] = arm
    assert arms[0.95].mean[0] < -0.2 < 0.1 < arms[1.0].mean[0]
    assert np.trace(arms[0.95].covariance) <= 3 * PRIOR_SD**2 + 1e-9


def test_samples_spread_less_where_more_was_seen(artifacts: Path) -> None:
    router = opened("bandit", artifacts / "knn")
    assert isinstance(router, BanditRouter)
    query = Query.of(planted_prompts(2, 3)[1])
    rng = np.random.default_rng(0)
    router.partial_fit(drifted(100))
    mean = router.predict([query], CANDIDATES).quality[0]
    drawn = router.samples(query, CANDIDATES, mean, rng, 4000)
    assert drawn.shape == (4000, 3)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02)
    assert drawn[:, 2].std() < 0.65 * drawn[:, 0].std()
    assert drawn[:, 2].std() < 0.5 * 2**0.5 * PRIOR_SD
    bound = opened("bandit", artifacts / "knn", mode="linucb", alpha=2.0)
    assert isinstance(bound, BanditRouter)
    upper = bound.samples(query, CANDIDATES, mean, rng, 3)
    assert (upper == upper[0]).all()
    assert (upper[0] > mean).all()
