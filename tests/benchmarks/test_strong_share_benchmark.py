from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from turnout.settings import MINIMAL, parse_settings

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "keys.md").read_text(encoding="utf-8")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import strong_share

    yield strong_share
    sys.modules.pop("strong_share", None)


def test_its_rows_are_those_of_the_guide(bench: ModuleType) -> None:
    """The same cells, from far fewer keys: medians lie near those that the guide shows."""
    shown = {
        row[0]: [float(cell.split(" ")[0]) for cell in row[1:]]
        for line in GUIDE.splitlines()
        if re.match(r"\| \d+% \|", line)
        for row in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    rows = bench.detection(np.random.default_rng(5), 40, 700)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    for share, medians in shown.items():
        found = [float(c[2].split(" ")[0]) for c in cells if c[0] == share]
        assert len(found) == len(medians) == 3
        for mine, theirs in zip(found, medians, strict=True):
            assert 0.6 * theirs <= mine <= 1.6 * theirs, (share, mine, theirs)


def test_false_alarms_are_counted(bench: ModuleType) -> None:
    assert bench.false_alarms_among(np.random.default_rng(0), 20, 300, 0.01) <= 1
    hits = np.ones(50, dtype=bool)
    assert bench.delay(hits, 0) == 11
    assert bench.delay(~hits, 0) == bench.NEVER
    assert bench.bytes_of_a_key(200) < 2000


def test_the_settings_of_the_guide_are_settings() -> None:
    (block,) = re.findall(r"```yaml\n(alarm:.*?)```", GUIDE, re.DOTALL)
    alarm = parse_settings(f"{MINIMAL}{block}", {"OPENAI_API_KEY": "x"}).alarm
    assert alarm is not None
    assert set(yaml.safe_load(block)["alarm"]) == set(type(alarm).model_fields)
