"""The universal router on a planted space, and as it ships."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from turnout.artifacts.opening import PRETRAINED, open_router
from turnout.encoders.hashing import HashingEncoder
from turnout.engine import Engine
from turnout.errors import InputError
from turnout.names import RouteSpec
from turnout.routers.factors import Factors, TextFactors
from turnout.routers.inputs import RawRows, fit_inputs
from turnout.routers.remembered import Remembered
from turnout.routers.space import ModelSpace
from turnout.routers.universal import Universal
from turnout.types import Candidate, PairRule, Pool, Price, Query

K = 3
TEXTS = tuple(f"question {i} about {'sums' if i % 2 else 'words'} {'long ' * i}" for i in range(40))


def planted(*, scored: bool = True) -> Universal:
    encoder = HashingEncoder()
    inputs, rows = fit_inputs(RawRows.of(encoder, TEXTS), lexical=0)
    rng = np.random.default_rng(0)
    d = rows.shape[1]
    factors = Factors(
        project_=rng.standard_normal((d, K - 1)).astype(np.float32),
        shift_=np.zeros(K - 1, np.float32),
        centres_=np.zeros((0, d), np.float32),
        votes_=np.zeros((0, K - 1), np.float32),
        sharpness_=np.asarray(1.0, np.float32),
        length_=np.r_[np.zeros(d), 1.0].astype(np.float32),
    )
    space = ModelSpace(
        names=("small", "large", "o3-mini@high"),
        basis=("measured outcomes of small", "measured outcomes of large", "measured high"),
        vectors_=np.asarray([[-1, 1, 0], [2, 0.5, 0], [1, 0, 1]], np.float32),
        spread_=np.full((3, K), 0.1, np.float32),
        prior_mean_=np.zeros(K, np.float32),
        prior_cov_=np.eye(K, dtype=np.float32),
        tokens_=np.asarray([3.0, 5.0, np.nan], np.float32),
        seen_=np.full(3, 100, np.float32),
    )
    made = np.tile(factors.of_rows(rows), (4, 1))
    predicted = (1 / (1 + np.exp(-made @ space.vectors_.T))).astype(np.float32)
    score = (rng.random(predicted.shape) < predicted).astype(np.float32)
    if not scored:
        score[::2, 0], score[1::2, 1] = np.nan, np.nan
    return Universal(
        name="universal",
        fingerprint=None,
        text=TextFactors(inputs=inputs, factors=factors),
        space=space,
        aliases={"big": "large"},
        pair=PairRule("difference"),
        known=Remembered(
            factors=made,
            predicted=predicted,
            score=score,
            input_tokens=np.full(len(made), 10.0, np.float32),
            log_tokens=np.full(len(made), 1.0, np.float32),
        ),
    )


def pool(*names: str) -> list[Candidate]:
    return [
        Candidate(name=n, price=Price.per_million(3.0 / (i + 1), 9.0 / (i + 1)))
        for i, n in enumerate(names)
    ]


def test_quality_is_the_vector_times_the_factors() -> None:
    router = planted()
    made = router.predict([Query.of(t) for t in TEXTS], pool("large", "small"))
    factors = router.text(TEXTS)
    np.testing.assert_allclose(
        made.quality[:, 1], 1 / (1 + np.exp(-factors @ router.space.vectors_[0])), rtol=1e-5
    )
    assert made.spread is not None
    assert made.output_tokens is not None
    assert (made.spread > 0).all()
    np.testing.assert_allclose(made.output_tokens[0], np.exp([6.0, 4.0]), rtol=1e-5)


def test_names_are_found_and_the_prior_is_marked() -> None:
    asked = [
        Candidate(name="Vendor/Large-2024-08-06"),
        Candidate(name="mine", known_as="big"),
        Candidate(name="o3-mini@high"),
        Candidate(name="tomorrow"),
    ]
    made = planted().predict([Query.of("hi")], asked)
    assert made.basis[:3] == (
        "measured outcomes of large",
        "measured outcomes of large",
        "measured high",
    )
    assert made.basis[3].startswith("prior: ")
    assert made.spread is not None
    assert made.spread[0, 3] > made.spread[0, 0], "less is known of it"


def test_the_reference_keeps_to_real_scores_where_there_are_enough() -> None:
    real = planted().reference(pool("large", "small"))
    assert real.score.shape == (160, 2)
    assert set(np.unique(real.score)) == {0.0, 1.0}
    holes = planted(scored=False)
    filled = holes.reference(pool("large", "small"))
    assert np.isfinite(filled.score).all()
    missing = np.isnan(holes.known.score[:, [1, 0]])
    np.testing.assert_array_equal(filled.score[missing], filled.predicted[missing])


def test_a_share_sets_the_threshold() -> None:
    router, two = planted(), pool("large", "small")
    cut = router.threshold_for_share(two, 0.25)
    rate = router.pair.win_rate(*router.reference(two).predicted.T)
    assert (rate >= cut).mean() == pytest.approx(0.25, abs=0.03)
    with pytest.raises(InputError, match="candidates"):
        router.threshold_for_share(pool("large", "small", "big"), 0.5)


def test_an_added_model_is_predicted_and_nothing_is_remembered_of_it() -> None:
    router = planted()
    space = router.space.with_model("new", np.asarray([4.0, 0, 0]), np.eye(K), seen=50)
    moved = router.with_space(space)
    made = moved.predict([Query.of("hi")], pool("new", "small"))
    assert made.quality[0, 0] == pytest.approx(1 / (1 + np.exp(-4.0)), abs=1e-5)
    assert np.isnan(moved.known.score[:, -1]).all()
    np.testing.assert_array_equal(moved.known.score[:, :3], router.known.score)
    assert len(moved.reference(pool("new", "small")).score)


@pytest.mark.parametrize("names", [("large", "small"), ("large", "o3-mini@high", "small")])
def test_the_engine_decides_with_it(names: tuple[str, ...]) -> None:
    candidates = pool(*names)
    engine = Engine(Pool(candidates=tuple(candidates), default=names[0]), {"universal": planted()})
    engine.check()
    made = engine.decide(Query.of("a sum"), RouteSpec("universal", 0.5))
    assert made.model in names
    assert not made.fallback
    assert set(made.basis) == set(names)


def test_what_is_remembered_comes_back() -> None:
    known = planted(scored=False).known
    back = Remembered.from_arrays(known.arrays())
    np.testing.assert_array_equal(np.isnan(back.score), np.isnan(known.score))
    for f in dataclasses.fields(known):
        np.testing.assert_allclose(
            getattr(back, f.name), getattr(known, f.name), atol=0.02, rtol=2e-3
        )


def test_the_shipped_artifact_knows_hundreds_of_models_and_fits_the_wheel() -> None:
    router = open_router("universal")
    assert isinstance(router, Universal)
    assert sum("@" not in name for name in router.space.names) > 150
    assert sum(f.stat().st_size for f in (PRETRAINED / "universal").iterdir()) < 5_000_000
    asked = pool("openai/gpt-4o-2024-08-06", "gpt-4o-mini", "model-of-tomorrow")
    texts = ("", "\ud800", "Hi!", "Prove that there are infinitely many primes.", "word " * 20_000)
    made = router.predict([Query.of(t) for t in texts], asked)
    assert np.isfinite(made.quality).all()
    assert made.basis[0] == "measured outcomes of gpt-4o"
    assert made.basis[2].startswith("prior: ")
    alone = router.predict([Query.of(texts[3])], asked)
    np.testing.assert_allclose(alone.quality[0], made.quality[3], atol=1e-5)
    engine = Engine(Pool(candidates=tuple(asked), default=asked[0].name), {"universal": router})
    engine.check()


def test_a_decision_says_how_sure_its_qualities_are() -> None:
    pool = Pool(
        candidates=(Candidate(name="gpt-4o"), Candidate(name="model-of-tomorrow")), default="gpt-4o"
    )
    engine = Engine(pool, {"universal": open_router("universal"), "mf": open_router("mf")})
    made = engine.decide(Query.of("Prove it."), RouteSpec("universal", 0.5))
    assert 0.0 < made.spread["gpt-4o"] < made.spread["model-of-tomorrow"] < 0.5
    assert made.to_dict()["spread"] == made.spread
    assert engine.decide(Query.of("Prove it."), RouteSpec("mf", 0.5)).spread == {}
