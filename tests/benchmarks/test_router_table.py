from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planted import planted_table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import router_table

    yield router_table
    sys.modules.pop("router_table")


def test_a_row_has_every_column_and_reasons_stand_beside(table, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(table, "REPLICATES", 40)
    whole = planted_table(120)
    cost = np.tile(np.asarray([5.0, 0.5, 0.05], np.float32), (120, 1))
    whole = replace(whole, cost_usd=cost, categories=tuple("abcd"[i % 4] for i in range(120)))
    at = table.Field(whole.rows(range(80)), whole.rows(range(80, 120)))
    rows = table.timed(at, [*table.baselines(at), table.router_row("linear", at)])
    made = rows[-1]
    assert {"score", "apgr_calls", "apgr_dollars", "aiq", "lift", "brier"} <= made.keys()
    assert {
        "flips_polite",
        "flips_typos",
        "flips_case",
        "p50_ms",
        "size_mb",
        "fit_s",
    } <= made.keys()
    by_name = {row["name"]: row for row in rows}
    best = by_name["best single model (on train)"]
    assert best["less_best"].value == 0.0
    assert by_name["oracle"]["score"].value >= made["score"].value
    few = table.Field(whole.rows(range(10)), at.dev)
    refused = table.router_row("linear", few)
    assert "20 labelled prompts" in refused["not_fitted"]
    again = table.router_row("linear", at, label="linear, again")
    assert again["name"] == "linear, again"
    assert table.paired(at, "linear, again", "linear").count("+0.0000 [+0.0000 +0.0000]") == 2
    wrong = table.router_row("linear", at, options={"layers": 2}, label="with layers")
    assert "options of training linear" in wrong["not_fitted"]
    page = table.markdown("Planted", at, [*rows, refused])
    assert "- linear: not fitted: prompts: 10" in page
    assert "| linear | " in page


def test_typos_change_few_letters_and_always_the_same(table) -> None:  # type: ignore[no-untyped-def]
    text = "The quick brown fox jumps over the lazy dog. " * 20
    assert table.typos(text) == table.typos(text) != text
    assert sorted(table.typos(text)) == sorted(text)
    changed = sum(a != b for a, b in zip(text, table.typos(text), strict=True))
    assert changed < 0.06 * len(text)
