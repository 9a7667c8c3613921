from __future__ import annotations

import sys
from pathlib import Path

import pytest

from turnout.errors import MissingExtraError
from turnout.evaluation import plots
from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.measure import measure, write
from turnout.evaluation.plots import draw
from turnout.evaluation.pool import QualityRow
from turnout.evaluation.report import EvaluationReport
from turnout.routers.base import Router

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_report_is_written_with_its_picture(
    pair: Benchmark, by_length: Router, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    lines = write(measure(pair, {"mine": by_length}, replicates=40), tmp_path / "new" / "out")
    assert [line.rpartition(".")[2] for line in lines] == ["html", "json", "png"]
    assert (tmp_path / "new/out/evaluation.png").read_bytes().startswith(PNG)


def test_a_pool_is_drawn_over_its_costs_if_they_are_known(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    told = make(100, 3)
    told = QualityRow(name="told", kind="in-domain", quality=told.quality)
    report = measure(make(100, 3), {}, extra=[told], replicates=20)
    draw(report, tmp_path / "pool.png")
    assert (tmp_path / "pool.png").read_bytes().startswith(PNG)
    figure = pytest.importorskip("matplotlib.figure").Figure()
    plots._draw_pool(figure, report)
    drawn = [text.get_text() for text in figure.legends[0].get_texts()]
    assert drawn[0] == "zero router (mixes of two models)"
    assert [text for text in drawn[1:] if not text.startswith("told")] == []
    lines = write(measure(make(100, 3, costs=False), {}, replicates=20), tmp_path / "out")
    assert lines[-1].endswith("evaluation.png")


def test_without_matplotlib_the_json_is_there_and_the_way_out_is_named(
    pair: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report = measure(pair, {}, replicates=40)
    assert isinstance(report, EvaluationReport)
    with pytest.raises(MissingExtraError, match=r"turnout\[plots\]"):
        draw(report, tmp_path / "x.png")
    lines = write(report, tmp_path)
    assert "turnout[plots]" in lines[-1]
    assert (tmp_path / "evaluation.json").exists()
    assert not (tmp_path / "evaluation.png").exists()
