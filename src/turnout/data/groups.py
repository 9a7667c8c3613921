"""Prompts that belong together, and splits that keep them together.

Two prompts join one group when they share

* the whole text once normalised (lower case, marks dropped, every number read as `0`),
* their first 12 words (a common passage, stem or template), or
* a run of 8 words anywhere that has at least 5 content words (three letters or more).

Runs are looked up exactly, so no MinHash is needed. A prefix or run in more than `common` prompts
is boilerplate ("answer the following question with") and joins nobody; equal texts always join.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError

PREFIX_WORDS = 12
RUN_WORDS = 8
CONTENT_WORDS = 5
CONTENT_LETTERS = 3
LEAST_COMMON = 20
"""A run met in at most this many prompts always joins them, however few prompts there are."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying is a bijection of 64-bit words


def near_duplicate_groups(
    prompts: Sequence[str],
    *,
    known: Iterable[str | None] | None = None,
    common: int | None = None,
) -> NDArray[np.intp]:
    """Group near-duplicates and instances of one template.

    Args:
        prompts: n texts.
        known: n group names that the caller already has (a conversation, say); rows with equal
            names are joined too, None joins nobody.
        common: most prompts that a shared prefix or run may join; default: 10% of n, at least 20.

    Returns:
        (n,) group numbers 0, 1, … in order of first appearance.
    """
    union = _Union(len(prompts))
    limit = max(LEAST_COMMON, len(prompts) // 10) if common is None else common
    for keys, rows in _shared_keys(prompts, union):
        _join_equal(union, keys, rows, limit)
    first: dict[str, int] = {}
    for row, name in enumerate(known or ()):
        if name is not None:
            union.join(row, first.setdefault(name, row))
    labels: dict[int, int] = {}
    found = [labels.setdefault(union.root(i), len(labels)) for i in range(len(prompts))]
    return np.asarray(found, dtype=np.intp)


def group_folds(groups: NDArray[np.intp], folds: int, *, seed: int = 0) -> NDArray[np.intp]:
    """Deal whole groups into folds of nearly equal size: largest first, each to the emptiest fold.

    Args:
        groups: (n,) group numbers.
        folds: at least 2.
        seed: orders groups of equal size; the same seed always gives the same folds.

    Returns:
        (n,) fold of each row, 0 to folds - 1. With fewer groups than folds some folds stay empty.

    Raises:
        InputError: fewer than two folds, or fewer than two groups.
    """
    if folds < 2:
        raise InputError("folds", folds, "give at least 2")
    unique, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(unique) < 2:
        raise InputError("groups", len(unique), "a split needs at least two groups of prompts")
    shuffled = np.random.default_rng(seed).permutation(len(unique))
    load = [0] * folds
    fold_of = np.empty(len(unique), dtype=np.intp)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        emptiest = load.index(min(load))
        fold_of[group] = emptiest
        load[emptiest] += int(sizes[group])
    return fold_of[inverse]


def group_holdout(groups: NDArray[np.intp], rows: int, *, seed: int = 0) -> NDArray[np.bool_]:
    """Set whole random groups aside until at least `rows` rows are out, and one group stays in.

    Args:
        groups: (n,) group numbers.
        rows: rows to hold out, at least 1.
        seed: the same seed always gives the same part.

    Returns:
        (n,) True for the rows held out.

    Raises:
        InputError: `rows` is not below n, or there are fewer than two groups.
    """
    if not 1 <= rows < len(groups):
        raise InputError("rows", rows, f"give a number from 1 to {len(groups) - 1}")
    unique, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(unique) < 2:
        raise InputError("groups", len(unique), "a split needs at least two groups of prompts")
    order = np.random.default_rng(seed).permutation(len(unique))[:-1]
    taken = order[: int(np.searchsorted(np.cumsum(sizes[order]), rows)) + 1]
    return np.isin(inverse, taken)


def normalised_words(text: str) -> list[str]:
    """Words in lower case, every run of digits as `0`; marks and spacing are dropped."""
    return ["0" if word[0].isdigit() else word for word in _WORD.findall(text.lower())]


def telling_runs(words: Sequence[str], codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Distinct hashes of a text's runs of 8 words with at least 5 content words, ascending.

    Args:
        words: normalised.
        codes: (w,) a number for each word; runs are compared where words have the same numbers.
    """
    content = np.asarray([len(word) >= CONTENT_LETTERS for word in words], dtype=np.intp)
    telling = _window_sums(content, RUN_WORDS) >= CONTENT_WORDS
    return np.unique(_run_hashes(codes, RUN_WORDS)[telling])


class _Union:
    """Disjoint sets of row numbers; the smaller root wins, so that labels are stable."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        a, b = self.root(i), self.root(j)
        if a != b:
            self._parent[max(a, b)] = min(a, b)


def _shared_keys(
    prompts: Sequence[str], union: _Union
) -> list[tuple[NDArray[np.uint64], NDArray[np.intp]]]:
    """Hashes of prefixes, then of runs, each with its row; equal texts are joined on the way."""
    vocabulary: dict[str, int] = {}
    whole: dict[tuple[int, ...], int] = {}
    prefixes: list[NDArray[np.uint64]] = []
    runs: list[NDArray[np.uint64]] = []
    for row, prompt in enumerate(prompts):
        words = normalised_words(prompt)
        ids = tuple(vocabulary.setdefault(word, len(vocabulary) + 1) for word in words)
        # A text of marks alone has no words: it is compared as it stands.
        key = ids or (-vocabulary.setdefault(f" {prompt}", len(vocabulary) + 1),)
        union.join(row, whole.setdefault(key, row))
        codes = np.asarray(ids, dtype=np.uint64)
        prefixes.append(_run_hashes(codes[:PREFIX_WORDS], PREFIX_WORDS))
        runs.append(telling_runs(words, codes))
    return [_with_rows(prefixes), _with_rows(runs)]


def _with_rows(
    found: Sequence[NDArray[np.uint64]],
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    if not found:
        return np.empty(0, np.uint64), np.empty(0, np.intp)
    rows = np.repeat(np.arange(len(found)), [len(keys) for keys in found])
    return np.concatenate(found), rows


def _run_hashes(ids: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    """(max(w - width + 1, 0),) hashes of all runs of `width` consecutive word ids."""
    if len(ids) < width:
        return np.empty(0, np.uint64)
    total = np.zeros(len(ids) - width + 1, np.uint64)
    for offset in range(width):
        total = (total ^ ids[offset : offset + len(total)]) * _GOLDEN
        total ^= total >> np.uint64(29)
    return total


def _window_sums(values: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """(max(w - width + 1, 0),) sums of each run of `width` neighbours."""
    sums = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(sums[width:] - sums[: max(len(sums) - width, 0)], dtype=np.intp)


def _join_equal(
    union: _Union, keys: NDArray[np.uint64], rows: NDArray[np.intp], limit: int
) -> None:
    """Join the rows that hold one key, unless more than `limit` rows do. A row has a key once."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys[:0]
    sizes = np.diff(np.r_[starts, len(keys)])
    shared = (sizes > 1) & (sizes <= limit)
    for start, size in zip(starts[shared].tolist(), sizes[shared].tolist(), strict=True):
        for row in rows[start + 1 : start + size].tolist():
            union.join(int(rows[start]), row)
