"""What a router predicted, kept so that it can be decided again without the router."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from turnout.data.table import OutcomeTable
from turnout.errors import InputError, RouterError, UnknownNameError
from turnout.routers.reference import Reference
from turnout.types import Candidate, Floats, PairRule, Prediction, Query

Index: TypeAlias = NDArray[np.intp]
ID_BYTES: Final = 16


def prompt_id(text: str) -> bytes:
    """What stands for a prompt: the first 16 bytes of its SHA-256. It joins files without texts.

    Whoever can guess a prompt can check the guess, as with any hash.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:ID_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedOutcomes:
    """What m models scored on n prompts and cost; all (n, m), NaN where unknown."""

    score: Floats
    cost_usd: Floats
    input_tokens: Floats
    output_tokens: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecisions:
    """What was decided on n prompts at the time."""

    index: Index
    """(n,) column of the model that was called."""
    threshold: NDArray[np.float64]
    """(n,) of the route, NaN where none."""
    cost_picousd: NDArray[np.float64]
    """(n, m) expected at the prices of then, NaN where unknown."""
    win_rate: Floats
    """(n,) of the first over the last of two candidates, NaN where there was none."""
    policy: str = ""
    """How most of them were chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPredictions:
    """What a router expected of m candidates on n prompts, and what is needed to decide again."""

    router: str
    candidates: tuple[Candidate, ...]
    """In the pool's order, with the prices of then."""
    default: str
    quality: Floats
    """(n, m), NaN where nothing was predicted."""
    input_tokens: NDArray[np.float64]
    """(n,), NaN where unknown."""
    output_tokens: NDArray[np.float64]
    """(n, m) expected, as the cost counts them; NaN where unknown."""
    out: NDArray[np.bool_]
    """(n, m) candidates that constraints put out."""
    pair: PairRule | None
    """None where win rates alone are known (`recorded`)."""
    prompt_ids: NDArray[np.uint8]
    """(n, 16), see `prompt_id`."""
    groups: Index
    """(n,) prompts that stay together in the bootstrap."""
    spread: Floats | None = None
    basis: tuple[str, ...] = ()
    reference: Reference | None = None
    """Of these candidates, for operating points at new prices."""
    outcomes: RecordedOutcomes | None = None
    recorded: RecordedDecisions | None = None
    artifact: str | None = None
    encoder: str | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Candidate names in order."""
        return tuple(c.name for c in self.candidates)

    @property
    def n(self) -> int:
        """Number of prompts."""
        return len(self.quality)

    def with_outcomes(self, table: OutcomeTable) -> StoredPredictions:
        """The same with outcomes, joined by prompt.

        Raises:
            InputError: no prompt or no model is in both.
        """
        row_of = {prompt_id(text): i for i, text in enumerate(table.prompts)}
        rows = np.asarray([row_of.get(key.tobytes(), -1) for key in self.prompt_ids], dtype=np.intp)
        known = np.asarray([name in table.models for name in self.names])
        if not known.any() or not (rows >= 0).any():
            remedy = f"no prompt with a score of {', '.join(self.names)} is in both"
            raise InputError("outcomes", list(table.models), remedy)
        at = np.flatnonzero(known)
        columns = np.asarray([table.models.index(self.names[j]) for j in at], dtype=np.intp)
        found = rows >= 0

        def taken(values: Floats) -> Floats:
            made = np.full(self.quality.shape, np.nan, dtype=np.float32)
            made[np.ix_(np.flatnonzero(found), at)] = values[np.ix_(rows[found], columns)]
            return made

        joined = RecordedOutcomes(
            score=taken(table.score),
            cost_usd=taken(table.cost_usd),
            input_tokens=taken(table.input_tokens),
            output_tokens=taken(table.output_tokens),
        )
        groups = np.where(found, table.groups[rows], self.groups + table.groups.max() + 1)
        note = f"outcomes of {int(found.sum()):,} of {self.n:,} prompts"
        return replace(self, outcomes=joined, groups=groups, notes=(*self.notes, note))


class StoredRouter:
    """Stored predictions as a router: it knows the prompts that it was stored with, and no other."""

    waits = False

    def __init__(self, stored: StoredPredictions) -> None:
        self._stored = stored
        self.name, self.fingerprint = stored.router, stored.artifact
        self._rows: dict[bytes, int] = {}

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate must be stored.

        Raises:
            UnknownNameError: one is not.
        """
        columns_of(self._stored, [c.name for c in candidates])

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """What was predicted then.

        Raises:
            RouterError: a prompt that is not stored.
        """
        stored = self._stored
        if not self._rows:
            self._rows = {key.tobytes(): i for i, key in enumerate(stored.prompt_ids)}
        try:
            rows = np.asarray([self._rows[prompt_id(q.text)] for q in queries], dtype=np.intp)
        except KeyError:
            raise RouterError("no prediction is stored for this prompt") from None
        columns = columns_of(stored, [c.name for c in candidates])
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=stored.quality[np.ix_(rows, columns)],
            output_tokens=stored.output_tokens[np.ix_(rows, columns)].astype(np.float32),
            pair=stored.pair or PairRule(),
            basis=tuple(stored.basis[j] for j in columns) if stored.basis else (),
        )


class StoredRouterWithReference(StoredRouter):
    """The same of a router that had a reference, so that operating points follow new prices."""

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """What was known of these candidates."""
        known = self._stored.reference
        assert known is not None
        at = columns_of(self._stored, [c.name for c in candidates])
        return Reference(
            predicted=known.predicted[:, at],
            score=known.score[:, at],
            input_tokens=known.input_tokens,
            output_tokens=known.output_tokens[:, at],
            cost_usd=known.cost_usd[:, at],
        )


def stored_router(stored: StoredPredictions) -> StoredRouter:
    """Stored predictions as a router that an engine can use."""
    return StoredRouter(stored) if stored.reference is None else StoredRouterWithReference(stored)


def columns_of(stored: StoredPredictions, names: Sequence[str]) -> Index:
    """Columns of stored candidates by name.

    Raises:
        UnknownNameError: one is not stored.
        InputError: one is named twice.
    """
    for name in names:
        if name not in stored.names:
            raise UnknownNameError("candidate", name, stored.names)
        if list(names).count(name) > 1:
            raise InputError("models", name, "name each candidate once")
    return np.asarray([stored.names.index(name) for name in names], dtype=np.intp)
