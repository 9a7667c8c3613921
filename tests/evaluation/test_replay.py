"""Replay and live decisions are the same for the same settings; new settings change what they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import CANDIDATES, planted_prompts, planted_table
from turnout.artifacts.opening import open_router, trainable
from turnout.data.table import OutcomeTable
from turnout.engine import Engine
from turnout.errors import (
    ArtifactError,
    InputError,
    NoCandidateError,
    RouterError,
    UnknownNameError,
)
from turnout.evaluation.replay import NOBODY, Replay
from turnout.evaluation.replay_folder import load, predict, predict_benchmark, save
from turnout.evaluation.replay_predictions import StoredPredictions, prompt_id, stored_router
from turnout.names import RouteSpec
from turnout.routers.base import Router
from turnout.types import Candidate, Pool, Price, Query

TRAINED = trainable()
PAIR = (CANDIDATES[0], CANDIDATES[2])
QUERIES = [Query.of(text) for text in planted_prompts(60, seed=3)]
THRESHOLDS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@pytest.fixture(params=["random", "rules", *TRAINED])
def router(request: pytest.FixtureRequest, artifacts: Path) -> Router:
    name = request.param
    if name in TRAINED:
        return open_router(name, artifact=artifacts / name)
    return open_router(name, options={"seed": 7} if name == "random" else None)


@pytest.fixture(scope="module")
def linear(artifacts: Path) -> Router:
    return open_router("linear", artifact=artifacts / "linear")


@pytest.fixture(scope="module")
def stored(linear: Router) -> StoredPredictions:
    return predict(linear, QUERIES, CANDIDATES)


@pytest.fixture(scope="module")
def stored_pair(linear: Router) -> StoredPredictions:
    return predict(linear, QUERIES, PAIR)


def live(router: Router, candidates: Sequence[Candidate], threshold: float) -> list[str]:
    engine = Engine(Pool(candidates=tuple(candidates), default=candidates[0].name), {"r": router})
    decisions = engine.decide_many(QUERIES, RouteSpec("r", threshold))
    assert engine.fallbacks == 0
    return [d.model for d in decisions]


def replayed(replay: Replay, threshold: float) -> list[str]:
    index = replay.decide(threshold)
    return [replay.candidates[j].name if j != NOBODY else "" for j in index]


@pytest.mark.parametrize("candidates", [PAIR, CANDIDATES], ids=["two", "three"])
def test_replay_decides_as_the_engine_does_with_every_router(
    router: Router, candidates: tuple[Candidate, ...], tmp_path: Path
) -> None:
    kept = predict(router, QUERIES, candidates)
    save(kept, tmp_path / "kept")
    replay = Replay(load(tmp_path / "kept"))
    # A coin is thrown anew each time: what was stored is then asked through an engine instead.
    asked = stored_router(kept) if router.name == "random" else router
    for threshold in THRESHOLDS:
        assert replayed(replay, threshold) == live(asked, candidates, threshold)


@pytest.mark.parametrize("candidates", [PAIR, CANDIDATES], ids=["two", "three"])
def test_new_prices_decide_as_the_engine_does_with_them(
    router: Router, candidates: tuple[Candidate, ...]
) -> None:
    prices = {"large": Price.per_million(0.01, 0.02), "small": Price.per_million(40, 9)}
    kept = predict(router, QUERIES, candidates)
    now = [replace(c, price=prices.get(c.name, c.price)) for c in candidates]
    asked = stored_router(kept) if router.name == "random" else router
    replay = Replay(kept, prices=prices)
    for threshold in THRESHOLDS:
        assert replayed(replay, threshold) == live(asked, now, threshold)


LADDER = tuple(
    Candidate(name=name, price=Price.per_million(*usd))
    for name, usd in (
        ("gpt-4o", (2.5, 10)),
        ("someone/new", (0.4, 1.6)),
        ("gpt-4o-mini", (0.15, 0.6)),
    )
)


@pytest.mark.parametrize("name", ["blend", "universal", "mf", "sw_ranking", "bandit", "knn_live"])
@pytest.mark.parametrize("m", [2, 3])
def test_routers_as_they_ship_replay_too(name: str, m: int, tmp_path: Path) -> None:
    router, candidates = open_router(name), (LADDER[0], *LADDER[4 - m :])
    save(predict(router, QUERIES, candidates), tmp_path / "kept")
    replay = Replay(load(tmp_path / "kept"))
    for threshold in THRESHOLDS:
        assert replayed(replay, threshold) == live(router, candidates, threshold)


@pytest.mark.parametrize("names", [("large", "medium"), ("medium", "small"), ("small", "large")])
def test_fewer_models_decide_as_the_engine_does_with_them(
    linear: Router, stored: StoredPredictions, names: tuple[str, ...]
) -> None:
    now = [next(c for c in CANDIDATES if c.name == name) for name in names]
    replay = Replay(stored, models=names)
    for threshold in THRESHOLDS:
        assert replayed(replay, threshold) == live(linear, now, threshold)


@settings(max_examples=12)
@given(threshold=st.floats(0, 1))
def test_at_any_threshold(
    linear: Router, stored_pair: StoredPredictions, stored: StoredPredictions, threshold: float
) -> None:
    assert replayed(Replay(stored_pair), threshold) == live(linear, PAIR, threshold)
    assert replayed(Replay(stored), threshold) == live(linear, CANDIDATES, threshold)


@settings(max_examples=20)
@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_threshold_never_calls_the_strong_model_more(
    stored_pair: StoredPredictions, low: float, high: float
) -> None:
    low, high = min(low, high), max(low, high)
    replay = Replay(stored_pair)
    assert ((replay.decide(high) == 0) <= (replay.decide(low) == 0)).all()


def test_constraints_of_then_hold_and_single_candidates_need_no_prediction(linear: Router) -> None:
    narrow = (*CANDIDATES[:2], replace(CANDIDATES[2], context_tokens=60))
    queries = [
        *QUERIES,
        Query.of("long " * 100),
        Query.of("tool " * 100, needs=frozenset({"tools"})),
    ]
    narrow = (narrow[0], replace(narrow[1], capabilities=frozenset()), narrow[2])
    kept = predict(linear, queries, narrow)
    assert kept.out[-2:].tolist() == [[False, False, True], [False, True, True]]
    engine = Engine(Pool(candidates=narrow, default="large"), {"r": linear})
    replay = Replay(kept)
    for threshold in THRESHOLDS:
        decisions = engine.decide_many(queries, RouteSpec("r", threshold))
        assert replayed(replay, threshold) == [d.model for d in decisions]
    without = Replay(kept, models=["medium", "small"])
    assert without.decide(0.5)[-1] == NOBODY
    assert without.stored_columns(without.decide(0.5))[-1] == NOBODY
    with pytest.raises(NoCandidateError):
        predict(linear, [queries[-1]], narrow[1:])


def test_a_cap_on_the_output_counts_as_it_does_live(linear: Router) -> None:
    queries = [Query.of(q.text, max_output_tokens=5) for q in QUERIES]
    arms = tuple(replace(c, arm_output_tokens=3) for c in CANDIDATES)
    engine = Engine(Pool(candidates=arms, default="large"), {"r": linear})
    for asked in (queries, QUERIES):
        made = engine.decide_many(asked, RouteSpec("r", 0.5))
        cost = Replay(predict(linear, asked, arms)).cost_picousd
        for i, decision in enumerate(made):
            assert [round(c) for c in cost[i]] == list(decision.expected_cost_picousd.values())


def test_a_folder_gives_back_what_was_saved(stored: StoredPredictions, tmp_path: Path) -> None:
    full = stored.with_outcomes(outcomes_of(QUERIES))
    first = save(full, tmp_path / "kept")
    back = load(tmp_path / "kept")
    assert back.candidates == full.candidates
    assert back.pair == full.pair
    assert (back.quality == full.quality).all()
    assert (back.output_tokens == full.output_tokens).all()
    assert back.outcomes is not None
    assert full.outcomes is not None
    np.testing.assert_array_equal(back.outcomes.score, full.outcomes.score)
    assert back.artifact == stored.artifact
    assert back.encoder == stored.encoder is not None
    assert save(back, tmp_path / "kept") == first


def test_no_text_is_in_the_folder(stored: StoredPredictions, tmp_path: Path) -> None:
    save(stored, tmp_path / "kept")
    written = b"".join(file.read_bytes() for file in (tmp_path / "kept").iterdir())
    for query in QUERIES:
        assert query.text.encode() not in written
        assert prompt_id(query.text) in written


def outcomes_of(queries: Sequence[Query]) -> OutcomeTable:
    table = planted_table(len(queries), seed=3)
    return replace(table, prompts=tuple(q.text for q in queries))


def test_outcomes_join_by_prompt(stored: StoredPredictions) -> None:
    table = outcomes_of(QUERIES).rows(list(range(10, 40))[::-1])
    joined = stored.with_outcomes(table.columns(["small", "large"]))
    assert joined.outcomes is not None
    assert np.isnan(joined.outcomes.score[:10]).all()
    assert np.isnan(joined.outcomes.score[:, 1]).all()
    assert (joined.outcomes.score[10:40, 0] == table.score[::-1, 0]).all()
    assert "outcomes of 30 of 60 prompts" in joined.notes
    with pytest.raises(InputError, match="no prompt with a score"):
        stored.with_outcomes(replace(table, prompts=tuple(map(str, range(30)))))


def test_what_does_not_fit_is_named(
    stored: StoredPredictions, stored_pair: StoredPredictions
) -> None:
    with pytest.raises(UnknownNameError, match=r"'medum'.*large.*Did you mean 'medium'"):
        Replay(stored, models=["medum"])
    with pytest.raises(UnknownNameError, match="gpt-9"):
        Replay(stored, prices={"gpt-9": Price.per_million(1, 1)})
    with pytest.raises(InputError, match="keep at least one"):
        Replay(stored, models=[])
    with pytest.raises(InputError, match="once"):
        Replay(stored, models=["large", "large"])
    with pytest.raises(InputError, match="between two models"):
        Replay(stored, policy="threshold")
    with pytest.raises(InputError, match="no decisions are recorded"):
        Replay(stored).decide()
    with pytest.raises(InputError, match="no reference"):
        Replay(replace(stored, reference=None), policy="hull")
    with pytest.raises(RouterError, match="no prediction is stored"):
        stored_router(stored).predict([Query.of("another one")], CANDIDATES)
    stored_router(stored).check(CANDIDATES)
    assert Replay(stored_pair).policy_name() == "threshold"
    assert Replay(stored).policy_name() == "hull"
    assert Replay(replace(stored, reference=None)).policy_name() == "within_price"
    assert Replay(stored, models=["large"]).policy_name() == "only_candidate"


@pytest.mark.parametrize("policy", ["threshold", "hull", "within_price"])
def test_another_policy_can_be_tried_between_two(
    stored_pair: StoredPredictions, policy: str
) -> None:
    replay = Replay(stored_pair, policy=policy)  # type: ignore[arg-type]
    assert replay.policy_name() == policy
    cost = [replay.chosen(replay.cost_picousd, replay.decide(t)).mean() for t in (0.0, 1.0)]
    assert cost[1] <= cost[0]


def test_an_unpriced_candidate_needs_a_price_where_prices_decide(linear: Router) -> None:
    free = tuple(replace(c, price=None) for c in CANDIDATES)
    kept = predict(linear, QUERIES, free)  # its reference has no costs
    with pytest.raises(InputError, match="price: 'large'"):
        Replay(kept).decide(0.5)
    prices = {c.name: c.price for c in CANDIDATES if c.price is not None}
    assert replayed(Replay(kept, prices=prices), 0.5) == live(linear, CANDIDATES, 0.5)
    assert replayed(Replay(predict(linear, QUERIES, free[:2])), 0.5)  # between two none is needed


def test_a_router_that_predicts_no_number_is_refused(linear: Router) -> None:
    class Broken:
        name, fingerprint = "broken", None

        def check(self, candidates: Sequence[Candidate]) -> None: ...

        def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]):  # type: ignore[no-untyped-def]
            made = linear.predict(queries, candidates)
            return replace(made, quality=made.quality * np.nan)

    with pytest.raises(RouterError, match="broken predicted a quality that is not a number"):
        predict(Broken(), QUERIES, CANDIDATES)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_used_says_why(
    stored: StoredPredictions, tmp_path: Path, artifacts: Path
) -> None:
    with pytest.raises(ArtifactError, match="made by `turnout evaluate --save-predictions`"):
        load(tmp_path)
    with pytest.raises(ArtifactError, match="a router's artifact"):
        load(artifacts / "linear")
    kept = tmp_path / "kept"
    save(stored, kept)
    manifest = (kept / "manifest.json").read_text()
    for old, new, says in (
        ('"predictions_format": 1', '"predictions_format": 9', "format 9, not 1"),
        ('"prompts": 60', '"prompts": 59', r"array quality is \(60, 3\), not \(59, 3\)"),
        ('"default": "large",', "", "does not fit"),
    ):
        assert old in manifest
        (kept / "manifest.json").write_text(manifest.replace(old, new))
        with pytest.raises(ArtifactError, match=says):
            load(kept)
    (kept / "manifest.json").write_text(manifest)
    arrays = (kept / "arrays.safetensors").read_bytes()
    (kept / "arrays.safetensors").write_bytes(arrays[:-10])
    with pytest.raises(ArtifactError, match=r"corrupt.*save them again"):
        load(kept)


def test_a_benchmark_brings_its_outcomes_and_groups(make, by_length) -> None:  # type: ignore[no-untyped-def]
    benchmark = make(80, 3)
    kept = predict_benchmark(by_length, benchmark)
    assert kept.outcomes is not None
    np.testing.assert_array_equal(kept.outcomes.score, benchmark.quality.astype(np.float32))
    assert np.isnan(kept.outcomes.output_tokens).all()
    assert (kept.groups == benchmark.groups).all()
    assert kept.source == "made-up"
