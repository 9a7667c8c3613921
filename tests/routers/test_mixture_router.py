"""The mixture router: the average that it states, of members that it was fitted with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts, planted_table
from turnout.artifacts.folder import write_artifact
from turnout.artifacts.opening import open_parts, open_router
from turnout.errors import ArtifactError, InputError, UnknownNameError
from turnout.routers.base import Router
from turnout.routers.mixture import Mixture
from turnout.routers.trained import TrainedRouter
from turnout.training import trainers
from turnout.training.fit import Fitted
from turnout.types import Candidate, Query

QUERIES = [Query.of(p) for p in planted_prompts(12, seed=5)]


@pytest.fixture(scope="module")
def made() -> Fitted:
    options = {"members": "linear,rules,clusters", "weights": "even"}
    return trainers.train("mixture", planted_table(80), encoder="hashing-16", options=options)


@pytest.fixture(scope="module")
def router(made: Fitted) -> Mixture:
    opened = made.open()
    assert isinstance(opened, Mixture)
    return opened


def test_quality_is_the_calibrated_average_of_its_members(made: Fitted, router: Mixture) -> None:
    pool = [Candidate(name=name) for name in made.manifest["columns"]["names"]]
    each = [open_router("rules").predict(QUERIES, pool).quality]
    for name in ("linear", "clusters"):
        stated, prefix = made.manifest["members"][name]["manifest"], f"members/{name}/"
        arrays = {k.removeprefix(prefix): a for k, a in made.arrays.items() if k.startswith(prefix)}
        shared = made.manifest["members"][name].get("shared", {})
        arrays |= {k: made.arrays[held] for k, held in shared.items()}
        each.append(open_parts(name, stated, arrays).predict(QUERIES, pool).quality)
    expected = router.platt.apply(np.mean(each, axis=0))
    np.testing.assert_allclose(router.predict(QUERIES, pool).quality, expected, atol=1e-5)


def test_members_with_the_same_inputs_encode_a_query_once(router: Mixture) -> None:
    heads = [m for m in router.members if isinstance(m, TrainedRouter)]
    assert len(heads) == 2
    assert heads[0].inputs is heads[1].inputs


def test_it_keeps_the_contract_of_a_router(router: Mixture) -> None:
    assert isinstance(router, Router)
    assert router.name == "mixture"
    found = router.predict(QUERIES, CANDIDATES)
    assert found.quality.shape == (12, 3)
    assert found.quality.dtype == np.float32
    assert found.basis == tuple(f"outcomes of {c.name}" for c in CANDIDATES)
    assert router.predict([], CANDIDATES).quality.shape == (0, 3)
    for i, query in enumerate(QUERIES):
        alone = router.predict([query], CANDIDATES).quality[0]
        np.testing.assert_allclose(alone, found.quality[i], atol=1e-6)


def test_a_candidate_is_predicted_alike_in_any_pool_and_under_another_name(router: Mixture) -> None:
    whole = router.predict(QUERIES, CANDIDATES).quality
    turned = router.predict(QUERIES, CANDIDATES[::-1]).quality
    np.testing.assert_array_equal(turned[:, ::-1], whole)
    mine = router.predict(QUERIES, [Candidate(name="mine", known_as="medium")]).quality
    np.testing.assert_array_equal(mine[:, 0], whole[:, 1])
    with pytest.raises(UnknownNameError, match="gigantic"):
        router.check([Candidate(name="gigantic")])


def test_its_reference_sets_thresholds(router: Mixture) -> None:
    pair = [CANDIDATES[0], CANDIDATES[2]]
    rates = router.reference_win_rates(pair)
    assert rates.shape == (80,)
    cut = router.threshold_for_share(pair, 0.3)
    assert float((rates >= cut).mean()) == pytest.approx(0.3, abs=0.03)


def test_a_member_of_weight_0_is_not_asked(made: Fitted) -> None:
    arrays = {**made.arrays, "weights": np.asarray([0.5, 0.0, 0.5], dtype=np.float32)}
    router = open_parts("mixture", made.manifest, arrays)
    assert isinstance(router, Mixture)

    class Gone:
        waits = True

        def predict(self, *_: object) -> None:
            raise AssertionError("asked")

    members = (router.members[0], Gone(), router.members[2])
    object.__setattr__(router, "members", members)
    assert np.isfinite(router.predict(QUERIES, CANDIDATES).quality).all()
    assert not router.waits


def written(made: Fitted, folder: Path, **changes: object) -> Path:
    manifest = json.loads(json.dumps(made.manifest)) | changes
    write_artifact(folder, manifest, made.arrays, made.card)
    return folder


def test_a_member_that_changed_since_the_fit_is_refused(made: Fitted, tmp_path: Path) -> None:
    members = json.loads(json.dumps(made.manifest["members"]))
    members["rules"]["fingerprint"] = "0123456789abcdef"
    folder = written(made, tmp_path / "a", members=members)
    with pytest.raises(ArtifactError, match=r"member rules: fitted with 0123.*train it again"):
        open_router("mixture", artifact=folder)


def test_members_and_weights_that_do_not_belong_together_are_refused(
    made: Fitted, tmp_path: Path
) -> None:
    members = {k: v for k, v in made.manifest["members"].items() if k != "rules"}
    with pytest.raises(ArtifactError, match=r"weights.*2 members"):
        open_router("mixture", artifact=written(made, tmp_path / "a", members=members))
    other = {"names": ["large", "medium"]}
    with pytest.raises(ArtifactError, match="columns"):
        open_router("mixture", artifact=written(made, tmp_path / "b", columns=other))


def test_without_an_artifact_it_says_that_none_ships() -> None:
    with pytest.raises(ArtifactError, match="mixture"):
        open_router("mixture")
    with pytest.raises(InputError, match="depth"):
        open_router("mixture", options={"depth": 3})
