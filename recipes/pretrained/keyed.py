"""What the vectors of a space are of: keys of models over all outcome sets, and of parts of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrained.outcomes import Cells
from turnout.routers.columns import normalise
from turnout.types import Floats

LEAST_OUTCOMES = 25
_ARM = re.compile(r"^(o\d(?:-mini|-preview)?|grok-3-mini)-(low|medium|high)$")
"""Not any name: mistral-medium is a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Outcomes by key: a model over all sets, and what parts of it its sets ran.

    `model@set` for each set that ran it, but of arms only where several did; `spelling@set`
    where one set ran it in several ways.
    """

    names: tuple[str, ...]
    basis: tuple[str, ...]
    entries: tuple[NDArray[np.intp], ...]
    """Of each key."""


def keyed(cells: Cells, sound: NDArray[np.bool_]) -> Keyed:
    """The keys of the space. Entries that are off their model's line count for their own arm."""
    count = np.bincount(cells.by[cells.train[cells.at]], minlength=len(cells.entry_name))
    found: dict[str, tuple[str, NDArray[np.intp]]] = {}

    def add(key: str, where: str, entries: NDArray[np.intp]) -> None:
        if count[entries].sum() >= LEAST_OUTCOMES:
            found.setdefault(key, (f"measured outcomes of {where}", entries))

    names = np.unique(cells.entry_name).tolist()
    for name in names:
        mine = np.flatnonzero(cells.entry_name == name)
        good = mine[sound[mine]] if sound[mine].any() else mine
        add(key_of(name), key_of(name), good)
    for name in names:  # after all names, which stand before a spelling of one
        mine = np.flatnonzero(cells.entry_name == name)
        # A plain name is asked for prompts of any kind, `model@set` for those of that set.
        apart = len(mine) > 1 or "@" not in key_of(name)
        for place in np.unique(cells.entry_set[mine]).tolist() if apart else ():
            part = mine[cells.entry_set[mine] == place]
            add(normalise(f"{name}@{place}"), f"{normalise(name)} in {place}", part)
            for own in part if len(part) > 1 else ():  # ways to call it: with tools, by prompt
                spelled = normalise(f"{cells.entry_model[own]}@{place}")
                add(spelled, spelled, np.asarray([own]))
    return Keyed(
        names=tuple(found),
        basis=tuple(b for b, _ in found.values()),
        entries=tuple(e for _, e in found.values()),
    )


def key_of(name: str) -> str:
    """The key of a model; a name that ends in a reasoning effort is an arm: `o1-high` → `o1@high`."""
    return _ARM.sub(r"\1@\2", normalise(name))


def entry_scores(cells: Cells, values: NDArray[np.floating] | None = None) -> Floats:
    """(n, e) mean of a value by prompt and entry, NaN where there is none."""
    values = cells.score if values is None else values
    size = cells.n * len(cells.entry_set)
    use = np.isfinite(values)
    flat = cells.at[use] * len(cells.entry_set) + cells.by[use]
    count, total = np.bincount(flat, minlength=size), np.bincount(flat, values[use], size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.reshape(cells.n, -1).astype(np.float32)


def key_scores(score: Floats, keys: Keyed) -> Floats:
    """(n, M) mean score of each key's entries, NaN where none ran."""
    made = np.full((len(score), len(keys.names)), np.nan, dtype=np.float32)
    for j, entries in enumerate(keys.entries):
        part = score[:, entries]
        seen = np.isfinite(part)
        count = seen.sum(axis=1)
        total = np.where(seen, part, 0.0).sum(axis=1)
        made[:, j] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return made
