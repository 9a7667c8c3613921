from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_way_is_measured_against_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import wire

    monkeypatch.setattr(sys, "argv", ["wire.py", "--rounds", "5"])
    try:
        wire.main()
    finally:
        sys.modules.pop("wire")
    said = capsys.readouterr().out
    assert said.count("\n  json loads + dumps") == 9, "six requests and three streams"
    assert said.count("   1.00 x") >= 9
    for way in ("read, to pass through", "watch, to pass through", "translate to messages"):
        assert way in said
