"""The simulator of conversations: what sticking is worth, and that it loses to no simple rule."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def simulator() -> ModuleType:
    path = ROOT / "benchmarks" / "conversations.py"
    spec = importlib.util.spec_from_file_location("conversations_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_conversations_lose_to_no_simple_rule_in_dollars(simulator: ModuleType) -> None:
    """Not to never sticking, nor to always sticking, by more than the interval."""
    for row in simulator.measure(sessions=60, seeds=1):
        for rule, (_, _, high) in row["saved_usd"].items():
            assert high >= 0.0, (row["pair"], row["shape"], rule)
        rules = row["rules"]
        assert (
            rules["ours"]["switches"] <= rules["task"]["switches"] <= rules["message"]["switches"]
        )
        assert rules["stick"]["switches"] == 0.0
        assert rules["ours"]["cached"] >= rules["task"]["cached"]
        assert rules["task"]["short"] == 0.0  # it goes by the router, whatever that costs


def test_a_cache_reads_no_more_than_was_sent_and_forgets(simulator: ModuleType) -> None:
    asks = simulator.drawn(simulator.SHAPES["long agent"], 1, 3)[0][1]
    caches = simulator.Caches(15_000)
    first, second = asks[0], asks[1]
    assert caches.use("m", first).cache_read_tokens == 0
    assert caches.use("m", second).cache_read_tokens == first.query.input_tokens
    late = replace(second, at=second.at + 301)
    assert caches.use("m", late).cache_read_tokens == 0
