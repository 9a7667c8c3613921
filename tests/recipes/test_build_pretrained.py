"""The parts of the recipe on made-up outcomes, and a small run of the whole on real ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import build_pretrained
from pretrained import loso
from pretrained.abilities import fit_scale, link
from pretrained.calibration import tied_platt
from pretrained.exclusions import near_duplicates, shares_runs
from pretrained.heads import prototypes
from pretrained.names import aliases, canonical
from pretrained.outcomes import Cells, capped
from pretrained.tiers import CENTRES, ladder, position, priors, tier_means

from turnout.artifacts.folder import read_artifact
from turnout.artifacts.opening import open_router
from turnout.encoders.hashing import HashingEncoder
from turnout.routers.arrays import sigmoid
from turnout.routers.columns import normalise
from turnout.types import Candidate, Query

ABILITY = {"small": -1.5, "middle": 0.0, "large": 1.0, "huge": 2.5}


def planted_cells(*, sets: int = 3, n: int = 250, broken: bool = False) -> Cells:
    """Sets of different difficulty that share four models; `broken`: `huge` fails in the last."""
    rng = np.random.default_rng(0)
    shift = np.linspace(-1.0, 1.0, sets)
    names = list(ABILITY)
    at, by, score = [], [], []
    for s in range(sets):
        difficulty = shift[s] + rng.standard_normal(n)
        for m, name in enumerate(names):
            able = -4.0 if broken and name == "huge" and s == sets - 1 else ABILITY[name]
            at += list(range(s * n, (s + 1) * n))
            by += [s * len(names) + m] * n
            score += list((rng.random(n) < sigmoid(able - difficulty)).astype(float))
    units = np.repeat([f"set-{s}" for s in range(sets)], n)
    entries = np.repeat([f"set-{s}" for s in range(sets)], len(names))
    return Cells(
        prompts=tuple(f"prompt {i}" for i in range(sets * n)),
        outcome_set=units,
        unit=units,
        family=units,
        category=units,
        train=np.ones(sets * n, dtype=np.bool_),
        group=np.arange(sets * n).astype(str),
        entry_set=entries,
        entry_model=np.asarray(names * sets),
        entry_name=np.asarray(names * sets),
        at=np.asarray(at),
        by=np.asarray(by),
        score=np.asarray(score),
        output_tokens=np.full(len(at), np.nan),
    )


def test_planted_abilities_are_found() -> None:
    scale = fit_scale(planted_cells())
    found = np.asarray([scale.ability[name] for name in ABILITY])
    gaps = np.diff(found)
    np.testing.assert_allclose(gaps, np.diff(list(ABILITY.values())), atol=0.5)
    harder = scale.difficulty[500:].mean() - scale.difficulty[:250].mean()
    assert harder == pytest.approx(2.0, abs=0.6)


def test_a_broken_run_does_not_bend_the_scale() -> None:
    cells = planted_cells(sets=4, broken=True)
    scale = fit_scale(cells)
    assert scale.ability["huge"] > scale.ability["large"]
    off = np.flatnonzero(~scale.sound)
    assert [(cells.entry_set[e], cells.entry_name[e]) for e in off] == [("set-3", "huge")]


def test_a_model_of_one_set_does_not_move_that_set() -> None:
    sets, names = np.asarray(["a", "a", "b", "b"]), np.asarray(["x", "y", "x", "z"])
    _, shift, _ = link(sets, names, np.asarray([0.0, 9.0, 1.0, -9.0]), np.full(4, 500.0))
    assert shift["b"] - shift["a"] == pytest.approx(1.0, abs=0.1)


def test_a_tier_is_the_mean_of_its_sound_models() -> None:
    cells = planted_cells(sets=4, broken=True)
    scale = fit_scale(cells)
    score, count = tier_means(cells, scale, cells.score)
    assert score.shape == (cells.n, len(CENTRES))
    assert np.isfinite(score).sum() == (count > 0).sum()
    assert (count.sum(axis=1) == np.where(np.arange(cells.n) < 750, 4, 3)).all()


def test_positions_rise_with_ability_and_stay_on_the_ladder() -> None:
    places = [position(a) for a in np.linspace(-9, 9, 50)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0.0, 5.0)
    assert [position(c) for c in CENTRES] == [0, 1, 2, 3, 4, 5]
    strong, weak = priors({str(i): float(i) for i in range(5)})
    assert weak < strong


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("gpt-4-1106-preview", "gpt-4-turbo"),
        ("gpt-4o-2024-05-13", "gpt-4o"),
        ("mistralai/mixtral-8x7b-chat", "mixtral-8x7b-instruct"),
        ("claude-3-5-sonnet-20241022", "claude-3.5-sonnet"),
        ("Meta-Llama-3.1-70B-Instruct", "llama-3.1-70b-instruct"),
        ("gpt-4-0613-FC", "gpt-4"),
    ],
)
def test_spellings_of_one_model_are_one(spelled: str, name: str) -> None:
    assert canonical(spelled) == name


def test_keys_of_the_ladder_are_as_the_package_looks_them_up() -> None:
    keys = ladder({"claude-3.5-sonnet": 4.0, "gpt-4-turbo": 3.5, "gpt-4": 3.0})
    assert keys["claude-3-5-sonnet"] == 4.0
    assert keys["gpt-4-1106-preview"] == 3.5
    assert all(normalise(key) == key for key in keys)
    assert aliases("gpt-4")[0] == "gpt-4"


def test_a_planted_duplicate_is_dropped() -> None:
    asked = "Which of these rivers flows through the old town before it reaches the northern sea?"
    prompts = [asked + " A. Elbe B. Rhine", "Write a loop that prints every prime below twenty."]
    assert shares_runs(prompts, [asked]).tolist() == [True, False]
    encoder = HashingEncoder(64)
    alike = ["Name a river.", "Count to nine."]
    found = near_duplicates(alike, encoder.encode(alike), alike[:1], encoder.encode(alike[:1]))
    assert found.tolist() == [True, False]


def test_a_cap_holds_for_every_unit() -> None:
    unit = np.asarray(["a"] * 50 + ["b"] * 5)
    kept = capped(unit, np.arange(55) % 2 == 0, 10, seed=0)
    assert (kept[:50].sum(), kept[50:].sum()) == (10, 3)
    assert not kept[1::2].any()


def test_no_prototype_stands_for_one_prompt() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((12, 4)).astype(np.float32)
    label = np.asarray([0] * 5 + [1] * 5 + [2] * 2)
    score = rng.random((12, 2))
    score[:5, 1] = np.nan
    centres, mean = prototypes(rows, label, score)
    assert centres.shape == (2, 4)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1.0, atol=1e-6)
    assert np.nanmin(mean) >= 0.0


def test_calibration_finds_the_levels_and_the_one_slope() -> None:
    rng = np.random.default_rng(0)
    z = rng.uniform(-3, 3, (4000, 1)) + np.asarray([[0.0, 1.0, 2.0]])
    level = np.asarray([-0.5, 0.1, 0.6])
    score = sigmoid(0.4 * z + level)
    score[:400, 1] = np.nan
    weight = np.where(np.isnan(score), 0.0, 1.0)
    found = tied_platt(np.asarray(sigmoid(z), dtype=np.float32), score, weight)
    np.testing.assert_allclose(found.slope_, 0.4, atol=0.02)
    np.testing.assert_allclose(found.bias_, level, atol=0.05)


def test_apgr_of_the_perfect_and_of_no_order() -> None:
    gain = np.asarray([[0.0], [0.0], [1.0], [0.0]])
    best = np.asarray([0.0, 0.0, 1.0, 0.0], dtype=np.float32)
    assert loso.pooled_apgr(best, gain) == pytest.approx(0.875)
    assert loso.pooled_apgr(np.zeros(4, dtype=np.float32), gain) == pytest.approx(0.5)


def test_held_out_families_are_not_seen_by_a_fit() -> None:
    cells = planted_cells()
    holds = loso.held_out_sets(cells, cells.train)
    assert holds == [frozenset({f"set-{s}"}) for s in range(3)]
    units = loso.find_units(cells, fit_scale(cells), cells.train)
    assert {u.held for u in units} == set(holds)
    assert all(u.gain.shape == (250, len(u.strong)) for u in units)
    assert all((u.strong > u.weak).all() for u in units)


def test_keeping_prompts_renumbers_cells() -> None:
    cells = planted_cells()
    part = cells.keep(np.arange(cells.n) >= 250)
    assert part.n == 500
    assert part.at.min() == 0
    assert part.at.max() == 499
    assert replace(part).score.sum() == cells.score[cells.at >= 250].sum()


def test_a_small_run_of_the_whole_recipe(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shared_data / "outcomes").is_dir():
        pytest.skip("needs outcomes/")
    command = ["build_pretrained.py", "--data", str(shared_data), "--limit", "40"]
    for out in ("first", "second"):
        only = ["--only", "blend,linear,knn"] if out == "first" else ["--only", "blend"]
        monkeypatch.setattr("sys.argv", [*command, *only, "--out", str(tmp_path / out)])
        build_pretrained.main()
    digests = [
        read_artifact(tmp_path / out / "blend")[0]["arrays_sha256"] for out in ("first", "second")
    ]
    assert digests[0] == digests[1]
    candidates = [Candidate(name="gpt-4o"), Candidate(name="nobody-knows-it")]
    for name in ("blend", "linear", "knn"):
        router = open_router(name, artifact=tmp_path / "first" / name)
        made = router.predict([Query.of("What is 2 + 2?")], candidates)
        assert np.isfinite(made.quality).all()


def test_a_card_takes_new_transfer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pretrained import cards

    def measure(value: str) -> None:
        rows = {"mf": [value, "", "", ""], "random": ["0.500", "", "", ""]}
        told = {"arrays": {"mf": "abc"}, "benchmarks": {"routellm-mmlu": rows}}
        (tmp_path / "transfer.json").write_text(json.dumps(told), "utf-8")

    monkeypatch.setattr(cards, "TRANSFER", tmp_path / "transfer.json")
    plain = "# mf\n\nfacts\n\n## What it is not good for\n\n- Chat.\n"
    assert cards.with_transfer(plain, "mf") == plain
    measure("0.511")
    once = cards.with_transfer(plain, "mf")
    assert "| routellm-mmlu | mf | 0.511 |" in once
    assert once.startswith("# mf\n\nfacts\n\n## Transfer")
    assert once.endswith("## What it is not good for\n\n- Chat.\n")
    measure("0.522")
    twice = cards.with_transfer(once, "mf")
    assert "0.522" in twice
    assert "0.511" not in twice
    assert cards.with_transfer(plain, "linear") == plain
