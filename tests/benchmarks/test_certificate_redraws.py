from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from turnout.calibration.promises import Facts, Promise

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    pytest.importorskip("pyarrow", reason="the benchmark reads Parquet files")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import certificates

    yield certificates
    for name in ("certificates", "quality", "router_table"):
        sys.modules.pop(name, None)


def traffic(n: int = 1500, steps: int = 20) -> Facts:
    """The harder a prompt, the likelier a cheap answer is worse; sometimes it is better."""
    rng = np.random.default_rng(0)
    hard = rng.random(n)
    strong = (rng.random(n) < 0.9).astype(float)
    cheap = np.where(rng.random(n) < 0.5 * hard, 0.0, strong)
    cheap[rng.random(n) < 0.03] = 1.0
    to_strong = (hard[:, None] >= np.arange(1, steps + 1) / steps).astype(float)
    chosen = np.where(to_strong == 1, strong[:, None], cheap[:, None])
    unknown = np.full(chosen.shape, np.nan)
    return Facts(
        strong=strong,
        chosen=chosen,
        cost_usd=unknown,
        to_strong=to_strong,
        groups=np.arange(n) // 2,
    )


def test_rules_stand_beside_each_other_and_the_naive_one_breaks_promises(bench) -> None:  # type: ignore[no-untyped-def]
    facts = bench.one_a_group(traffic())
    assert facts.n == 750
    made = bench.Traffic("made up", facts)
    rows = [
        bench.measure(made, promise, 200, 0.1, 60)
        for promise in (Promise(kind="max_loss", value=0.05), Promise(kind="floor", value=0.9))
    ]
    for row in rows:
        assert row["naive_broken"] > max(0.12, row["betting_broken"])
        assert row["betting_broken"] <= 0.1 + 3 * (0.1 * 0.9 / 60) ** 0.5
        assert 0 < row["betting_cheap"] < row["naive_cheap"]
    assert rows[0]["binomial_broken"] <= rows[0]["betting_broken"]
    assert "binomial_broken" not in rows[1]
    text = bench.markdown(rows, 60)
    assert "| made up | 200 | max_loss 0.05 | 0.1 |" in text
    assert text.count("\n| made up") == 2
