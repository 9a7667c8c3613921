"""Ids are never given twice: by one thread, by many, or by both sides of a fork."""

from __future__ import annotations

import os
import threading

import pytest

from turnout.ids import id_maker


def test_ids_have_their_form_and_differ() -> None:
    make = id_maker("dec_", 8)
    found = [make() for _ in range(1_000)]
    assert len(set(found)) == 1_000
    assert all(one.startswith("dec_") and len(one) == 4 + 16 for one in found)
    assert all(int(one[4:], 16) >= 0 for one in found)


def test_ordered_ids_sort_by_when_they_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    make = id_maker("dec_", 8, ordered=True)
    clock = 1_800_000_000.5
    monkeypatch.setattr("turnout.ids.time.time", lambda: clock)
    before = [make() for _ in range(300)]
    clock += 3600.0
    rest = [make() for _ in range(600)]
    assert len({*before, *rest}) == 900
    assert all(one.startswith("dec_") and len(one) == 4 + 8 + 16 for one in before + rest)
    assert max(before) < min(rest[256:])  # what was drawn ahead is used up first


def test_two_makers_and_many_threads_never_agree() -> None:
    make, other = id_maker("", 8), id_maker("", 8)
    found: list[str] = []

    def draw() -> None:
        found.extend([make() for _ in range(2_000)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found += [other() for _ in range(2_000)]
    assert len(set(found)) == 10_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # other tests may leave threads
def test_both_sides_of_a_fork_draw_anew() -> None:
    make = id_maker("", 8)
    make()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "\n".join(make() for _ in range(50)).encode())
        os._exit(0)
    os.close(writing)
    mine = {make() for _ in range(50)}
    with os.fdopen(reading) as pipe:
        theirs = set(pipe.read().split())
    os.waitpid(child, 0)
    assert len(theirs) == 50
    assert not mine & theirs
