"""A small two-model benchmark and fake routers for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark_made import ByLength, make_benchmark
from turnout.evaluation.benchmarks import Benchmark


@pytest.fixture
def pair() -> Benchmark:
    return make_benchmark()


@pytest.fixture
def by_length() -> ByLength:
    return ByLength()


@pytest.fixture
def make() -> Callable[..., Benchmark]:
    return make_benchmark
