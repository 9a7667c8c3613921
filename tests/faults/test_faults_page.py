"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROW = re.compile(r"^\| (\d+) \|.*\| (`[^|]*`) \|$", re.MULTILINE)


def test_every_row_has_its_tests() -> None:
    rows = ROW.findall((ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8"))
    numbers = [int(number) for number, _ in rows]
    assert numbers == list(range(1, 53))
    for number, tests in rows:
        for name in re.findall(r"`([^`]+)`", tests):
            file = ROOT / name if "/" in name else HERE / name
            assert file.exists(), (number, name)
            if "/" not in name:
                assert f"def test_row_{int(number):02}_" in file.read_text(encoding="utf-8"), number
