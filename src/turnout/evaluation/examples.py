"""Calls that a router got right and wrong, with their prompts: made only where asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.evaluation.benchmarks.base import Benchmark

MOST_CHARS = 400
"""Of a prompt; the rest is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One prompt, who was called, and who should have been."""

    router: str
    is_right: bool
    prompt: str
    category: str
    chosen: str
    got: float
    """Quality of the chosen model's answer."""
    other: str
    """Right: the best that failed or did worse. Wrong: the best answer's model."""
    other_got: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def examples(
    name: str,
    benchmark: Benchmark,
    choice: NDArray[np.intp],
    *,
    count: int,
    seed: int = 0,
) -> list[Example]:
    """Up to `count` right and `count` wrong calls, drawn at random from those where it mattered.

    Right: the chosen model answered best and another did worse. Wrong: another answered better.

    Args:
        name: of the router.
        benchmark: its prompts and outcomes.
        choice: (n,) column called.
        count: of each kind.
        seed: of the draw.
    """
    got = benchmark.quality[np.arange(benchmark.n), choice]
    best, worst = benchmark.quality.max(axis=1), benchmark.quality.min(axis=1)
    rng = np.random.default_rng(seed)
    found = []
    for is_right, at in (
        (True, np.flatnonzero((got == best) & (worst < best))),
        (False, np.flatnonzero(got < best)),
    ):
        for i in rng.permutation(at)[:count].tolist():
            other = int(np.argmax(benchmark.quality[i]))
            if is_right:  # the strongest of those that did worse
                other = int(np.argmax(benchmark.quality[i] < best[i]))
            found.append(
                Example(
                    router=name,
                    is_right=is_right,
                    prompt=_cut(benchmark.queries[i].text),
                    category=benchmark.categories[i] if benchmark.categories else "",
                    chosen=benchmark.candidates[int(choice[i])].name,
                    got=float(got[i]),
                    other=benchmark.candidates[other].name,
                    other_got=float(benchmark.quality[i, other]),
                )
            )
    return found


def _cut(text: str) -> str:
    """At most `MOST_CHARS`, and fit to be written: a lone surrogate becomes a question mark."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= MOST_CHARS else text[: MOST_CHARS - 1].rstrip() + "…"
