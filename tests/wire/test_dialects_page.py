"""The page of the dialects: its code runs, and its tables say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from turnout.types import EFFORTS
from turnout.wire import efforts, sse
from turnout.wire.streams import translator
from turnout.wire.translate.target import MAX_TOKENS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "dialects.md").read_text(
    encoding="utf-8"
)


def test_its_code_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "dialects.md", "exec"), {})


def test_its_budgets_are_the_codes() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]*\| ([\d,]+) \|", PAGE, re.M))
    assert {name: int(value.replace(",", "")) for name, value in rows.items()} == efforts.BUDGETS
    assert ["none", *rows] == list(EFFORTS)
    for name, least in (("low", 0), ("medium", 8_192), ("high", 24_576)):
        assert efforts.effort_of_budget(least) == name
        assert f"| {least:,} |" in PAGE


def test_its_limits_are_the_codes() -> None:
    assert f"{MAX_TOKENS:,}" in PAGE
    assert sse.LINE_CAP == 1 << 20
    assert translator._CAPS["responses"] == 8 << 20
    assert translator.STREAM_CAP == 64 << 20
