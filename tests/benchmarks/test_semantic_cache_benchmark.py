from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from turnout.calibration.proving import least_trials
from turnout.gateway.kept.semantic.details import details_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import semantic_cache

    yield semantic_cache
    sys.modules.pop("semantic_cache", None)


def test_a_changed_question_is_another_one(bench: ModuleType) -> None:
    stem = "If a train to Boston takes 3 hours, what is its speed?"
    made = list(bench.changed(stem, ["Boston", "Geneva"], np.random.default_rng(0)))
    assert len(made) == 3
    assert "3 hours" not in made[0]
    assert "what is not its speed" in made[1]
    assert "train to Geneva" in made[2]


def stream_of(bench: ModuleType, kinds: int, n: int) -> tuple[list[Any], Any]:
    """Questions of some kinds, whose vectors lie close to those of their kind."""
    rng = np.random.default_rng(1)
    middles = rng.normal(size=(kinds, 32))
    stream, vectors = [], {}
    for i in range(n):
        kind = int(rng.integers(kinds))
        text = f"{'abcdefghij'[kind] * 5} in words of way" + "." * i
        vector = middles[kind] / np.linalg.norm(middles[kind]) + rng.normal(size=32) * 0.02
        vectors[text] = (vector / np.linalg.norm(vector)).astype(np.float32)
        stream.append(bench.Asked(text, str(kind)))
    return stream, bench.Prepared(vectors, {t: details_of(t) for t in vectors})


def test_every_rule_is_counted_alike(bench: ModuleType) -> None:
    stream, read = stream_of(bench, 10, 400)
    alone = bench.by_rule(stream, read, bench.Fixed(9.0), guard=False)
    assert (alone.hits, alone.exact) == (0, 0)
    fixed = bench.by_rule(stream, read, bench.Fixed(0.9), guard=False)
    assert fixed.hits + fixed.exact == len(stream) - 10  # all but the first of each kind
    assert fixed.wrong == 0
    vcache = bench.by_rule(stream, read, bench.VCache(0.05, np.random.default_rng(0)), guard=False)
    assert 0 < vcache.hits < fixed.hits
    ours = bench.by_turnout(stream, read, 0.1, 0)
    assert 0 < ours.hits < fixed.hits
    assert ours.wrong == 0
    assert ours.first is not None
    assert ours.first > least_trials(0.1)  # it has to be proven first
    assert bench.row("x", [ours]).startswith("| x | ")
