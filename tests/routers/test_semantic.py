"""The router over routes by example, and the file it reads."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from turnout.artifacts.opening import open_router
from turnout.encoders.opening import open_encoder
from turnout.engine import Engine
from turnout.errors import SettingsError, UnknownNameError
from turnout.names import RouteSpec
from turnout.routers.index.base import unit_rows
from turnout.routers.index.local import NumpyIndex
from turnout.routers.matching import MATCHERS
from turnout.routers.route_head import head_path, save_head
from turnout.routers.routes import parse_routes, read_routes
from turnout.routers.semantic import SHIPPED, fitted_weights, make_semantic
from turnout.types import Candidate, Pool, Query

POOL = Pool(candidates=(Candidate(name="large"), Candidate(name="small")), default="large")


def example() -> dict[str, Any]:
    return {
        "routes": [
            {
                "name": "cards",
                "use": "weak",
                "threshold": 0.3,
                "utterances": ["where is my card", "my card has not arrived", "order a new card"],
            },
            {
                "name": "sums",
                "scores": {"large": 0.9, "small": 0.2},
                "threshold": 0.3,
                "utterances": ["add two numbers", "what is 3 plus 4", "multiply these numbers"],
            },
        ],
        "none": {"win_rate": 0.6},
    }


def engine_of(tmp_path: Path, parsed: dict[str, Any], **options: Any) -> Engine:
    path = tmp_path / "routes.yaml"
    path.write_text(yaml.safe_dump(parsed), encoding="utf-8")
    engine = Engine(POOL, {"semantic": open_router("semantic", options={"file": path, **options})})
    engine.check()
    return engine


def decide(engine: Engine, text: str) -> Any:
    return engine.decide(Query.of(text), RouteSpec("semantic", 0.5))


def test_a_prompt_goes_where_its_route_leads_and_the_decision_names_it(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, example())
    card = decide(engine, "when will my new card arrive?")
    assert card.model == "small"
    assert card.notes[0].startswith("route cards: match 0.")
    assert "similarity 0." in card.notes[0]
    total = decide(engine, "what is 8 plus 9")
    assert total.model == "large"
    assert total.quality == {"large": pytest.approx(0.9), "small": pytest.approx(0.2)}
    assert card.artifact == total.artifact
    assert card.artifact


@pytest.mark.parametrize("text", ["volcanoes of Iceland in the Holocene", "", "?!…", "zzqx"])
def test_none_of_these_is_an_answer(tmp_path: Path, text: str) -> None:
    decision = decide(engine_of(tmp_path, example()), text)
    assert decision.win_rate == pytest.approx(0.6)
    assert decision.notes[-1].startswith("none of the routes: nearest is ")
    assert not decision.fallback


def test_thresholds_decide_between_a_route_and_none(tmp_path: Path) -> None:
    parsed, text = example(), "when will my new card arrive?"
    assert decide(engine_of(tmp_path, parsed), text).notes[0].startswith("route cards")
    parsed["routes"][0]["threshold"] = 1.0
    refused = decide(engine_of(tmp_path, parsed), text)
    assert refused.notes[0].startswith("none of the routes: nearest is cards")
    assert refused.win_rate == pytest.approx(0.6)


@pytest.mark.parametrize("index", ["numpy", "usearch", "qdrant"])
def test_every_index_leads_the_same_way(tmp_path: Path, index: str) -> None:
    module = {"usearch": "usearch", "qdrant": "qdrant_client"}.get(index)
    if module and importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}")
    engine = engine_of(tmp_path, example(), index=index)
    plain = engine_of(tmp_path, example())
    for text in ("my card is late", "what is 1 plus 1", "volcanoes"):
        assert decide(engine, text).notes == decide(plain, text).notes


@pytest.mark.parametrize("matching", MATCHERS)
def test_every_way_of_matching_tells_routes_apart(tmp_path: Path, matching: str) -> None:
    engine = engine_of(tmp_path, {**example(), "matching": matching})
    assert "cards" in decide(engine, "is my card on its way?").notes[0]
    assert "sums" in decide(engine, "please multiply 6 and 7, two numbers").notes[0]


def test_the_head_gives_each_utterance_its_own_route() -> None:
    said = [(i, u) for i, r in enumerate(example()["routes"]) for u in r["utterances"]]
    rows = open_encoder().encode([u for _, u in said])
    labels = np.asarray([i for i, _ in said])
    assert (MATCHERS["logistic"](rows, labels, 2)(rows).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("per_route", [1, 40])
def test_the_head_chooses_and_only_its_route_is_compared(per_route: int) -> None:
    class Rows:
        name, dimension, fingerprint = "rows", 16, "none"
        made = np.random.default_rng(0).normal(size=(3 * per_route, 16)).astype(np.float32)

        def encode(self, texts: Any) -> Any:
            return unit_rows(self.made[: len(texts)], 16, "rows")

    routes = [
        {"name": f"r{r}", "use": "weak", "utterances": [f"{r} {i}" for i in range(per_route)]}
        for r in range(3)
    ]
    file = parse_routes({"routes": routes, "none": {"win_rate": 0.5}})
    router = make_semantic(file, Rows(), NumpyIndex(16))
    prompts = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)
    found, unit = router.match(prompts), unit_rows(prompts, 16, "rows")
    scores = router.scorer(unit)
    near = (unit @ Rows().encode(router.owner).T).reshape(50, 3, per_route).max(axis=2)
    own = np.take_along_axis(near, found.route[:, None], axis=1)[:, 0].clip(0.0, 1.0)
    chance = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(found.route, scores.argmax(axis=1))
    np.testing.assert_allclose(found.similarity, own, atol=1e-6)
    np.testing.assert_allclose(found.score, chance.max(axis=1) * own, atol=1e-6)


def test_a_kept_head_serves_as_a_fitted_one_until_the_utterances_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = engine_of(tmp_path, example())
    path, encoder = tmp_path / "routes.yaml", open_encoder()
    file = read_routes(path)
    save_head(path, file, encoder, fitted_weights(file, encoder))
    monkeypatch.setitem(MATCHERS, "logistic", lambda *_: pytest.fail("fitted again"))
    kept = engine_of(tmp_path, example())
    for text in ("my card is late", "what is 1 plus 1", "volcanoes"):
        assert decide(kept, text).notes == decide(plain, text).notes
    changed = example()
    changed["routes"][0]["threshold"] = 0.1  # not what the head depends on
    engine_of(tmp_path, changed)
    changed["routes"][0]["utterances"].append("another card")
    with pytest.raises(pytest.fail.Exception, match="fitted again"):
        engine_of(tmp_path, changed)
    head_path(path).write_bytes(b"cut off")
    with pytest.raises(SettingsError, match="remove it, or fit the routes again"):
        engine_of(tmp_path, example())


def test_the_shipped_file_is_an_example_that_works() -> None:
    engine = Engine(POOL, {"semantic": open_router("semantic")})
    engine.check()
    assert decide(engine, "prove that there are infinitely many primes").model == "large"
    assert decide(engine, "hello, how are you?").model == "small"
    assert SHIPPED.is_file()


def test_a_candidate_that_is_not_there_is_named_before_serving(tmp_path: Path) -> None:
    parsed = example()
    parsed["routes"][0]["use"] = "smal"
    with pytest.raises(UnknownNameError, match=r"route 'cards'.*Did you mean 'small'"):
        engine_of(tmp_path, parsed)
    parsed = example()
    del parsed["routes"][1]["scores"]["small"]
    with pytest.raises(UnknownNameError, match=r"score \(route 'sums'\)"):
        engine_of(tmp_path, parsed)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda p: p.pop("none"), "none"),
        (lambda p: p.update(routes=[]), "routes"),
        (lambda p: p.update(routs=[]), "file"),
        (lambda p: p["routes"][0].update(win_rate=0.2), r"routes\[0\]"),
        (lambda p: p["routes"][0].pop("use"), r"routes\[0\]"),
        (lambda p: p["routes"][0].update(threshold=1.5), r"routes\[0\].threshold"),
        (lambda p: p["routes"][0].update(name="none"), r"routes\[0\].name"),
        (lambda p: p["routes"][0].update(utterances=[]), r"routes\[0\].utterances"),
        (lambda p: p["routes"][0].update(utterances=["a", 3]), r"routes\[0\].utterances"),
        (lambda p: p["routes"][0].update(utterance=["a"]), "Did you mean 'utterances'"),
        (lambda p: p["routes"][1].update(name="cards"), "name each route once"),
        (lambda p: p["routes"][1]["utterances"].append("where is my card"), "keep one"),
        (lambda p: p["routes"][1].update(scores={"large": 2}), r"routes\[1\].scores.large"),
    ],
)
def test_what_a_file_gets_wrong_is_named(change: Any, field: str) -> None:
    parsed = example()
    change(parsed)
    with pytest.raises(SettingsError, match=field):
        parse_routes(parsed)


def test_a_file_that_is_absent_or_no_yaml_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        open_router("semantic", options={"file": tmp_path / "absent.yaml"})
    (tmp_path / "bad.yaml").write_text("routes: [", encoding="utf-8")
    with pytest.raises(SettingsError, match="valid YAML"):
        open_router("semantic", options={"file": tmp_path / "bad.yaml"})


def test_written_routes_read_back() -> None:
    found = parse_routes(example())
    assert parse_routes(yaml.safe_load(found.to_yaml())) == found
