from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.data.groups import group_folds, group_holdout, near_duplicate_groups
from turnout.errors import InputError

PASSAGE = "This question refers to the following information from a letter written in spring."


def test_spelling_numbers_and_marks_do_not_hide_a_duplicate() -> None:
    found = near_duplicate_groups(
        ["Add 3 apples and 4 pears!", "add 17 apples, and 5 pears", "Add 3 apples or 4 pears"]
    )
    assert found.tolist() == [0, 0, 1]


def test_a_common_passage_joins_its_questions() -> None:
    found = near_duplicate_groups([f"{PASSAGE} Who wrote it?", "Else", f"{PASSAGE} When?"])
    assert found.tolist() == [0, 1, 0]


def test_a_run_in_the_middle_joins_and_one_without_content_does_not() -> None:
    run = "train leaves Boston station heading west toward Chicago"
    found = near_duplicate_groups([f"Tom says: {run} at 5", f"Tomorrow a {run}, how far?"])
    assert found.tolist() == [0, 0]
    dull = "1 2 3 4 5 6 7 8 9"
    assert near_duplicate_groups([f"Compute {dull} now", f"Sum {dull} fast"]).tolist() == [0, 1]


def test_boilerplate_joins_nobody_but_equal_texts_always_join() -> None:
    head = (
        "Answer the following multiple choice question with a single letter and nothing else please"
    )
    prompts = [f"{head}: {chr(97 + i % 26)}{'x' * (i // 26)}" for i in range(100)]
    found = near_duplicate_groups([*prompts, prompts[0]], common=20)
    assert len(np.unique(found)) == 100
    assert found[-1] == found[0]


def test_known_groups_are_joined_and_none_joins_nobody() -> None:
    found = near_duplicate_groups(["a", "b", "c", "d"], known=["s", None, "s", None])
    assert found.tolist() == [0, 1, 0, 2]


def test_texts_without_words_are_compared_as_they_stand() -> None:
    assert near_duplicate_groups(["!!!", "???", "!!!", ""]).tolist() == [0, 1, 0, 2]
    assert near_duplicate_groups([]).tolist() == []


def test_fifteen_thousand_prompts_take_seconds() -> None:
    words = [f"w{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}{i}" for i in range(3000)]
    drawn = np.random.default_rng(0).integers(3000, size=(15_000, 40)).tolist()
    prompts = [" ".join(words[i] for i in row) for row in drawn]
    start = time.perf_counter()
    assert len(np.unique(near_duplicate_groups(prompts))) == 15_000
    assert time.perf_counter() - start < 60


group_lists = st.lists(st.integers(0, 12), min_size=4, max_size=80).filter(
    lambda g: len(set(g)) >= 2
)


@given(group_lists, st.integers(2, 5), st.integers(0, 99))
def test_folds_never_part_a_group_and_are_the_same_again(
    groups: list[int], folds: int, seed: int
) -> None:
    found = group_folds(np.asarray(groups), folds, seed=seed)
    assert (found == group_folds(np.asarray(groups), folds, seed=seed)).all()
    by_group = {g: set() for g in groups}
    for g, fold in zip(groups, found.tolist(), strict=True):
        by_group[g].add(fold)
    assert all(len(where) == 1 for where in by_group.values())


@given(group_lists, st.integers(1, 3), st.integers(0, 99))
def test_a_holdout_takes_whole_groups_and_leaves_some(
    groups: list[int], rows: int, seed: int
) -> None:
    out = group_holdout(np.asarray(groups), rows, seed=seed)
    held = {g for g, o in zip(groups, out, strict=True) if o}
    left = {g for g, o in zip(groups, out, strict=True) if not o}
    assert held.isdisjoint(left)
    assert held
    assert left


def test_folds_are_of_nearly_equal_size() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), rng.integers(1, 9, 300))
    sizes = np.bincount(group_folds(groups, 5))
    assert sizes.max() - sizes.min() <= 8


def test_splits_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2"):
        group_folds(np.arange(5), 1)
    with pytest.raises(InputError, match="two groups"):
        group_folds(np.zeros(5, dtype=int), 2)
    with pytest.raises(InputError, match="two groups"):
        group_holdout(np.zeros(5, dtype=int), 2)
    with pytest.raises(InputError, match="from 1 to 4"):
        group_holdout(np.arange(5), 5)
