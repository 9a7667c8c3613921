from __future__ import annotations

import string
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEXT = "The quick brown fox jumps over the lazy dog, doesn't it? " * 20


@pytest.fixture
def flips(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import flips

    yield flips
    for name in ("flips", "quality", "router_table"):
        sys.modules.pop(name, None)


def test_each_rewording_changes_a_text_and_always_alike(flips) -> None:  # type: ignore[no-untyped-def]
    for change in flips.UNSEEN.values():
        assert change(TEXT) == change(TEXT) != TEXT


def test_a_few_letters_are_left_out_or_mistyped(flips) -> None:  # type: ignore[no-untyped-def]
    assert 0.95 * len(TEXT) < len(flips.left_out(TEXT)) < len(TEXT)
    struck = flips.mistyped(TEXT)
    assert len(struck) == len(TEXT)
    assert 0 < sum(a != b for a, b in zip(TEXT, struck, strict=True)) < 0.04 * len(TEXT)
    assert set(flips.NEIGHBOURS) == set(string.ascii_lowercase)
    assert all(key != near for key, near in flips.NEIGHBOURS.items())
