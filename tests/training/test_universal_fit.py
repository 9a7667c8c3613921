"""Training `universal`: the user's outcomes over a space that was fitted before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts, planted_table
from turnout.artifacts.folder import read_artifact, write_artifact
from turnout.artifacts.opening import open_router
from turnout.data.table import OutcomeTable
from turnout.errors import ArtifactError, DataError, InputError
from turnout.routers.universal import Universal
from turnout.training import trainers
from turnout.training.fit import Fitted, fit_router
from turnout.training.onboarding import fit_model, open_base, write_added
from turnout.training.stacked import sureness
from turnout.types import Candidate, Floats, Price, Query
from universal_made import write_universal

ENCODER = "hashing-1024"
QUERIES = [Query.of(p) for p in planted_prompts(8, seed=5)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_universal(tmp_path_factory.mktemp("space") / "universal")


def trained(base: Path, table: OutcomeTable) -> Fitted:
    return trainers.train("universal", table, encoder=ENCODER, options={"base": str(base)})


def brier(made: Fitted) -> float:
    return float(made.manifest["measured"]["brier_out_of_fold"])


@pytest.fixture(scope="module")
def made(base: Path) -> Fitted:
    return trained(base, planted_table(80))


def qualities(router: object, *names: str) -> Floats:
    assert isinstance(router, Universal)
    pool = [Candidate(name=name, price=Price.per_million(1.0, 4.0)) for name in names]
    return router.predict(QUERIES, pool).quality


def test_few_labels_gain_by_the_space(base: Path) -> None:
    table = planted_table(40, seed=1)
    alone = fit_router("blend", table, encoder=ENCODER)
    both = trained(base, table)
    assert both.manifest["own"]["share"] < 0.7
    assert brier(both) < brier(alone) - 0.01


def test_a_space_that_says_nothing_costs_little(base: Path, tmp_path: Path) -> None:
    manifest, arrays, _ = read_artifact(base)
    arrays["factors/project"] = np.zeros_like(arrays["factors/project"])
    write_artifact(tmp_path / "mute", manifest, arrays, "# mute\n")
    table = planted_table(120, seed=2)
    both = trained(tmp_path / "mute", table)
    assert both.manifest["own"]["share"] > 0.8
    assert brier(both) < brier(fit_router("blend", table, encoder=ENCODER)) + 0.004


def test_written_and_opened_it_predicts_the_same(made: Fitted, tmp_path: Path) -> None:
    made.write(tmp_path / "mine")
    router = open_router("universal", artifact=tmp_path / "mine")
    np.testing.assert_array_equal(
        router.predict(QUERIES, CANDIDATES).quality,
        made.open().predict(QUERIES, CANDIDATES).quality,
    )
    assert "outcomes of large" in router.predict(QUERIES, CANDIDATES).basis


def test_a_query_gets_the_same_row_whatever_stands_beside_it(made: Fitted) -> None:
    router = made.open()
    whole = router.predict(QUERIES, CANDIDATES).quality
    alone = router.predict(QUERIES[3:4], CANDIDATES[::-1]).quality[:, ::-1]
    np.testing.assert_allclose(alone, whole[3:4], atol=1e-6)
    assert router.predict([], CANDIDATES).quality.shape == (0, 3)


def test_models_of_the_space_stay_beside_those_of_the_outcomes(made: Fitted, base: Path) -> None:
    before = qualities(open_router("universal", artifact=base), "thinker@high")
    after = qualities(made.open(), "thinker@high", "large")
    np.testing.assert_allclose(after[:, :1], before, atol=1e-6)
    assert not np.allclose(
        after[:, 1:], qualities(open_router("universal", artifact=base), "large")
    )


def test_its_reference_is_of_the_users_prompts_where_all_candidates_are(made: Fitted) -> None:
    router = made.open()
    assert isinstance(router, Universal)
    mine = router.reference(CANDIDATES)
    table = planted_table(80)
    order = [table.models.index(c.name) for c in CANDIDATES]
    np.testing.assert_allclose(mine.score, table.score[:, order])
    assert made.predicted is not None
    np.testing.assert_allclose(mine.predicted, made.predicted[:, order], atol=1e-3)
    mixed = router.reference([*CANDIDATES, Candidate(name="thinker@high")])
    assert len(mixed.score) == 240


def test_a_model_may_be_added_to_it_but_not_one_of_its_outcomes(
    made: Fitted, tmp_path: Path
) -> None:
    made.write(tmp_path / "mine")
    opened = open_base(tmp_path / "mine")
    price = Price.per_million(1.0, 4.0)
    with pytest.raises(InputError, match=r"large.*turnout train universal"):
        fit_model(opened, "large", planted_table(80).columns(["large"]), price)
    space = fit_model(opened, "newcomer", None, price)
    write_added(opened, space, "newcomer", tmp_path / "more")
    router = open_router("universal", artifact=tmp_path / "more")
    before = made.open().predict(QUERIES, CANDIDATES).quality
    np.testing.assert_array_equal(router.predict(QUERIES, CANDIDATES).quality, before)
    assert qualities(router, "newcomer").shape == (8, 1)


def test_the_same_seed_and_data_give_the_same_artifact(base: Path, made: Fitted) -> None:
    again = trained(base, planted_table(80))
    assert again.manifest == made.manifest
    for key, array in made.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], array)


def test_holes_are_left_out(base: Path) -> None:
    table = planted_table(80)
    score = table.score.copy()
    score[::3, 1] = np.nan
    score[4] = np.nan
    made = trained(base, dataclasses.replace(table, score=score))
    assert made.predicted is not None
    assert np.isfinite(made.predicted).all()
    assert made.manifest["measured"]["models"]["medium"]["prompts"] < 60


def test_wrong_input_is_refused_with_the_remedy(base: Path) -> None:
    table = planted_table(40)
    with pytest.raises(InputError, match=r"encoder.*hashing-16.*hashing-1024"):
        trainers.train("universal", table, encoder="hashing-16", options={"base": str(base)})
    twins = dataclasses.replace(table, models=("large", "Large", "small"))
    with pytest.raises(DataError, match=r"models.*rename"):
        trained(base, twins)
    with pytest.raises(ArtifactError):
        trained(base / "nowhere", table)


def test_arrays_of_other_models_are_refused(made: Fitted) -> None:
    keys = {**made.manifest, "own": {**made.manifest["own"], "keys": ["large", "small"]}}
    broken = dataclasses.replace(made, manifest=keys)
    with pytest.raises((ArtifactError, ValueError), match="own: 2 keys"):
        broken.open()


def test_an_average_counts_as_far_as_its_gain_is_sure() -> None:
    rng = np.random.default_rng(0)
    score = (rng.random((400, 2)) < 0.5).astype(np.float32)
    groups = np.arange(400)
    flat = np.full(score.shape, 0.7, dtype=np.float32)
    better = np.full(score.shape, 0.5, dtype=np.float32)
    many = sureness(flat, better, score, groups)
    few = sureness(flat[:20], better[:20], score[:20], groups[:20])
    assert 0.0 < few < many < 1.0
    assert many > 0.9
    assert sureness(better, flat, score, groups) == 0.0
    twice = [np.concatenate([a, a]) for a in (flat, better, score)]
    assert sureness(*twice, np.concatenate([groups, groups])) == pytest.approx(many)
    assert sureness(flat, better, score, np.zeros(400, dtype=int)) == 0.0
