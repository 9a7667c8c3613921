"""What a benchmark is, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from turnout import registry
from turnout.errors import DataError
from turnout.evaluation.metrics import Vector
from turnout.types import Candidate, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A result as its authors printed it, for the same benchmark."""

    router: str
    cpt50: float
    """Share of strong calls in [0, 1]."""
    cpt80: float
    apgr: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """n prompts with the recorded quality and cost of m models. Nothing is called."""

    name: str
    queries: tuple[Query, ...]
    """n prompts, as a router sees them."""
    candidates: tuple[Candidate, ...]
    """m models, strongest first."""
    quality: NDArray[np.float64]
    """(n, m) in [0, 1], complete."""
    cost_usd: NDArray[np.float64]
    """(n, m) recorded or estimated; NaN where unknown."""
    groups: NDArray[np.intp]
    """(n,) prompts that stay together in folds and in the bootstrap."""
    categories: tuple[str, ...] = ()
    """n names, or empty."""
    scale: float = 100.0
    """What a quality of 1 is printed as: 100 for percent, 10 for a judge's score."""
    notes: tuple[str, ...] = ()
    """What was left out and what was assumed."""
    published: tuple[PublishedRow, ...] = ()
    input_tokens: NDArray[np.float64] | None = None
    """(n, m) tokens that went in, NaN where unknown; None where none is recorded."""
    output_tokens: NDArray[np.float64] | None = None
    """(n, m) tokens that came out, NaN where unknown; None where none is recorded."""

    @property
    def n(self) -> int:
        """Number of prompts."""
        return len(self.queries)

    @property
    def is_pair(self) -> bool:
        """Whether there are exactly two models: a strong and a weak one."""
        return len(self.candidates) == 2

    @property
    def strong(self) -> Candidate:
        """The first candidate."""
        return self.candidates[0]

    @property
    def weak(self) -> Candidate:
        """The last candidate."""
        return self.candidates[-1]

    @property
    def quality_strong(self) -> Vector:
        """(n,) quality of the strong model."""
        return self.quality[:, 0]

    @property
    def quality_weak(self) -> Vector:
        """(n,) quality of the weak model."""
        return self.quality[:, -1]

    @property
    def gain(self) -> Vector:
        """(n,) quality of the strong model less that of the weak one, in [-1, 1]."""
        return self.quality_strong - self.quality_weak

    @property
    def has_costs(self) -> bool:
        """Whether every cost is known."""
        return bool(np.isfinite(self.cost_usd).all())

    @property
    def extra_cost_usd(self) -> Vector | None:
        """(n,) extra cost of the strong call; None where costs are unknown or do not add up."""
        if not self.has_costs:
            return None
        extra = self.cost_usd[:, 0] - self.cost_usd[:, -1]
        return extra if extra.sum() > 0 else None

    def rows(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Benchmark:
        """The benchmark of some of its prompts (a held-out part, say)."""
        at = np.arange(self.n)[index]
        return replace(
            self,
            queries=tuple(self.queries[i] for i in at),
            quality=self.quality[at],
            cost_usd=self.cost_usd[at],
            groups=self.groups[at],
            categories=tuple(self.categories[i] for i in at) if self.categories else (),
            input_tokens=None if self.input_tokens is None else self.input_tokens[at],
            output_tokens=None if self.output_tokens is None else self.output_tokens[at],
        )

    def limited(self, limit: int | None, *, seed: int = 0) -> Benchmark:
        """A random part of at most `limit` prompts, in their order, with a note; None keeps all."""
        if limit is None or limit >= self.n:
            return self
        keep = np.sort(np.random.default_rng(seed).permutation(self.n)[:limit])
        part = self.rows(keep.astype(np.intp))
        note = f"limited to {limit} of {self.n} prompts, drawn with seed {seed}"
        return replace(part, notes=(*part.notes, note), published=())


Reader = Callable[[Path, Sequence[str]], Benchmark]
"""What a `turnout.benchmarks` entry point names: reads a path; the names are the models to
compare, strongest first, or empty for the benchmark's own."""


def open_benchmark(name: str, path: Path | str, models: Sequence[str] = ()) -> Benchmark:
    """Read a benchmark from disk.

    Args:
        name: an entry point of `turnout.benchmarks`, such as `routellm-mmlu` or `outcomes`.
        path: the file or folder that it reads.
        models: the models to compare, strongest first, where the benchmark holds more.

    Raises:
        UnknownNameError: no such benchmark.
        DataError: the path does not hold it, or does not hold these models.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("data", str(path), "there is no such file or folder")
    reader: Reader = registry.load("benchmarks", name)
    return reader(path, models)
