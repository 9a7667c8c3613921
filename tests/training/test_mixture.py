"""Training a mixture: members of every kind, weights out of fold, and errors that name the member."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts, planted_table
from turnout import registry
from turnout.artifacts.opening import open_router
from turnout.data.groups import group_folds
from turnout.errors import DataError, InputError, UnknownNameError
from turnout.routers.mixture import Mixture
from turnout.training import trainers
from turnout.training.fit import FOLDS, Fitted, fit_router
from turnout.training.members import read_members
from turnout.training.simplex import fit_weights, simplex_weights
from turnout.types import Query

ENCODER = "hashing-16"
QUERIES = [Query.of(p) for p in planted_prompts(8, seed=5)]


def mixed(members: str, *, weights: str = "fitted", n: int = 80, seed: int = 0) -> Fitted:
    options = {"members": members, "weights": weights}
    return trainers.train("mixture", planted_table(n, seed=seed), encoder=ENCODER, options=options)


@pytest.fixture(scope="module")
def made() -> Fitted:
    return mixed("linear,rules")


def test_the_better_member_counts_for_more(made: Fitted) -> None:
    stated = made.manifest["weighed"]
    assert list(stated) == ["linear", "rules"]
    assert stated["linear"]["brier_out_of_fold"] < stated["rules"]["brier_out_of_fold"]
    assert stated["linear"]["weight"] > 0.7
    assert sum(found["weight"] for found in stated.values()) == pytest.approx(1.0, abs=1e-3)
    assert "| `rules` |" in made.card


def test_a_head_is_the_one_that_train_fits_and_is_asked_out_of_fold(made: Fitted) -> None:
    table = planted_table(80)
    order = np.argsort(-table.score.mean(axis=0), kind="stable")
    alone = fit_router("linear", table.columns([table.models[j] for j in order]), encoder=ENCODER)
    for key, array in alone.arrays.items():
        np.testing.assert_array_equal(made.arrays[f"members/linear/{key}"], array)
    found = made.manifest["weighed"]["linear"]["brier_out_of_fold"]
    assert found == alone.manifest["measured"]["brier_out_of_fold"]


def test_predictions_out_of_fold_are_kept_for_all_prompts_in_the_tables_columns(
    made: Fitted,
) -> None:
    table = planted_table(80)
    assert made.predicted is not None
    assert made.predicted.shape == table.shape
    error = float(((made.predicted - table.score) ** 2).mean())
    assert error == pytest.approx(made.manifest["measured"]["brier_out_of_fold"], abs=1e-5)


def test_even_weights_are_even() -> None:
    manifest = mixed("linear,rules,random?seed=3", weights="even").manifest
    assert [found["weight"] for found in manifest["weighed"].values()] == [0.3333] * 3
    assert manifest["members"]["random"]["options"] == {"seed": 3}


def test_what_members_have_in_common_is_stored_once(tmp_path: Path) -> None:
    made = mixed("linear,clusters", weights="even")
    shared = made.manifest["members"]["clusters"]["shared"]
    assert shared["inputs/shift"] == "members/linear/inputs/shift"
    assert "members/clusters/inputs/shift" not in made.arrays
    made.write(tmp_path / "mixed")
    found = open_router("mixture", artifact=tmp_path / "mixed").predict(QUERIES, CANDIDATES)
    assert np.isfinite(found.quality).all()


def test_a_member_without_weight_is_not_kept_and_the_card_says_what_it_was_worth() -> None:
    made = mixed("linear,random?seed=3", n=120)
    assert made.manifest["weighed"]["random"]["weight"] == 0.0
    assert list(made.manifest["members"]) == ["linear"]
    assert made.arrays["weights"].tolist() == [1.0]
    assert "| `random` | 0.0 |" in made.card
    assert "member random has no weight: not kept" in made.manifest["notes"]
    assert made.open().predict(QUERIES, CANDIDATES).quality.shape == (8, 3)


def test_written_and_opened_it_predicts_the_same(made: Fitted, tmp_path: Path) -> None:
    made.write(tmp_path / "mixed")
    router = open_router("mixture", artifact=tmp_path / "mixed")
    assert isinstance(router, Mixture)
    assert router.fingerprint is not None
    expected = made.open().predict(QUERIES, CANDIDATES).quality
    np.testing.assert_array_equal(router.predict(QUERIES, CANDIDATES).quality, expected)


def test_the_same_seed_and_data_give_the_same_artifact(made: Fitted) -> None:
    again = mixed("linear,rules")
    assert again.manifest == made.manifest
    for key, array in made.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], array)


def test_a_member_that_its_own_trainer_fits_is_fitted_on_the_other_folds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[int] = []
    plain = trainers.train

    def train(name: str, table: object, **given: object) -> Fitted:
        made = plain(name, table, **given)  # type: ignore[arg-type]
        if name != "linear":
            return made
        seen.append(len(table.prompts))  # type: ignore[attr-defined]
        # As a trainer that keeps no predictions out of fold.
        return Fitted(
            name=made.name,
            manifest=made.manifest,
            arrays=made.arrays,
            card=made.card,
            files={"net.bin": b"x"},
        )

    monkeypatch.setattr("turnout.training.members.trainers.train", train)
    given = {"options": {"members": "linear,rules"}, "encoder": ENCODER}
    first = plain("mixture", planted_table(80), checkpoint=tmp_path / "parts", **given)  # type: ignore[arg-type]
    assert seen[0] == 80
    assert len(seen) == 1 + FOLDS
    assert sum(80 - n for n in seen[1:]) == 80  # each prompt is held out once
    assert first.files == {"linear.net.bin": b"x"}
    seen.clear()
    again = plain("mixture", planted_table(80), checkpoint=tmp_path / "parts", **given)  # type: ignore[arg-type]
    assert seen == [80]  # finished folds are taken over
    assert again.manifest == first.manifest


@pytest.mark.parametrize(
    ("members", "error", "says"),
    [
        ("linear", InputError, "at least two"),
        ("", InputError, "at least two"),
        (
            "linear,rulez",
            UnknownNameError,
            r"member of mixture named 'rulez'.*Did you mean 'rules'",
        ),
        ("linear,linear", InputError, "once"),
        ("linear,mixture", UnknownNameError, "'mixture'"),
        ("linear,bandit", InputError, "'bandit'.*learns"),
        ("linear,rules?file", InputError, r"NAME\?KEY=VALUE"),
    ],
)
def test_members_that_cannot_be_are_refused(
    members: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        read_members(members)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ("rules,causal_llm", "'causal_llm'"),
        ("rules,linear?depth=3", "'linear'.*depth"),
        ("linear,rules?file=none.yaml", "'rules'.*none.yaml"),
    ],
)
def test_a_member_that_cannot_be_fitted_or_opened_is_named(members: str, says: str) -> None:
    with pytest.raises(DataError, match=rf"members: {says}.*leave this member out"):
        mixed(members)


def test_a_member_that_does_not_know_the_models_is_named(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - use: gigantic\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"members: 'rules'.*gigantic.*leave this member out"):
        mixed(f"linear,rules?file={rules}")


def test_weights_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match=r"weights: 'best'.*fitted, even"):
        mixed("linear,rules", weights="best")


def test_what_was_fitted_elsewhere_is_noted() -> None:
    if "universal" not in registry.names("routers"):
        pytest.skip("needs the universal router")
    notes = mixed("linear,universal", weights="even").manifest["notes"]
    assert any("universal was fitted elsewhere" in note for note in notes)
    assert any("universal knows no outcomes of large, medium, small" in note for note in notes)


def test_least_squares_on_the_simplex_finds_the_corner_and_the_inside() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((3, 4_000))
    inside = np.asarray([0.5, 0.3, 0.2])
    for target, expected in ((inside @ p, inside), (2 * p[1] - p[0], np.asarray([0, 1, 0]))):
        w = simplex_weights(p @ p.T / 4_000, p @ target / 4_000, 0.0)
        np.testing.assert_allclose(w, expected, atol=0.02)
        assert w.sum() == pytest.approx(1.0)
        assert w.min() >= 0.0


def test_a_larger_penalty_draws_to_even_weights() -> None:
    p = np.random.default_rng(1).random((2, 1_000))
    gram, target = p @ p.T / 1_000, p @ p[0] / 1_000
    far = [abs(simplex_weights(gram, target, c)[0] - 0.5) for c in (0.0, 0.03, 0.3, 1e6)]
    assert all(a > b for a, b in pairwise(far))
    assert far[0] == pytest.approx(0.5, abs=1e-6)
    assert far[-1] < 1e-5


def test_where_no_member_is_better_weights_stay_near_even() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random((300, 3)).astype(np.float32)
    score = (rng.random(truth.shape) < truth).astype(np.float32)
    each = np.stack([truth, truth]).astype(np.float32)
    each += rng.normal(0, 0.1, each.shape).astype(np.float32)
    weights, _ = fit_weights(each, score, group_folds(np.arange(300), 5, seed=0))
    np.testing.assert_allclose(weights, 0.5, atol=0.1)


def test_an_average_out_of_fold_does_not_see_its_own_scores() -> None:
    rng = np.random.default_rng(3)
    each = rng.random((2, 60, 2)).astype(np.float32)
    score = rng.random((60, 2)).astype(np.float32)
    score[:, 0] = each[0, :, 0]
    score[5, 1] = np.nan
    fold = group_folds(np.arange(60), 3, seed=0)
    _, before = fit_weights(each, score, fold)
    moved = score.copy()
    moved[fold == 0] = 1.0 - moved[fold == 0]
    parts = [
        fit_weights(each[:, fold != 0], s[fold != 0], fold[fold != 0])[0] for s in (score, moved)
    ]
    np.testing.assert_array_equal(parts[0], parts[1])
    assert np.isfinite(before).all()
