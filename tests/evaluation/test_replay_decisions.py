"""Recorded decisions replayed: the same as they were, and as they would be with other settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import CANDIDATES, planted_prompts
from turnout.artifacts.opening import open_router
from turnout.engine import Engine
from turnout.errors import DataError, InputError
from turnout.evaluation.replay import Replay
from turnout.evaluation.replay_decisions import price_of_costs, read_decisions
from turnout.knobs import HasReference
from turnout.names import RouteSpec
from turnout.routers.base import Router
from turnout.types import Candidate, Pool, Price, Query

PAIR = (CANDIDATES[0], CANDIDATES[2])
QUERIES = [Query.of(text) for text in planted_prompts(40, seed=9)]


@pytest.fixture(scope="module")
def linear(artifacts: Path) -> Router:
    return open_router("linear", artifact=artifacts / "linear")


def engine_of(router: Router, candidates: tuple[Candidate, ...]) -> Engine:
    return Engine(Pool(candidates=candidates, default=candidates[0].name), {"linear": router})


def written(path: Path, decisions: list[Any], *, prompts: bool = True) -> Path:
    rows = [d if isinstance(d, dict) else d.to_dict() for d in decisions]
    if prompts:
        rows = [{"prompt": q.text, **r} for q, r in zip(QUERIES, rows, strict=False)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def models(replay: Replay, threshold: float | None) -> list[str]:
    return [replay.candidates[j].name for j in replay.decide(threshold)]


@pytest.mark.parametrize("candidates", [PAIR, CANDIDATES], ids=["two", "three"])
def test_decisions_replay_to_themselves_and_as_live_ones_with_other_settings(
    linear: Router, candidates: tuple[Candidate, ...], tmp_path: Path
) -> None:
    engine = engine_of(linear, candidates)
    thresholds = [0.1, 0.4, 0.8]
    made = [engine.decide(q, RouteSpec("linear", thresholds[i % 3])) for i, q in enumerate(QUERIES)]
    assert isinstance(linear, HasReference)
    stored = read_decisions(
        written(tmp_path / "d.jsonl", made), reference=linear.reference(candidates)
    )
    assert stored.candidates == tuple(Candidate(name=c.name, price=c.price) for c in candidates)
    assert stored.artifact == linear.fingerprint
    assert models(Replay(stored), None) == [d.model for d in made]
    prices = {"large": Price.per_million(0.01, 0.02)}
    now = tuple(replace(c, price=prices.get(c.name, c.price)) for c in candidates)
    for threshold in (0.0, 0.3, 0.9):
        live = engine_of(linear, now).decide_many(QUERIES, RouteSpec("linear", threshold))
        assert models(Replay(stored, prices=prices), threshold) == [d.model for d in live]


def test_decisions_without_a_prediction_keep_their_model(linear: Router, tmp_path: Path) -> None:
    engine = engine_of(linear, PAIR)
    made = engine.decide_many(QUERIES[:3], RouteSpec("linear", 0.0))
    named = engine.by_name(QUERIES[3], "small")
    failed = replace(made[0], quality={}, code="router_failed", win_rate=None, fallback=True)
    stored = read_decisions(written(tmp_path / "d.jsonl", [*made, named, failed], prompts=False))
    assert models(Replay(stored), 1.0) == ["small"] * 4 + ["large"]
    assert models(Replay(stored), 0.0) == ["large"] * 3 + ["small", "large"]
    assert models(Replay(stored, models=["large"]), 0.0) == ["large"] * 5
    assert any("1 asked_for_by_name" in note and "1 router_failed" in note for note in stored.notes)


def test_excluded_candidates_stay_out(linear: Router, tmp_path: Path) -> None:
    engine = engine_of(linear, CANDIDATES)
    made = [
        engine.decide(q, RouteSpec("linear", 1.0), allow=["large", "medium"]) for q in QUERIES[:5]
    ]
    stored = read_decisions(written(tmp_path / "d.jsonl", made))
    assert stored.out[:, stored.names.index("small")].all()
    index = Replay(stored, policy="within_price").decide(1.0)
    assert [stored.names[j] for j in index] == ["medium"] * 5


def test_old_decisions_without_tokens_replay_thresholds_but_not_prices(
    linear: Router, tmp_path: Path
) -> None:
    made = engine_of(linear, PAIR).decide_many(QUERIES, RouteSpec("linear", 0.5))
    rows = [d.to_dict() for d in made]
    for row in rows:
        del row["input_tokens"], row["expected_output_tokens"]
    stored = read_decisions(written(tmp_path / "d.jsonl", rows))
    live = engine_of(linear, PAIR).decide_many(QUERIES, RouteSpec("linear", 0.2))
    assert models(Replay(stored), 0.2) == [d.model for d in live]
    cost = Replay(stored).cost_picousd[0]
    assert cost.tolist() == pytest.approx(list(made[0].expected_cost_picousd.values()))
    with pytest.raises(InputError, match=r"price: 'large' .*input_tokens"):
        Replay(stored, prices={"large": Price.per_million(1, 1)})


def test_win_rates_of_another_pair_are_not_made_up(linear: Router, tmp_path: Path) -> None:
    made = engine_of(linear, CANDIDATES).decide_many(QUERIES, RouteSpec("linear", 0.5))
    stored = read_decisions(written(tmp_path / "d.jsonl", made))
    with pytest.raises(InputError, match="win rates of these two were not recorded"):
        Replay(stored, models=["large", "small"])
    assert Replay(stored, models=["large", "small"], policy="within_price").decide(0.5).shape == (
        40,
    )


def test_of_several_routers_one_is_named(linear: Router, tmp_path: Path) -> None:
    made = engine_of(linear, PAIR).decide_many(QUERIES, RouteSpec("linear", 0.5))
    path = written(
        tmp_path / "d.jsonl", [*made[:30], *(replace(d, router="mf") for d in made[30:])]
    )
    with pytest.raises(InputError, match=r"\['linear', 'mf'\].*--router"):
        read_decisions(path)
    with pytest.raises(InputError, match=r"'knn'.*decisions of linear, mf"):
        read_decisions(path, router="knn")
    stored = read_decisions(path, router="mf")
    assert stored.n == 10
    assert "30 decisions of other routers left out" in stored.notes


GOOD = {
    "model": "a", "router": "mf", "threshold": 0.5, "win_rate": 0.7,
    "quality": {"a": 0.9, "b": 0.5}, "expected_cost_usd": {"a": 0.1, "b": None},
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{'model'", "d.jsonl:2: .*not JSON"),
        ({"prompt": "x", "models": {"a": 1}}, "d.jsonl:2 model: None .*turnout route --json"),
        (GOOD | {"router": 5}, "d.jsonl:2 router: 5"),
        (GOOD | {"quality": [1]}, r"d.jsonl:2 quality: \[1\] .*candidate → value"),
        (GOOD | {"quality": {"a": 1.2}}, "d.jsonl:2 quality of 'a': 1.2 .*0 to 1"),
        (GOOD | {"quality": {"a": "x"}}, "d.jsonl:2 quality of 'a': 'x'"),
        (GOOD | {"threshold": 3}, "d.jsonl:2 threshold: 3 .*from 0 to 1"),
        (GOOD | {"expected_cost_usd": {"a": -1}}, "expected_cost_usd of 'a': -1"),
        (GOOD | {"input_tokens": "12"}, "d.jsonl:2 input_tokens: '12'"),
        (GOOD | {"excluded": "b"}, "d.jsonl:2 excluded: 'b'"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_decision_is_named(tmp_path: Path, row: object, says: str) -> None:
    path = tmp_path / "d.jsonl"
    text = row if isinstance(row, str) else json.dumps(row)
    path.write_text(f"{json.dumps(GOOD)}\n{text}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_decisions(path)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no decision"):
        read_decisions(path)


@given(
    price=st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)),
    tokens=st.lists(
        st.tuples(st.integers(1, 10**5), st.integers(1, 10**5)), min_size=2, max_size=9
    ),
)
def test_a_price_is_read_off_what_calls_cost(
    price: tuple[int, int], tokens: list[tuple[int, int]]
) -> None:
    lengths = np.asarray(tokens, dtype=np.float64)
    if np.linalg.matrix_rank(lengths) < 2:
        assert price_of_costs(lengths[:, 0], lengths[:, 1], lengths @ price) is None
        return
    found = price_of_costs(lengths[:, 0], lengths[:, 1], lengths @ price)
    if found is not None:  # nearly parallel lengths may hide it, but never show another
        cost = [found.cost_picousd(input_tokens=a, output_tokens=b) for a, b in tokens]
        assert cost == pytest.approx((lengths @ price).tolist(), rel=1e-9, abs=1.0)


def test_a_price_that_changed_is_no_one_price() -> None:
    tokens_in, tokens_out = np.asarray([10.0, 20.0, 35.0]), np.asarray([5.0, 7.0, 9.0])
    cost = 3.0 * tokens_in + 2.0 * tokens_out
    assert price_of_costs(tokens_in, tokens_out, cost) == Price(input_picousd=3, output_picousd=2)
    cost[2] *= 2
    assert price_of_costs(tokens_in, tokens_out, cost) is None
