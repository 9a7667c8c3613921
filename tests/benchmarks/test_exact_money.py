from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_ledger_equals_an_oracle_to_the_last_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import exact_money

    try:
        found = exact_money.simulate(2000, 1, tmp_path / "exact.db", tmp_path)
    finally:
        sys.modules.pop("exact_money")
    assert found["wrong"] == []
    assert (found["rows"], found["total"]) == (2000, found["expected"])
    assert len(found["met"]) == 11, "every rule was met"
