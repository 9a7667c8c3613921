"""Calibration data: requests, what candidates scored on them, and what calls cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.errors import DataError
from turnout.pricing import cost_of_tokens_picousd
from turnout.types import PICO, Candidate, Query
from turnout.wire.chat import query_of_prompt

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Calibration data: n requests, and what candidates scored on them where that is known."""

    queries: tuple[Query, ...]
    score: Values
    """(n, m) by candidate; NaN where there are no labels."""
    cost_usd: Values
    """(n, m) recorded cost; NaN where unknown."""
    input_tokens: Values
    """(n, m) recorded; NaN where unknown."""
    output_tokens: Values
    """(n, m) recorded; NaN where unknown."""
    groups: NDArray[np.intp]
    """(n,) numbered from 0 without gaps; near-duplicates share one."""
    source: str
    fingerprint: str
    left_out: int = 0
    """Prompts without a score of every candidate."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of_outcomes(
        cls, table: OutcomeTable, candidates: Sequence[Candidate], *, source: str, fingerprint: str
    ) -> Evidence:
        """Labelled prompts, from outcomes that hold every candidate.

        Args:
            table: as read; its groups are those of near-duplicates.
            candidates: of the pool; found among the table's models by name or `known_as`.
            source: the file's plain name.
            fingerprint: of the table.

        Raises:
            DataError: a candidate is not among the models, or no prompt has a score of all.
        """
        part = table.columns([_column(c, table.models) for c in candidates])
        complete = np.isfinite(part.score).all(axis=1)
        if not complete.any():
            remedy = f"no prompt has a score of all of {', '.join(part.models)}; score them all"
            raise DataError("outcomes", 0, remedy)
        kept = part.rows(np.flatnonzero(complete))
        return cls(
            queries=tuple(query_of_prompt(prompt) for prompt in kept.prompts),
            score=kept.score.astype(np.float64),
            cost_usd=kept.cost_usd.astype(np.float64),
            input_tokens=kept.input_tokens.astype(np.float64),
            output_tokens=kept.output_tokens.astype(np.float64),
            groups=_from_zero(kept.groups),
            source=source,
            fingerprint=fingerprint,
            left_out=int((~complete).sum()),
            notes=table.notes,
        )

    @classmethod
    def of_prompts(
        cls, queries: Sequence[Query], candidates: Sequence[Candidate], *, source: str
    ) -> Evidence:
        """Prompts without labels, for promises of cost or of a share."""
        unknown = np.full((len(queries), len(candidates)), np.nan)
        texts = [query.text for query in queries]
        digest = hashlib.sha256()
        for text in texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return cls(
            queries=tuple(queries),
            score=unknown,
            cost_usd=unknown,
            input_tokens=unknown,
            output_tokens=unknown,
            groups=_from_zero(near_duplicate_groups(texts)),
            source=source,
            fingerprint=digest.hexdigest(),
        )

    def costs(self, candidates: Sequence[Candidate], expected_usd: Values) -> tuple[Values, str]:
        """(n, m) costs by the best that is known of each cell, and what they are.

        What was recorded goes first, then the list price of recorded tokens, then what is expected.
        """
        priced = cost_of_tokens_picousd(self.input_tokens, self.output_tokens, candidates) / PICO
        ways = {"recorded": self.cost_usd, "list prices of recorded tokens": priced,
                "expected": expected_usd}  # fmt: skip
        cost, used = np.full(expected_usd.shape, np.nan), []
        for name, values in ways.items():
            fills = np.isnan(cost) & np.isfinite(values)
            if fills.any():
                used.append(name)
            cost = np.where(fills, values, cost)
        return cost, f"costs {' and '.join(used) or 'unknown'}"


def _column(candidate: Candidate, models: Sequence[str]) -> str:
    for name in (candidate.name, candidate.known_as, candidate.model):
        if name in models:
            return str(name)
    raise DataError("models", candidate.name, f"the data holds {', '.join(models)}")


def _from_zero(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)
