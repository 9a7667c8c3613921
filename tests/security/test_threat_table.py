"""Every row of the table of threats has a control, and a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "threats.md"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_row_names_tests_that_exist() -> None:
    assert len(rows()) >= 15
    for threat, control, tests in rows():
        assert control, threat
        named = re.findall(r"`(tests/[^`]+\.py)`", tests)
        assert named, threat
        for path in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert "def test_" in text, path


def test_every_test_of_this_folder_is_in_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    here = {p.name for p in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name in here if f"tests/security/{name}" not in page} == set()
