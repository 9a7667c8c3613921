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
from turnout.data.table import OutcomeTable, build_table
from turnout.errors import ArtifactError, UnknownNameError
from turnout.training.fit import fit_router
from turnout.types import Outcome

WORDS = (
    "river stone window garden engine paper mountain candle bridge forest silver winter market "
    "ocean pencil ladder copper island violin harbour meadow lantern compass orchard feather "
    "planet ribbon castle marble thunder"
).split()
HARD, EASY = "prove the theorem about {}", "greet {}"


def _prompts(form: str, n: int) -> list[str]:
    """Prompts that share their form and little else: near-duplicates would be one group."""
    rng = np.random.default_rng(7)
    return [form.format(" ".join(rng.choice(WORDS, 8, replace=False))) for _ in range(n)]


def _outcomes(models: list[str]) -> OutcomeTable:
    """Every model answers what is easy, and all but the last one what is hard."""
    return build_table(
        Outcome(prompt=prompt, model=model, score=float(easy or j < len(models) - 1))
        for easy, form in ((False, HARD), (True, EASY))
        for prompt in _prompts(form, 60)
        for j, model in enumerate(models)
    )


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts") / "mf"
    fit_router("mf", _outcomes([STRONG, WEAK])).write(folder)
    return folder


def test_a_trained_artifact_routes(upstream: Upstream, artifact: Path) -> None:
    config = {"mf": {"artifact": str(artifact)}}
    with Controller(["mf"], STRONG, WEAK, config, upstream.url, "k") as client:
        replies = [
            client.completion(
                model="router-mf-0.5", messages=[{"role": "user", "content": text.format("x")}]
            )
            for text in (HARD, EASY)
        ]
        assert client.model_counts == {"mf": {STRONG: 1, WEAK: 1}}
        rates = client.batch_calculate_win_rate([HARD.format(99), EASY.format(99)], "mf")
    assert [r.model for r in replies] == [STRONG, WEAK]
    assert decision_of(replies[0]).artifact
    assert rates[0] > 0.5 > rates[1]


def test_a_model_that_was_not_in_the_outcomes(artifact: Path) -> None:
    config = {"mf": {"artifact": artifact}}
    with pytest.raises(UnknownNameError, match="known_as"):
        Controller(["mf"], STRONG, "llama3.2", config)
    models = {"llama3.2": {"known_as": WEAK}}
    client = Controller(["mf"], STRONG, "llama3.2", config, models=models)
    assert client.route(EASY.format("x"), "mf", 0.5) == "llama3.2"


def test_an_artifact_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="turnout train"):
        Controller(["mf"], STRONG, WEAK, {"mf": {"artifact": tmp_path / "absent"}})


def test_three_models_from_outcomes(tmp_path: Path) -> None:
    folder = tmp_path / "linear"
    fit_router("linear", _outcomes(["large", "medium", "small"])).write(folder)
    models: dict[str, dict[str, Any]] = {
        "large": {"price": (10, 30)},
        "medium": {"price": (1, 3)},
        "small": {"price": (0.1, 0.3)},
    }
    client = Controller(["linear"], config={"linear": {"artifact": folder}}, models=models)
    assert client.route(HARD.format("x"), "linear", 1.0) == "small"
    decision = client.decide(HARD.format("x"), model="router-linear-0")
    assert (decision.policy, decision.model) == ("hull", "medium")  # as good as the large one
    assert client.route(EASY.format("x"), "linear", 0.0) == "small"


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
