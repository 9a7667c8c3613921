"""Our numbers beside RouteLLM's own evaluation, written here from its description with pandas.

Thresholds are `pandas.qcut(score, 10, retbins=True)`; strong where score >= threshold, at the last
one where score > threshold; AUC by `np.trapezoid` over the share of strong calls; "x% quality" by
`np.interp` over quality.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turnout.evaluation.benchmarks import open_benchmark
from turnout.evaluation.run import ScoreRow, score_rows


def theirs(score: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> dict[str, float]:
    pandas = pytest.importorskip("pandas")
    _, edges = pandas.qcut(score, 10, retbins=True)
    share, quality = [], []
    for k, edge in enumerate(edges):
        to_strong = score > edge if k == len(edges) - 1 else score >= edge
        share.append(to_strong.mean() * 100)
        quality.append(np.where(to_strong, strong, weak).mean())
    order = np.argsort(share, kind="stable")
    x, y = np.asarray(share)[order], np.asarray(quality)[order]
    low, high = weak.mean(), strong.mean()
    area = np.trapezoid(y, x / 100)
    floor, roof = (np.trapezoid(np.full(len(x), level), x / 100) for level in (low, high))
    return {
        "apgr": (area - floor) / (roof - floor),
        **{
            f"cpt{part}": np.interp(part / 100 * (high - low) + low, y, x) / 100
            for part in (50, 80)
        },
    }


def test_made_up_scores_give_the_same_numbers(pair) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    for spread in (0.0, 0.3, 3.0):
        score = pair.gain + rng.normal(0, 1 + spread, pair.n)
        found = score_rows(pair, [ScoreRow(name="r", kind="transfer", scores=score)], replicates=20)
        expected = theirs(score, pair.quality_weak, pair.quality_strong)
        for name, value in expected.items():
            assert found.row("r").metrics[name].value == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [("routellm-gsm8k", 63.734, 85.769), ("routellm-mtbench", 82.813, 92.118)],
)
def test_routellms_data_gives_the_same_numbers(
    name: str, weak: float, strong: float, shared_data: Path
) -> None:
    benchmark = open_benchmark(name, shared_data / "routellm")
    assert benchmark.quality_weak.mean() * 100 == pytest.approx(weak, abs=6e-4)
    assert benchmark.quality_strong.mean() * 100 == pytest.approx(strong, abs=2e-3)
    score = np.random.default_rng(0).random(benchmark.n)
    row = ScoreRow(name="r", kind="transfer", scores=score)
    found = score_rows(benchmark, [row], replicates=20).row("r").metrics
    for metric, value in theirs(score, benchmark.quality_weak, benchmark.quality_strong).items():
        assert found[metric].value == pytest.approx(value, abs=1e-6), metric
