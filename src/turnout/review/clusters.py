"""Kinds of prompts: k-means on the encoder's vectors, named by the words that tell them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.review.columns import read_vectors
from turnout.review.texts import Texts
from turnout.review.traffic import Traffic, vector_parts, vectors_of

SAMPLE = 20_000
"""Calls that centres are fitted on, evenly spread over the logs."""
ROUNDS = 30
MOST_CLUSTERS = 24
CALLS_PER_CLUSTER = 40
"""With fewer calls there are fewer clusters."""
NAMING_SAMPLE = 300
"""Prompts of each cluster that are read for its name."""
WORDS = 3
LEAST_PROMPTS = 3
"""A word in a name stands in at least this many different prompts: names of people and the like,
which few prompts hold, do not show."""

_WORD = re.compile(r"[^\W\d_]{3,20}")
# Words that say how something is asked, not what about.
_STOP = frozenset(
    "the and for that this with you are was were have has had not but from they them their there what when "
    "where which who whom why how can could would should will shall may might must does did done been being "
    "about into over under than then also just very each any some such more most other your yours our ours "
    "his her hers its all out off one two use used using make made get got give given please need want like "
    "let know think say said see new etc i'm don't can't following below above answer question write tell "
    "provide help me my we us it is be do to of in on at by as an or if so no yes because him she many much "
    "first time way thing things here only even well really good best act task ensure people every while "
    "through must being before after again both same own too still".split()
)

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clusters:
    """k kinds of prompts, largest first."""

    of: NDArray[np.intp]
    """(n,) cluster of each call."""
    names: tuple[str, ...]
    """k names, distinct."""


def find_clusters(traffic: Traffic, texts: Texts, k: int | None = None) -> Clusters:
    """Group the calls and name the groups.

    Args:
        traffic: n calls.
        texts: reads prompts for the names.
        k: how many; None: one for every 40 calls, at most 24.
    """
    n = len(traffic)
    wanted = max(1, min(MOST_CLUSTERS, n // CALLS_PER_CLUSTER)) if k is None else min(k, n)
    sample = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.intp))
    centres = fit_centres(vectors_of(traffic, sample), wanted)
    of = np.empty(n, dtype=np.intp)
    for part, path, inside in vector_parts(traffic):
        of[part] = nearest(read_vectors(path)[inside], centres)
    sizes = np.bincount(of, minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    rank = np.full(len(centres), -1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    of = rank[of]
    return Clusters(of, name_clusters(_prompts(traffic, texts, of, len(order))))


def fit_centres(x: Vectors, k: int, *, seed: int = 0) -> Vectors:
    """(k, d) centres by k-means++ (Arthur & Vassilvitskii 2007) and Lloyd's rounds.

    Args:
        x: (n, d) vectors.
        k: at most n; with fewer distinct vectors some centres coincide.
        seed: the same seed gives the same centres.
    """
    rng = np.random.default_rng(seed)
    centres = x[rng.integers(len(x))][None, :]
    far = _distances(x, centres)[:, 0]
    while len(centres) < k and far.sum() > 1e-9:
        drawn = min(int(np.searchsorted(np.cumsum(far), rng.random() * far.sum())), len(x) - 1)
        centres = np.concatenate([centres, x[drawn][None, :]])
        far = np.minimum(far, _distances(x, centres[-1:])[:, 0])
    before = None
    for _ in range(ROUNDS):
        of = nearest(x, centres)
        if before is not None and (of == before).all():
            break
        before = of
        sums = np.zeros_like(centres)
        np.add.at(sums, of, x)
        count = np.bincount(of, minlength=len(centres))[:, None]
        centres = np.where(count > 0, sums / np.maximum(count, 1), centres).astype(np.float32)
    return np.asarray(centres, dtype=np.float32)


def nearest(x: Vectors, centres: Vectors) -> NDArray[np.intp]:
    """(n,) nearest centre of each vector; a tie goes to the first."""
    return np.asarray(np.argmin(_distances(x, centres), axis=1), dtype=np.intp)


def _distances(x: Vectors, centres: Vectors) -> Vectors:
    """(n, k) squared distances, never below 0."""
    found = (x**2).sum(axis=1)[:, None] - 2.0 * (x @ centres.T) + (centres**2).sum(axis=1)[None, :]
    return np.asarray(np.maximum(found, 0.0), dtype=np.float32)


def _prompts(traffic: Traffic, texts: Texts, of: NDArray[np.intp], k: int) -> list[list[str]]:
    """Prompts to name each cluster by: distinct ones, evenly spread."""
    rows = []
    for j in range(k):
        members = np.flatnonzero(of == j)
        _, first = np.unique(traffic.columns.near[members], return_index=True)
        distinct = members[np.sort(first)]
        at = np.linspace(0, len(distinct) - 1, min(len(distinct), NAMING_SAMPLE)).astype(np.intp)
        rows.append(distinct[np.unique(at)])
    calls = texts.calls(traffic.columns, np.sort(np.concatenate(rows)))
    return [[calls[row].query.text for row in some.tolist() if row in calls] for some in rows]


def name_clusters(prompts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names by class-based TF-IDF (Grootendorst 2022): words frequent here and rare elsewhere.

    Weight of a word in a cluster: its share of the cluster's prompts, times log(1 + A / f) with A the
    mean number of words of a cluster and f the word's count in all of them.
    """
    counts = [_document_counts(some) for some in prompts]
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    mean = sum(total.values()) / max(len(counts), 1)
    names: list[str] = []
    for one, some in zip(counts, prompts, strict=True):
        weights = {
            word: count / len(some) * np.log1p(mean / total[word])
            for word, count in one.items()
            if count >= LEAST_PROMPTS
        }
        best = sorted(weights, key=lambda w: (-weights[w], w))[:WORDS]
        name = ", ".join(best) or "mixed"
        same = sum(n == name or n.startswith(f"{name} (") for n in names)
        names.append(f"{name} ({same + 1})" if same else name)
    return tuple(names)


def _document_counts(prompts: Sequence[str]) -> Mapping[str, int]:
    """Word → in how many of the prompts it stands."""
    found: Counter[str] = Counter()
    for prompt in prompts:
        found.update({w for w in _WORD.findall(prompt[:4000].lower()) if w not in _STOP})
    return found
