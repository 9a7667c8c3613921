"""The benchmark of bert's time, with a tiny baseline."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tiny_bert import base

pytest.importorskip("onnx", reason="needs the extra bert: pip install 'turnout[bert]'")
pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'turnout[onnx]'")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LOADED = ("bert", "decision", "router_table")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bert

    yield bert
    for name in LOADED:
        sys.modules.pop(name)


def test_every_call_is_timed_at_every_length(bench, monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(bench, "LENGTHS", (20, 40))
    monkeypatch.setattr(bench, "BASELINE_TOKENS", 64)
    monkeypatch.setattr(bench, "FEWER", 1)
    found = bench.times(base(tmp_path / "base"), 3)
    assert list(found) == [20, 40]
    for spent in found.values():
        assert set(spent) == {"bert", "blend", bench.BASELINE}
        assert all(len(each) == 3 and (each > 0).all() for each in spent.values())


def test_the_table_has_ratios_of_medians(bench) -> None:  # type: ignore[no-untyped-def]
    spent = {"bert": np.full(9, 6.0), "blend": np.full(9, 1.5), bench.BASELINE: np.full(9, 24.0)}
    lines = bench.time_table({200: spent}).splitlines()
    assert lines[2] == "| 200 | bert | 6.00 | 6.00 |  |"
    assert lines[3].endswith("| 4.00 times that |")
    assert lines[4].endswith("| 0.25 times that |")
