"""What is kept by candidates is theirs, however they are given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from turnout.routers import by_candidates
from turnout.routers.by_candidates import ByCandidates
from turnout.types import Candidate

A, B = Candidate(name="a"), Candidate(name="b")


def names(candidates: Sequence[Candidate]) -> str:
    return "".join(c.name for c in candidates)


def test_a_value_is_made_once_for_equal_candidates() -> None:
    kept: ByCandidates[list[str]] = ByCandidates()
    made: list[str] = []

    def make(candidates: Sequence[Candidate]) -> list[str]:
        made.append(names(candidates))
        return [names(candidates)]

    pair = (A, B)
    first = kept.of(pair, make)
    assert kept.of(pair, make) is first
    assert kept.of([A, B], make) is first
    assert kept.of((Candidate(name="a"), B), make) is first
    assert kept.of((B, A), make) == ["ba"]
    assert made == ["ab", "ba"]


def test_a_list_that_changes_is_read_anew() -> None:
    kept: ByCandidates[str] = ByCandidates()
    given = [A]
    assert kept.of(given, names) == "a"
    given.append(B)
    assert kept.of(given, names) == "ab"


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_candidates, "MOST", 3)
    kept: ByCandidates[str] = ByCandidates()
    for i in range(20):
        one = (Candidate(name=str(i)),)
        assert kept.of(one, names) == str(i)
        assert kept.of(one, names) == str(i)
        assert max(len(kept._kept), len(kept._same)) <= 3
