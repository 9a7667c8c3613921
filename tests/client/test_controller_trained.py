"""From outcomes to a routed reply: trained artifacts, and the one that ships."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controller_fakes import STRONG, WEAK, Upstream

from turnout.artifacts.opening import PRETRAINED
from turnout.client.controller import Controller
from turnout.client.replies import decision_of
from turnout.data.table import build_table
from turnout.errors import ArtifactError, UnknownNameError
from turnout.training.fit import fit_router
from turnout.types import Outcome

MODELS = ("large", "medium", "small")
WORDS = [
    "river",
    "stone",
    "window",
    "garden",
    "engine",
    "paper",
    "mountain",
    "candle",
    "bridge",
    "forest",
    "silver",
    "winter",
    "market",
    "ocean",
    "pencil",
    "ladder",
    "copper",
    "island",
    "violin",
    "harbour",
    "meadow",
    "lantern",
    "compass",
    "orchard",
    "feather",
    "planet",
    "ribbon",
    "castle",
    "marble",
    "thunder",
]
FORMS = {"hard": "prove the theorem about {}", "easy": "greet {}"}


def _prompts(kind: str, n: int, seed: int) -> list[str]:
    """Prompts that share their form and little else: near-duplicates would be one group."""
    rng = np.random.default_rng(seed)
    return [FORMS[kind].format(" ".join(rng.choice(WORDS, 8, replace=False))) for _ in range(n)]


def _message(kind: str) -> list[Any]:
    return [{"role": "user", "content": _prompts(kind, 1, seed=99)[0]}]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model answers what is easy, and all but the small one what is hard."""
    folder = tmp_path_factory.mktemp("artifacts") / "knn"
    table = build_table(
        Outcome(prompt=prompt, model=model, score=float(kind == "easy" or model != "small"))
        for kind in FORMS
        for prompt in _prompts(kind, 40, seed=7)
        for model in MODELS
    )
    fit_router("knn", table).write(folder)
    return folder


def test_a_trained_artifact_routes(upstream: Upstream, artifact: Path) -> None:
    config = {"knn": {"artifact": str(artifact)}}
    with Controller(["knn"], "large", "small", config, upstream.url, "k") as client:
        replies = [
            client.completion(model="router-knn-0.5", messages=_message(kind)) for kind in FORMS
        ]
        assert client.model_counts == {"knn": {"large": 1, "small": 1}}
        rates = [
            client.batch_calculate_win_rate(_prompts(k, 5, seed=98), "knn").mean() for k in FORMS
        ]
    assert [r.model for r in replies] == ["large", "small"]
    assert decision_of(replies[0]).artifact
    assert rates[0] > 0.5 > rates[1]


def test_a_model_that_was_not_in_the_outcomes(artifact: Path) -> None:
    config = {"knn": {"artifact": artifact}}
    with pytest.raises(UnknownNameError, match="known_as"):
        Controller(["knn"], "large", "llama3.2", config)
    models = {"llama3.2": {"known_as": "small"}}
    client = Controller(["knn"], "large", "llama3.2", config, models=models)
    assert client.decide(_message("easy"), model="router-knn-0.5").model == "llama3.2"


def test_an_artifact_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="turnout train"):
        Controller(["mf"], STRONG, WEAK, {"mf": {"artifact": tmp_path / "absent"}})


def test_three_models_from_outcomes(artifact: Path) -> None:
    prices = ((10, 30), (1, 3), (0.1, 0.3))
    client = Controller(
        ["knn"],
        config={"knn": {"artifact": artifact}},
        models={model: {"price": price} for model, price in zip(MODELS, prices, strict=True)},
    )
    best = client.decide(_message("hard"), model="router-knn-0")
    assert (best.policy, best.model) == ("hull", "medium")  # as good as the large one, and cheaper
    cheapest = client.decide(_message("hard"), model="router-knn-1")
    assert (cheapest.policy, cheapest.model) == ("hull", "small")


@pytest.mark.skipif(not (PRETRAINED / "mf").is_dir(), reason="no artifact of mf here")
def test_the_router_that_ships_needs_nothing() -> None:
    started = time.perf_counter()
    client = Controller(routers=["mf"], strong_model=STRONG, weak_model=WEAK)
    assert time.perf_counter() - started < 5.0
    rates = client.batch_calculate_win_rate(
        ["hi", "Prove that there are infinitely many primes of the form 4k + 3."], "mf"
    )
    assert np.isfinite(rates).all()
    assert rates[0] < rates[1]
    assert client.route("hi", "mf", 0.0) == STRONG
    assert client.route("hi", "mf", 1.0) == WEAK
