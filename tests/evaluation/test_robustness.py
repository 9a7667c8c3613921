from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.gadgets import WORDS, climb, prefixed
from turnout.evaluation.perturbing import PERTURBATIONS, double_spaces, polite, typos
from turnout.evaluation.robustness import chooser, middle_worth, robustness
from turnout.types import Candidate, Prediction, Query


class Reads:
    """A fake router: the first model is better by what `height` makes of the text."""

    name, fingerprint = "reads", None

    def __init__(self, height: Callable[[str], float]) -> None:
        self.height = height

    def check(self, candidates: Sequence[Candidate]) -> None:
        pass

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        first = np.asarray([self.height(q.text) for q in queries], dtype=np.float32)
        rest = np.zeros((len(queries), len(candidates) - 1), dtype=np.float32)
        quality = np.concatenate([first[:, None], rest], axis=1)
        return Prediction(candidates=tuple(c.name for c in candidates), quality=quality)


def test_perturbations_keep_the_words_and_are_the_same_every_time() -> None:
    text = "What is the integral of x squared? " * 4
    assert typos(text) == typos(text) != text
    assert sorted(typos(text)) == sorted(text)
    assert double_spaces(text).split() == text.split()
    assert polite(text).endswith(text)
    for change in PERTURBATIONS.values():
        change("")


def test_hill_climbing_finds_the_words_that_a_router_falls_for() -> None:
    def lean(texts: list[str]) -> np.ndarray:
        return np.asarray([float(text.split("\n")[0].count("prove")) for text in texts])

    found = climb(lean, ["a", "b", "c"], seed=1, budget=20_000)
    assert found.text.split().count("prove") >= 4
    assert climb(lean, ["a", "b", "c"], seed=1, budget=20_000) == found
    assert found.predictions <= 20_000
    assert set(found.text.split()) <= set(WORDS)
    assert prefixed("x y", "prompt") == "x y\nprompt"


def test_a_search_stays_within_its_budget() -> None:
    asked = 0

    def lean(texts: list[str]) -> np.ndarray:
        nonlocal asked
        asked += len(texts)
        return np.zeros(len(texts))

    found = climb(lean, ["a", "b"], budget=100)
    assert asked == found.predictions <= 100


def test_a_router_that_counts_letters_is_moved_by_prefixes_and_not_by_case(pair: Benchmark) -> None:
    router = Reads(lambda text: min(len(text) / 200, 1.0))
    rows = robustness("r", pair, chooser(pair, router, 0.25), budget=400)
    by_change = {row.change: row for row in rows}
    case = by_change["lower case"]
    assert (case.flips.value, case.upgrades.value) == (0.0, 0.0)
    assert case.strong_share[0] == case.strong_share[1]
    longer = by_change["polite prefix"]
    assert longer.upgrades.value > 0.5
    assert longer.strong_share[1] > longer.strong_share[0]
    gadgets = [row for row in rows if row.is_gadget]
    assert len(gadgets) == 3
    assert all(row.prompts < pair.n for row in gadgets)
    assert max(row.strong_share[1] for row in gadgets) > gadgets[0].strong_share[0]


def test_words_of_the_prompts_are_never_in_a_gadget(pair: Benchmark) -> None:
    router = Reads(lambda text: text.count("x") / 200)
    rows = robustness("r", pair, chooser(pair, router, 0.25), budget=200)
    for row in rows:
        if row.is_gadget:
            assert set(row.change.split()) <= set(WORDS)


def test_of_many_models_an_upgrade_is_a_dearer_one(make: Callable[..., Benchmark]) -> None:
    four = make(120, 4)
    quality = np.asarray([[len(q.text) / 200, 0, 0, 0] for q in four.queries])
    worth = middle_worth(four, quality)
    assert np.isfinite(worth)
    router = Reads(lambda text: len(text) / 200)
    rows = robustness("r", four, chooser(four, router, worth), budget=200)
    polite_row = next(row for row in rows if row.change == "polite prefix")
    assert polite_row.upgrades.value > 0
    assert polite_row.flips.value == pytest.approx(
        polite_row.strong_share[1] - polite_row.strong_share[0]
    )
    # The value of a model is its mean cost's, on prompts however few.
    choose = chooser(four, router, worth)
    alone = [int(choose([query])[0][0]) for query in four.queries]
    assert alone == choose(four.queries)[0].tolist()
    unpriced = make(120, 4, costs=False)
    assert middle_worth(unpriced, quality) == float("inf")


def test_a_router_that_always_calls_the_strong_model_has_nothing_to_climb(pair: Benchmark) -> None:
    rows = robustness("r", pair, chooser(pair, Reads(lambda _: 1.0), 0.5), budget=200)
    assert not any(row.is_gadget for row in rows)
    assert np.isnan(rows[0].upgrades.value)
    assert rows[0].to_dict()["upgrade_rate"]["value"] is None
