from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import CANDIDATES, SUCCESS, planted_prompts
from turnout.artifacts.opening import open_router
from turnout.engine import Engine
from turnout.errors import InputError, UnknownNameError
from turnout.gateway.http.headers import decision_headers
from turnout.names import RouteSpec
from turnout.policies.explore import Explore
from turnout.routers.base import Learns
from turnout.types import Outcome, Pool, Query

POOL = Pool(candidates=CANDIDATES, default="large")
COST = np.asarray([100.0, 10.0, 1.0]) * 1e9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"share": 0.0}, "explore.share: 0.0"),
        ({"share": 1.0}, "explore.share: 1.0"),
        ({"share": float("nan")}, "explore.share: nan"),
        ({"share": 0.1, "how": "greedy"}, "explore.how: 'greedy'"),
        ({"share": 0.1, "most_cost_usd": 0.0}, "explore.most_cost_usd: 0.0"),
    ],
)
def test_what_cannot_be_used_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Explore(**given)


def test_uniform_chances_are_the_share_over_the_others() -> None:
    chance = Explore(share=0.1).chances(1, COST)
    np.testing.assert_allclose(chance, [0.05, 0.9, 0.05])


def test_dear_and_unpriced_candidates_are_left_alone() -> None:
    explore = Explore(share=0.1, most_cost_usd=0.05)
    np.testing.assert_allclose(explore.chances(1, COST), [0.0, 0.9, 0.1])
    unpriced = np.asarray([100e9, 10e9, np.nan])
    np.testing.assert_array_equal(explore.chances(1, unpriced), [0.0, 1.0, 0.0])


def test_samples_give_each_candidate_the_chance_that_it_is_best() -> None:
    samples = np.asarray([[0.9, 0.1, 0.2]] * 3 + [[0.1, 0.2, 0.9]], dtype=np.float32)
    chance = Explore(share=0.2, how="samples").chances(1, COST, samples)
    np.testing.assert_allclose(chance, [0.15, 0.8, 0.05])


def test_the_propensity_is_how_often_it_happens() -> None:
    explore = Explore(share=0.3, seed=4)
    made = [explore.choose(0, COST) for _ in range(20_000)]
    index = np.asarray([i for i, _ in made])
    for column, chance in enumerate((0.7, 0.15, 0.15)):
        assert abs((index == column).mean() - chance) < 4 * (chance * (1 - chance) / 20_000) ** 0.5
        np.testing.assert_allclose([p for i, p in made if i == column], chance)
    again = Explore(share=0.3, seed=4)
    assert [again.choose(0, COST) for _ in range(50)] == made[:50]


def engine(artifacts: Path, name: str = "knn", explore: Explore | None = None) -> Engine:
    base = artifacts / ("blend" if name in ("bandit", "knn_live") else name)
    return Engine(POOL, {name: open_router(name, artifact=base)}, explore=explore)


def test_without_it_nothing_is_explored(artifacts: Path) -> None:
    decisions = engine(artifacts).decide_many(
        [Query.of(p) for p in planted_prompts(40)], RouteSpec("knn", 0.3)
    )
    assert {d.propensity for d in decisions} == {None}
    assert "explored" not in {d.code for d in decisions}
    assert "x-turnout-propensity" not in decision_headers(decisions[0])


@pytest.mark.parametrize("how", ["uniform", "samples"])
def test_decisions_say_that_they_explored(artifacts: Path, how: Any) -> None:
    exploring = engine(artifacts, "bandit", Explore(share=0.4, how=how, seed=1))
    queries = [Query.of(p) for p in planted_prompts(120)]
    spec = RouteSpec("bandit", 0.3)
    plain = engine(artifacts, "bandit").decide_many(queries, spec)
    found = exploring.decide_many(queries, spec)
    moved = [d for d, p in zip(found, plain, strict=True) if d.model != p.model]
    assert 0 < len(moved) < 80
    assert {d.code for d in moved} == {"explored"}
    assert "was the choice" in moved[0].reason
    assert all(d.propensity is not None and 0.0 < d.propensity <= 0.4 for d in moved)
    header = decision_headers(moved[0])["x-turnout-propensity"]
    assert float(header) == pytest.approx(moved[0].propensity, rel=1e-5)
    assert moved[0].to_dict()["propensity"] == moved[0].propensity


