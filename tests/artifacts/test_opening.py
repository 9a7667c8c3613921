from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import CANDIDATES, planted_prompts
from turnout.artifacts.folder import MANIFEST
from turnout.artifacts.opening import head_of, open_router, trainable
from turnout.errors import ArtifactError, InputError, UnknownNameError
from turnout.routers.random import RandomRouter
from turnout.routers.trained import TrainedRouter
from turnout.training.fit import Fitted
from turnout.types import Query

QUERIES = [Query.of(p) for p in planted_prompts(10, seed=21)]


@pytest.fixture
def copied(artifacts: Path, tmp_path: Path) -> Path:
    """An artifact of `mf` to be spoilt."""
    return Path(shutil.copytree(artifacts / "mf", tmp_path / "mf"))


def change(folder: Path, key: str, value: Any) -> None:
    """Set one value of the manifest; a dot goes deeper, and None takes it out."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    at = manifest
    *path, last = key.split(".")
    for step in path:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize("name", trainable())
def test_an_artifact_predicts_as_what_was_fitted(
    name: str, fitted: dict[str, Fitted], artifacts: Path
) -> None:
    made, opened = fitted[name].open(), open_router(name, artifact=artifacts / name)
    assert isinstance(opened, TrainedRouter)
    assert opened.fingerprint
    a, b = made.predict(QUERIES, CANDIDATES), opened.predict(QUERIES, CANDIDATES)
    assert (a.quality == b.quality).all()
    assert a.pair == b.pair
    assert a.output_tokens is not None
    assert a.output_tokens[0].tolist() == [100, 100, 100]


def test_a_path_may_be_text_or_an_option(artifacts: Path) -> None:
    folder = artifacts / "mf"
    by_path = open_router("mf", artifact=folder)
    for opened in (
        open_router("mf", artifact=str(folder)),
        open_router("mf", options={"artifact": str(folder)}),
    ):
        assert opened.fingerprint == by_path.fingerprint


def test_an_artifact_of_another_router_is_refused(artifacts: Path) -> None:
    with pytest.raises(ArtifactError, match="is of router 'mf', not 'knn'; open it as 'mf'"):
        open_router("knn", artifact=artifacts / "mf")


def test_an_artifact_of_another_encoder_is_refused(copied: Path) -> None:
    change(copied, "encoder.fingerprint", "0" * 64)
    with pytest.raises(ArtifactError, match=r"fitted with encoder hashing-64 000000000000….*again"):
        open_router("mf", artifact=copied)


def test_an_artifact_of_an_encoder_that_does_not_exist_is_refused(copied: Path) -> None:
    change(copied, "encoder.name", "static-512")
    with pytest.raises(UnknownNameError, match="static-256"):
        open_router("mf", artifact=copied)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder", None),
        ("encoder.fingerprint", 7),
        ("encoder", "static-256"),
        ("columns", None),
        ("columns.names", 3),
        ("pair", {"kind": "logistic", "d": 1}),
        ("pair", None),
        ("pair.kind", "no such rule"),
        ("pair.a", float("nan")),
        ("pair.a", "steep"),
        ("columns.names", ["large", "medium", "medium"]),
        ("columns.names", [1, 2, 3]),
        ("columns.strong_prior", "high"),
        ("columns.names", ["large", "medium"]),
        ("columns.names", ["large", "medium", "small", "extra"]),
    ],
)
def test_a_manifest_that_does_not_fit_its_arrays_is_refused(
    copied: Path, key: str, value: Any
) -> None:
    change(copied, key, value)
    with pytest.raises(ArtifactError, match="train it again"):
        open_router("mf", artifact=copied)


def test_a_router_that_does_not_exist_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"no router named 'lineer'.*Did you mean 'linear'"):
        open_router("lineer")


def test_options_are_checked_and_suggested() -> None:
    with pytest.raises(InputError, match=r"options of router random: 'sede'.*Did you mean 'seed'"):
        open_router("random", options={"sede": 1})
    with pytest.raises(InputError, match="it takes: artifact"):
        open_router("mf", options={"seed": 1})
    with pytest.raises(InputError, match="it takes: file"):
        open_router("rules", options={"path": "x"})
    with pytest.raises(InputError, match="router 'random' is not trained: leave it out"):
        open_router("random", artifact="somewhere")


def test_options_reach_the_router() -> None:
    a, b, c = (open_router("random", options={"seed": s}) for s in (1, 1, 2))
    assert isinstance(a, RandomRouter)
    first, same, other = (r.predict(QUERIES, CANDIDATES).quality for r in (a, b, c))
    assert (first == same).all()
    assert not np.allclose(first, other)


def test_a_missing_artifact_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="`turnout train`"):
        open_router("mf", artifact=tmp_path)


def test_heads_are_what_can_be_trained() -> None:
    assert {"linear", "knn", "mf", "clusters", "blend"} <= set(trainable())
    with pytest.raises(UnknownNameError, match="no trainable router named 'rules'"):
        head_of("rules")


def test_the_threshold_for_a_share_calls_the_strong_model_that_often(artifacts: Path) -> None:
    router = open_router("linear", artifact=artifacts / "linear")
    assert isinstance(router, TrainedRouter)
    pair = CANDIDATES[:2]
    for share in (0.0, 0.25, 0.5, 1.0):
        threshold = router.threshold_for_share(pair, share)
        called = float((router.reference_win_rates(pair) >= threshold).mean())
        assert called == pytest.approx(share, abs=0.06)
    with pytest.raises(InputError, match="between two models"):
        router.threshold_for_share(CANDIDATES, 0.5)