def test_what_must_not_serve_is_not_explored(artifacts: Path) -> None:
    exploring = engine(artifacts, explore=Explore(share=0.5, seed=1))
    for prompt in planted_prompts(40):
        found = exploring.decide(Query.of(prompt), RouteSpec("knn", 0.3), allow=["large", "small"])
        assert found.model != "medium"


def test_weighting_by_inverse_propensities_estimates_another_choice(artifacts: Path) -> None:
    """The mean score of always calling `medium`, from a log in which it is mostly not called."""
    exploring = engine(artifacts, explore=Explore(share=0.4, seed=2))
    rng = np.random.default_rng(3)
    prompts = planted_prompts(2_000, 21)
    decisions = exploring.decide_many([Query.of(p) for p in prompts], RouteSpec("knn", 0.2))
    weighted = np.zeros(len(prompts))
    for i, decision in enumerate(decisions):
        score = float(rng.random() < SUCCESS[decision.model][i % 4])
        if decision.model == "medium":
            assert decision.propensity is not None
            weighted[i] = score / decision.propensity
    truth = float(np.mean(SUCCESS["medium"]))
    error = weighted.std(ddof=1) / len(prompts) ** 0.5
    assert abs(weighted.mean() - truth) < 3 * error
    assert error < 0.06
    naive = np.mean(
        [SUCCESS["medium"][i % 4] for i, d in enumerate(decisions) if d.model == "medium"]
    )
    assert abs(naive - truth) > 3 * error  # the plain mean of the log is of other prompts


def test_the_engine_teaches_the_routers_that_learn(artifacts: Path) -> None:
    learning = Engine(
        POOL,
        {
            "knn": open_router("knn", artifact=artifacts / "knn"),
            "knn_live": open_router("knn_live", artifact=artifacts / "knn"),
        },
    )
    seen = [Outcome(prompt="Prove it", model="small", score=1.0)]
    assert learning.learn(seen) == {"knn_live": 1}
    with pytest.raises(UnknownNameError, match="no candidate named 'tiny'"):
        learning.learn([Outcome(prompt="Prove it", model="tiny", score=1.0)])


@pytest.mark.parametrize("name", ["knn_live", "bandit"])
def test_regret_falls_below_the_static_routers_once_a_model_has_drifted(
    artifacts: Path, name: str
) -> None:
    """`small` becomes as good as `large`, which costs 0.2 of a good answer more.

    Regret is of the choice that the router makes, without what exploring itself costs.
    """
    truth = {**SUCCESS, "small": (0.95, 0.95, 0.95, 0.95)}
    dear = np.asarray([0.2, 0.1, 0.0])
    rng, explore = np.random.default_rng(5), Explore(share=0.2, seed=6)
    online = open_router(name, artifact=artifacts / "blend")
    assert isinstance(online, Learns)
    fixed = open_router("blend", artifact=artifacts / "blend")
    regret: dict[str, list[float]] = {"online": [], "static": []}
    for i, prompt in enumerate(planted_prompts(600, 31)):
        query = Query.of(prompt)
        worth = np.asarray([truth[c.name][i % 4] for c in CANDIDATES]) - dear
        best = int((online.predict([query], CANDIDATES).quality[0] - dear).argmax())
        called, _ = explore.choose(best, COST)
        score = float(rng.random() < truth[CANDIDATES[called].name][i % 4])
        online.partial_fit([Outcome(prompt=prompt, model=CANDIDATES[called].name, score=score)])
        if i >= 400:
            static = fixed.predict([query], CANDIDATES).quality[0] - dear
            regret["online"].append(float(worth.max() - worth[best]))
            regret["static"].append(float(worth.max() - worth[int(static.argmax())]))
    gain = np.asarray(regret["static"]) - np.asarray(regret["online"])
    assert gain.mean() - 1.96 * gain.std(ddof=1) / len(gain) ** 0.5 > 0.0
